"""The media process is killed, hangs, hears nonsense, or breaks over one leg: the box and the others go on."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.clinic.media.host import MediaLimits
from tests.callers import Exchange, exchanging
from tests.waiting import wait_until

BOX = """
import asyncio, sys, time
from gateway.clinic.media.host import MediaHost, MediaLimits

async def main():
    host = MediaHost(MediaLimits(), now_s=time.monotonic)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(host.run())
        host.warm()
        while not host.statistics().running:
            await asyncio.sleep(0.01)
        print(host.pid, flush=True)

asyncio.run(main())
"""


@pytest.fixture
async def exchange() -> AsyncIterator[Exchange]:
    async with exchanging() as found:
        yield found


async def test_killed_during_a_call_both_legs_are_over_and_the_next_call_works(exchange: Exchange) -> None:
    nurse, doctor = await exchange.call()
    before = exchange.host.pid
    assert before is not None
    os.kill(before, signal.SIGKILL)
    await wait_until(lambda: nurse.peer.is_over and doctor.peer.is_over)
    assert [nurse.changes[-1], doctor.changes[-1]] == ["over", "over"]
    await exchange.call()
    assert exchange.host.pid not in {None, before}
    assert exchange.host.statistics().deaths == 1


async def test_what_it_does_not_understand_ends_nothing(exchange: Exchange) -> None:
    nurse, doctor = await exchange.call()
    assert exchange.host._writer is not None
    for line in (b"", b"nonsense", b"[]", b'["Open", {}]', b'["Close", {"leg": "x"}]', b'["Cap", 5]', b"\xff\x00"):
        exchange.host._writer.write(line + b"\n")
    await nurse.both_grow()
    await doctor.both_grow()
    assert exchange.host.statistics().deaths == 0


async def test_a_leg_that_breaks_ends_alone(exchange: Exchange) -> None:
    nurse, doctor = await exchange.call()
    third = await exchange.dial()
    third.peer.cap(-1, 0)  # no REMB can say it
    await wait_until(lambda: third.peer.is_over)
    await nurse.both_grow()
    await doctor.both_grow()
    assert exchange.host.statistics().deaths == 0


async def test_one_that_hangs_is_ended_and_started_again() -> None:
    async with exchanging(MediaLimits(silence_s=2.0)) as exchange:
        caller = await exchange.dial()
        before = exchange.host.pid
        assert before is not None
        os.kill(before, signal.SIGSTOP)
        await wait_until(lambda: caller.peer.is_over, 10.0)
        await wait_until(lambda: exchange.host.statistics().running and exchange.host.pid != before, 10.0)


async def test_it_leaves_when_nobody_calls_and_is_there_again_for_the_next() -> None:
    async with exchanging(MediaLimits(idle_s=0.3)) as exchange:
        exchange.host.warm()
        await wait_until(lambda: exchange.host.statistics().starts == 1, 10.0)
        await wait_until(lambda: exchange.host.pid is None, 10.0)
        await exchange.dial()
        assert exchange.host.statistics().starts == 2
        assert exchange.host.statistics().deaths == 0


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM])
async def test_nothing_is_left_of_it_when_the_box_is_killed(sent: signal.Signals) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    box = await asyncio.create_subprocess_exec(sys.executable, "-c", BOX, stdout=subprocess.PIPE, env=environment)
    assert box.stdout is not None
    process = int(await box.stdout.readline())
    box.send_signal(sent)
    await box.wait()
    await wait_until(lambda: not is_running(process), 10.0)


def is_running(number: int) -> bool:
    """Whether there is such a process, other than one nobody has waited for."""
    try:
        return ") Z " not in Path(f"/proc/{number}/stat").read_text()
    except OSError:
        return False
