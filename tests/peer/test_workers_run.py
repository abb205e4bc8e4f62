"""`tambo run --workers 2`: processes that come and go with the box, and pages that are answered by them."""

import os
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from tests.bench.machine import free_port
from tests.conformance.web_world import Origin, reply
from tests.village import CHECKOUT, started, stopped
from tests.waiting import wait_until

HOST = "pagina.localhost"


@dataclass
class Running:
    """A box and where it serves."""

    process: subprocess.Popen[str]
    port: int
    log: Path

    def workers(self) -> list[int]:
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(each) for each in path.read_text().split() if "gateway.web.early.worker" in command_of(int(each))]

    async def page(self) -> bytes:
        async with (
            aiohttp.ClientSession() as browser,
            browser.get(f"http://127.0.0.1:{self.port}/page", headers={"Host": HOST}) as answer,
        ):
            return await answer.read()


def command_of(pid: int) -> str:
    """How a process was started; nothing where there is none."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def settings(folder: Path, origin: Origin, port: int, workers: int) -> Path:
    path = folder / "tambo.toml"
    path.write_text(
        f'[box]\nname = "prueba"\ndata = "var"\nworkers = {workers}\n[portal]\nhttp = "127.0.0.1:{port}"\n'
        f'[clinic]\ndoor = "127.0.0.1:0"\n[admin]\nlisten = "127.0.0.1:0"\n'
        f'[[sites]]\nname = "pagina"\nhosts = ["{HOST}"]\norigin = "http://{origin.address}"\n'
    )
    return path


@contextmanager
def running(folder: Path, origin: Origin, *, settled: int, option: int | None) -> Iterator[Running]:
    port = free_port()
    given = [] if option is None else ["--workers", str(option)]
    config = settings(folder, origin, port, settled)
    process, _ = started([*CHECKOUT, "run", "--config", config, *given], folder / "log")
    try:
        yield Running(process, port, folder / "log")
    finally:
        if process.poll() is None:
            stopped(process, folder / "log")


@asynccontextmanager
async def an_origin() -> AsyncIterator[Origin]:
    origin = Origin()
    await origin.start()
    origin.on("/page", reply(b"a page", [("Cache-Control", "max-age=600"), ("Content-Type", "text/plain")]))
    try:
        yield origin
    finally:
        await origin.stop()


@pytest.mark.parametrize(("settled", "option", "workers"), [(1, 2, 2), (3, None, 3), (3, 1, 0), (1, None, 0)])
async def test_as_many_workers_run_as_the_option_says_and_else_the_settings(
    tmp_path: Path, settled: int, option: int | None, workers: int
) -> None:
    async with an_origin() as origin:
        with running(tmp_path, origin, settled=settled, option=option) as box:
            await wait_until(lambda: len(box.workers()) == workers)
            for _ in range(4):
                assert await box.page() == b"a page"
            assert len(box.workers()) == workers


async def test_a_killed_worker_is_replaced_and_pages_go_on(tmp_path: Path) -> None:
    async with an_origin() as origin:
        with running(tmp_path, origin, settled=2, option=None) as box:
            await wait_until(lambda: len(box.workers()) == 2)
            assert await box.page() == b"a page"
            before = box.workers()
            for pid in before:
                os.kill(pid, signal.SIGKILL)
            for _ in range(20):
                assert await box.page() == b"a page"
            await wait_until(lambda: len(set(box.workers()) - set(before)) == 2)
            assert await box.page() == b"a page"
            assert box.log.read_text().count("worker.ended") == 2
        assert len(origin.asked("/page")) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_workers_end_with_the_box(tmp_path: Path, number: signal.Signals) -> None:
    async with an_origin() as origin:
        with running(tmp_path, origin, settled=2, option=None) as box:
            await wait_until(lambda: len(box.workers()) == 2)
            assert await box.page() == b"a page"
            workers = box.workers()
            box.process.send_signal(number)
            await wait_until(lambda: box.process.poll() is not None)
            await wait_until(lambda: not any(command_of(pid) for pid in workers))
            assert "Traceback" not in box.log.read_text()


def test_on_one_core_workers_are_said_to_gain_nothing(tmp_path: Path) -> None:
    config = settings(tmp_path, Origin(), free_port(), 1)
    one_core = ["taskset", "-c", str(min(os.sched_getaffinity(0)))]
    process, _ = started([*one_core, *CHECKOUT, "run", "--config", config, "--workers", "2"], tmp_path / "log")
    stopped(process, tmp_path / "log")
    assert "one core" in (tmp_path / "log").read_text()
