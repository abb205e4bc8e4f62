"""The media process is killed while it records: what was written before opens, and the box hears of it."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.clinic.media.control import RecordLeg
from gateway.clinic.media.rtp_dump import Described, Packet, read
from gateway.clinic.recordings import files
from tests.callers import Exchange, exchanging
from tests.waiting import wait_until

KEY = bytes(range(32))


@pytest.fixture
async def exchange() -> AsyncIterator[Exchange]:
    async with exchanging() as found:
        yield found


async def test_killed_while_it_records_a_beginning_opens(exchange: Exchange, tmp_path: Path) -> None:
    nurse, doctor = await exchange.call()
    path, reasons = tmp_path / ("a" * 32), list[str]()
    await asyncio.to_thread(files.make, path, b"{}")
    number = exchange.host.record(path, KEY, 10**9, 0, reasons.append)
    for who, caller in (("nurse", nurse), ("doctor", doctor)):
        exchange.host.tell(RecordLeg(number, caller.peer.number, caller.peer.streams(who)))
    async with asyncio.timeout(10.0):
        while len(await asyncio.to_thread(list, files.pieces(path, KEY))) < 2:
            await asyncio.sleep(0.05)
    pid = exchange.host.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    await wait_until(lambda: reasons == ["died"], 5.0)
    found = await asyncio.to_thread(_read, path)
    assert {each.connection for each in found if isinstance(each, Packet)} == {0, 1}
    assert len(found) > 50
    size_bytes = (await asyncio.to_thread(path.stat)).st_size
    await asyncio.to_thread(os.truncate, path, size_bytes - 7)  # and the disk lost some of it
    assert 0 < len(await asyncio.to_thread(_read, path)) < len(found)


def _read(path: Path) -> list[Described | Packet]:
    return [each for piece in files.pieces(path, KEY) for each in read(piece)]
