"""Whatever a worker does, its job is answered in time and the next one is done."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from unittest.mock import patch

import brotli
import pytest

from gateway.web.saver import workers as pool
from gateway.web.saver.jobs import DenseJob, Done, PictureJob, read_done
from gateway.web.saver.workers import WorkerLimits, Workers
from tests.unit.web.saver.images import BROKEN, photo, png, saved
from tests.waiting import wait_until

JOB = PictureJob(720, saving=True, formats=("webp",), pixels_max=4_000_000, time_s=20.0)
QUICK = PictureJob(720, saving=True, formats=("webp",), pixels_max=4_000_000, time_s=0.05)
TEXT = DenseJob(("br",), 1_000_000, 60.0)
PHOTO = saved(photo(), "JPEG", quality=90)


def of(data: bytes) -> Callable[[], Awaitable[bytes | None]]:
    async def content() -> bytes | None:
        return data

    return content


@asynccontextmanager
async def running(*script: str, processes: int = 1, memory_bytes_max: int = 400_000_000) -> AsyncIterator[Workers]:
    """Workers, or processes with a script in their place."""
    limits = WorkerLimits(processes, memory_bytes_max)
    workers = Workers(limits, ("-c", "\n".join(script))) if script else Workers(limits)
    try:
        yield workers
    finally:
        await workers.stop()


def pids(workers: Workers) -> set[int]:
    return {process.pid for process in workers._all}


def gone(pid: int) -> bool:
    return not os.path.exists(f"/proc/{pid}")


async def made(workers: Workers, data: bytes = PHOTO, job: PictureJob | DenseJob = JOB) -> Done | None:
    return await workers.done(job, of(data))


async def test_one_worker_does_one_job_after_another_whatever_it_is_given() -> None:
    async with running() as workers:
        done = await made(workers)
        assert done is not None
        assert done.media_type == "image/webp"
        first = pids(workers)
        bomb = png(30_000, 30_000, bytes(100_000), bits=1, colour=0)
        for data, why in ((bomb, "too-large"), (BROKEN["truncated JPEG"], "broken"), (PHOTO, "made")):
            done = await made(workers, data)
            assert done is not None
            assert done.why == why
        assert pids(workers) == first
        assert workers.lost == 0


async def test_text_is_compressed_as_far_as_it_goes() -> None:
    text = b"".join(b"<p>parrafo %d</p>\n" % (n * n) for n in range(3_000))
    async with running() as workers:
        done = await made(workers, brotli.compress(text, quality=1), TEXT)
        assert done is not None
        assert brotli.decompress(done.data) == text
        again = await made(workers, done.data, TEXT)
        assert again == Done("not-smaller")
        assert await made(workers, b"nonsense", TEXT) == Done("broken")


async def test_a_worker_that_takes_too_much_memory_makes_nothing_and_harms_nobody() -> None:
    deep = png(2_000, 1_999, bytes(1_999 * (1 + 2_000 * 3)))
    async with running(memory_bytes_max=120_000_000) as workers:
        for _ in range(3):
            done = await made(workers, deep)
            assert done is not None
            assert done.why in {"too-large", "broken", "lost"}
            assert not done.data


async def test_a_worker_that_cannot_even_begin_is_lost() -> None:
    async with running(memory_bytes_max=4_000_000) as workers:
        assert await made(workers) == Done("lost")
        assert workers.lost == 1


async def test_a_worker_that_hangs_is_killed_in_time_and_replaced() -> None:
    sleeps = "import time; time.sleep(600)"
    with patch.object(pool, "START_S", 0.2):
        async with running(sleeps) as workers:
            asking = asyncio.get_running_loop().create_task(made(workers, job=QUICK))
            await wait_until(lambda: bool(pids(workers)))
            (first,) = pids(workers)
            assert await asking == Done("lost")
            assert gone(first)
            assert not pids(workers)
            assert await made(workers, job=QUICK) == Done("lost")
            assert workers.lost == 2


async def test_the_kernel_ends_a_worker_that_computes_for_ever() -> None:
    spins = (
        "import sys; from gateway.web.saver import worker",
        "def spin(head, data):",
        "    worker.CPU_SPARE_S = 1; worker._limit_cpu(0.0)",
        "    while True: pass",
        "worker._done = spin; worker.main()",
    )
    async with running(*spins) as workers:
        asking = asyncio.get_running_loop().create_task(made(workers))
        await wait_until(lambda: bool(pids(workers)))
        (pid,) = pids(workers)
        assert await asking == Done("lost")
        assert gone(pid)


@pytest.mark.parametrize(
    "said",
    [
        "c.sendall(bytes(8))",
        "c.sendall(b'\\x00\\x00\\xff\\xff' + bytes(4) + b'{' * 65535)",
        "c.sendall(b'\\x00\\x00\\x00\\x02\\x7f\\xff\\xff\\xff{}')",
        'h = b\'{"why": "made", "type": "text/html"}\'; c.sendall(bytes([0, 0, 0, len(h), 0, 0, 0, 1]) + h + b\'x\')',
        'h = b\'{"why": "nonsense"}\'; c.sendall(bytes([0, 0, 0, len(h), 0, 0, 0, 0]) + h)',
        "h = b'[]'; c.sendall(bytes([0, 0, 0, len(h), 0, 0, 0, 0]) + h)",
        "pass",
    ],
)
async def test_a_worker_that_speaks_nonsense_is_not_believed(said: str) -> None:
    async with running("import socket; c = socket.socket(fileno=0); c.recv(8)", said) as workers:
        assert await made(workers) == Done("lost")
        assert not pids(workers)


async def test_only_what_waits_for_nobody_is_begun_at_once_and_the_rest_is_bounded() -> None:
    with patch.object(pool, "WAITING_MAX", 2):
        async with running() as workers:
            read = asyncio.Event()

            async def content() -> bytes | None:
                await read.wait()
                return PHOTO

            asking = [asyncio.get_running_loop().create_task(workers.done(JOB, content)) for _ in range(3)]
            await wait_until(lambda: workers.waiting == 2)
            assert workers.busy
            assert await made(workers) is None, "there is no room for more"
            read.set()
            done = [await each for each in asking]
            assert [each.why for each in done if each] == ["made"] * 3
            assert len(pids(workers)) == 1


async def test_a_body_that_is_gone_by_its_turn_costs_no_worker() -> None:
    async def content() -> bytes | None:
        return None

    async with running() as workers:
        assert await workers.done(JOB, content) is None
        assert not pids(workers)


async def test_an_idle_worker_ends_and_so_does_one_that_has_done_much() -> None:
    async with running() as workers:
        with patch.object(pool, "JOBS_MAX", 1):
            await made(workers)
            assert not pids(workers)
        with patch.object(pool, "IDLE_S", 0.01):
            await made(workers)
            (pid,) = pids(workers)
            await wait_until(lambda: all(process.poll() is not None for process in workers._all))
            await wait_until(lambda: gone(pid))
        assert (await made(workers)) is not None


async def test_a_stop_ends_every_worker_and_a_job_that_is_broken_off_too() -> None:
    async with running(processes=2) as workers:
        await asyncio.wait([asyncio.get_running_loop().create_task(made(workers)) for _ in range(2)])
        assert len(both := pids(workers)) == 2
        asking = asyncio.get_running_loop().create_task(
            made(workers, job=DenseJob((), 10**9, 60.0), data=os.urandom(3_000_000))
        )
        await wait_until(lambda: not workers.waiting and len(workers._resting) < 2)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
    assert all(gone(pid) for pid in both)


async def test_a_worker_has_neither_our_environment_nor_our_files() -> None:
    tells = (
        "import json, os, socket",
        "from gateway.web.saver import worker",
        "from gateway.web.saver.jobs import Done",
        "worker.main()",
    )
    with patch.dict(os.environ, {"SECRET_TOKEN": "s3cret"}):
        async with running(*tells) as workers:
            await made(workers)
            (pid,) = pids(workers)
            of_pid = Path(f"/proc/{pid}")
            environ = await asyncio.to_thread((of_pid / "environ").read_bytes)
            limits = await asyncio.to_thread((of_pid / "limits").read_bytes)
            files = await asyncio.to_thread(lambda: {os.readlink(each) for each in (of_pid / "fd").iterdir()})
    assert b"s3cret" not in environ
    assert {name.partition(":")[0] for name in files} <= {"socket", "/dev/null"}
    assert len(files) == 2
    assert b"400000000" in limits


def test_an_answer_of_another_shape_is_refused() -> None:
    assert read_done(b'{"why": "made", "type": "image/webp"}', b"x") == Done("made", "image/webp", b"x")
    for head, data in ((b'{"why": "made", "type": "image/webp"}', b""), (b'{"why": "broken"}', b"x"), (b"{", b"")):
        with pytest.raises(ValueError):
            read_done(head, data)
