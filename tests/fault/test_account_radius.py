"""A server that lies, floods, answers late or answers another is not believed; what it is owed is kept."""

import asyncio
import itertools
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import cast

import pytest
from pyrad.packet import AcctPacket

from gateway.backhaul.account.account import Account
from gateway.backhaul.account.radius import WORDS, Heard, Radius, RadiusLimits
from gateway.backhaul.account.radius_wire import Answer, Request
from gateway.backhaul.account.tables import FILE
from gateway.backhaul.sharing.classes import TrafficClass
from tests.clocks import HandClock
from tests.waiting import wait_until

SECRET, OTHER = b"a secret of the operator", b"somebody else's secret"
LIMITS = RadiusLimits(interim_s=600, first_s=0.02, last_s=0.08, round_s=0.2, rest_s=0.02, rest_s_max=0.02)

Reply = Callable[[AcctPacket], list[bytes]]


def honest(request: AcctPacket) -> list[bytes]:
    return [request.CreateReply().ReplyPacket()]


def with_other_secret(request: AcctPacket) -> list[bytes]:
    reply = request.CreateReply()
    reply.secret = OTHER
    return [reply.ReplyPacket()]


def flooding(request: AcctPacket) -> list[bytes]:
    del request
    return [bytes([5]) + b"\x00" * count for count in range(200)]


def to_another(request: AcctPacket) -> list[bytes]:
    reply = request.CreateReply()
    reply.id = (request.id + 1) % 256
    return [reply.ReplyPacket()]


def silent(request: AcctPacket) -> list[bytes]:
    del request
    return []


class Server(asyncio.DatagramProtocol):
    """A RADIUS server by script."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        self.requests: list[bytes] = []
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str | bytes, int]) -> None:
        self.requests.append(data)
        request = AcctPacket(packet=data, secret=SECRET)
        assert request.VerifyAcctRequest(), "each request is signed with the secret"
        assert self._transport is not None
        for each in self.reply(request):
            self._transport.sendto(each, addr)


class Line:
    async def take_up(self, size_bytes: int) -> None: ...
    def moved(self, *, down_bytes: int = 0, up_bytes: int = 0) -> None: ...


@contextmanager
def line() -> Iterator[Line]:
    yield Line()


class World:
    """A box and its server, while a client runs."""

    def __init__(self, folder: Path, clock: HandClock, reply: Reply) -> None:
        self._folder = folder
        self._clock = clock
        self.server = Server(reply)
        self.client: Radius

    async def __aenter__(self) -> "World":
        loop, numbers = asyncio.get_running_loop(), itertools.count()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self.server, local_addr=("127.0.0.1", 0))
        port = self._transport.get_extra_info("sockname")[1]
        self.account = Account(self._folder, self._clock, box="b", token=lambda: f"token-{next(numbers)}")
        await self.account.start()
        self.client = Radius(
            self.account,
            self._clock,
            box="b",
            server=("127.0.0.1", port),
            secret=SECRET,
            claim=line,
            limits=LIMITS,
            chance=lambda: 0.5,
        )
        self._group = asyncio.TaskGroup()
        await self._group.__aenter__()
        self._task = self._group.create_task(self.client.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])
        await self._group.__aexit__(None, None, None)
        self._transport.close()
        await self.account.stop()


@pytest.mark.parametrize("reply", [flooding, to_another, silent])
async def test_what_is_no_answer_acknowledges_nothing(tmp_path: Path, clock: HandClock, reply: Reply) -> None:
    async with World(tmp_path, clock, reply) as world:
        await wait_until(lambda: world.client.statistics().heard is Heard.SILENT)
        assert (world.client.statistics().waiting, world.client.statistics().acknowledged) == (1, 0)
        world.server.reply = honest
        await wait_until(lambda: world.client.statistics().waiting == 0)


async def test_an_answer_with_another_secret_is_said_in_words_and_not_believed(
    tmp_path: Path, clock: HandClock
) -> None:
    async with World(tmp_path, clock, with_other_secret) as world:
        await wait_until(lambda: world.client.statistics().heard is Heard.FORGED)
        statistics = world.client.statistics()
        assert (statistics.waiting, statistics.acknowledged) == (1, 0)
        assert statistics.forged > 0
        assert "another shared secret" in WORDS[statistics.heard]


async def test_a_request_is_sent_again_as_it_was_and_its_pauses_grow(tmp_path: Path, clock: HandClock) -> None:
    arrived: list[float] = []

    def keep_time(request: AcctPacket) -> list[bytes]:
        del request
        arrived.append(asyncio.get_running_loop().time())
        return []

    async with World(tmp_path, clock, keep_time) as world:
        await wait_until(lambda: len(world.server.requests) >= 4)
        first = world.server.requests[:3]
        assert first[0] == first[1] == first[2]
    assert arrived[2] - arrived[1] > 1.3 * (arrived[1] - arrived[0])


async def test_an_answer_that_is_lost_is_asked_for_again_and_nothing_counts_twice(
    tmp_path: Path, clock: HandClock
) -> None:
    heard: list[AcctPacket] = []

    def every_third(request: AcctPacket) -> list[bytes]:
        heard.append(request)
        return honest(request) if len(heard) % 3 == 0 else []

    async with World(tmp_path, clock, every_third) as world:
        await wait_until(lambda: world.client.statistics().acknowledged == 1)
        for count in range(1, 6):
            world.account.count("coop", TrafficClass.WEB, down_bytes=1_000)
            clock.pass_s(60)
            await world.account.beat()
            world.client.wake()
            await wait_until(partial(_has_told, world.client, count + 1))  # On, Start, and what was told before
            clock.pass_s(LIMITS.interim_s - 60)
            world.client.wake()
            await wait_until(partial(_has_told, world.client, count + 2))
    sums = [int.from_bytes(each[43][0], "big") for each in heard if 43 in each]
    assert sums == sorted(sums), "a later report never says less"
    assert sums[-1] == 5_000


def _has_told(client: Radius, reports: int) -> bool:
    return client.statistics().acknowledged == reports


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE state SET document='[]' WHERE name='radius'",
        "UPDATE state SET document='{' WHERE name='radius'",
        "UPDATE reports SET document='{\"status\": 77}'",
        "UPDATE reports SET document='nonsense'",
    ],
)
async def test_sessions_that_cannot_be_read_begin_anew_and_say_so(
    tmp_path: Path, clock: HandClock, damage: str
) -> None:
    async with World(tmp_path, clock, silent) as world:
        await wait_until(lambda: world.client.statistics().waiting == 1)

    broken = sqlite3.connect(tmp_path / FILE)
    broken.execute(damage)
    broken.commit()
    broken.close()
    async with World(tmp_path, clock, honest) as world:
        await wait_until(lambda: world.client.statistics().acknowledged == 1)
        (on,) = (AcctPacket(packet=each, secret=SECRET) for each in world.server.requests)
        assert on[40] == [b"\0\0\0\x07"]


def test_no_datagram_breaks_the_reader() -> None:
    request = Request(7, SECRET, [("Acct-Status-Type", 7), ("NAS-Identifier", "ñ" * 300)])
    for octets in (b"", b"\x05", b"\x05\x07\x00\x14" + b"\x00" * 16, b"\x05\x07\xff\xff" + b"\x50\x01" * 2_000):
        assert request.answered_by(octets) is not Answer.ACKNOWLEDGED
    assert len(request.octets) < 300
