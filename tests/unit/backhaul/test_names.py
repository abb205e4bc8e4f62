"""A name that is not answered holds up nobody else."""

import asyncio
import socket
from collections.abc import Iterator
from threading import Event, Thread
from typing import Any

import pytest

from gateway.backhaul import names as naming
from gateway.backhaul.dialer import PublicDialer, RefusedError
from gateway.backhaul.names import Names
from tests.clocks import HandClock
from tests.waiting import wait_until


class Resolver:
    """The machine's resolver: names that begin with `hang` wait until they are let go."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.go = Event()

    def __call__(self, host: str, port: object, **named: Any) -> list[Any]:
        del port, named
        self.asked.append(host)
        if host.startswith("hang"):
            self.go.wait(10)
            raise socket.gaierror(socket.EAI_AGAIN, "temporary failure")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("9.9.9.9", 0))]


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Resolver]:
    found = Resolver()
    monkeypatch.setattr(socket, "getaddrinfo", found)
    yield found
    found.go.set()


async def failing(names: Names, host: str) -> None:
    with pytest.raises(socket.gaierror):
        await names.addresses(host)


async def test_names_that_hang_hold_up_neither_others_nor_the_boxs_own_threads(resolver: Resolver) -> None:
    names = Names()
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        hanging = [tasks.create_task(names.addresses(f"hang{number}.test")) for number in range(40)]
        await wait_until(lambda: len(resolver.asked) == 40)
        assert await names.addresses("good.test") == ["9.9.9.9"]
        assert await asyncio.to_thread(lambda: 7) == 7
        for each in hanging:
            each.cancel()


async def test_with_no_room_an_address_needs_none_and_a_name_waits_its_turn(
    resolver: Resolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(naming, "LOOKUPS_MAX", 2)
    names = Names()
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        for number in range(2):
            tasks.create_task(failing(names, f"hang{number}.test"))
        await wait_until(lambda: len(resolver.asked) == 2)
        left = tasks.create_task(names.addresses("left.test"))
        good = tasks.create_task(names.addresses("good.test"))
        assert await names.addresses("127.0.0.2") == ["127.0.0.2"]
        assert await names.addresses("fe80::1%lo") == ["fe80::1%lo"]
        left.cancel()
        resolver.go.set()
        assert await good == ["9.9.9.9"]
    assert "left.test" not in resolver.asked, "nobody waited for it any more"


async def test_one_name_is_looked_up_once_for_all_who_wait_and_again_for_the_next(resolver: Resolver) -> None:
    names = Names()
    async with asyncio.TaskGroup() as tasks:
        waiting = [tasks.create_task(names.addresses("hang.test")) for _ in range(5)]
        await wait_until(lambda: len(resolver.asked) == 1)
        for each in waiting:
            each.cancel()
    resolver.go.set()
    await wait_until(lambda: not names._under_way)
    with pytest.raises(OSError, match="temporary"):
        await names.addresses("hang.test")
    assert resolver.asked == ["hang.test"] * 2


async def test_a_machine_without_room_for_a_thread_is_a_failed_name(
    resolver: Resolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Thread) -> None:
        del self
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(Thread, "start", full)
    with pytest.raises(OSError, match="no thread"):
        await Names().addresses("good.test")
    assert resolver.asked == []


class Moody(Resolver):
    """A resolver that answers, is silent, or fails, as it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.says: str | int = "9.9.9.9"
        self.is_silent = False

    def __call__(self, host: str, port: object, **named: Any) -> list[Any]:
        del port, named
        self.asked.append(host)
        if self.is_silent:
            self.go.wait(10)
        if isinstance(self.says, int):
            raise socket.gaierror(self.says, "no")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (self.says, 0))]


@pytest.fixture
def moody(monkeypatch: pytest.MonkeyPatch) -> Iterator[Moody]:
    found = Moody()
    monkeypatch.setattr(socket, "getaddrinfo", found)
    monkeypatch.setattr(naming, "PATIENCE_S", 0.02)
    yield found
    found.go.set()


async def test_a_silent_resolver_holds_up_no_name_that_was_found_before(moody: Moody, clock: HandClock) -> None:
    names = Names(clock)
    assert await names.addresses("hub.test") == ["9.9.9.9"]
    moody.is_silent = True
    async with asyncio.timeout(5):
        assert await names.addresses("hub.test") == ["9.9.9.9"]
        assert await names.addresses("hub.test") == ["9.9.9.9"]
    assert moody.asked == ["hub.test"] * 2, "the look-up goes on, and is not made twice"
    moody.says = "9.9.9.10"
    moody.go.set()
    await wait_until(lambda: not names._under_way)
    moody.is_silent = False
    moody.says = socket.EAI_AGAIN
    assert await names.addresses("hub.test") == ["9.9.9.10"], "what came late is known from then on"


async def test_after_a_failure_an_old_answer_serves_at_once_and_each_asks_again(
    moody: Moody, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = Names(clock)
    await names.addresses("hub.test")
    moody.says = socket.EAI_AGAIN
    assert await names.addresses("hub.test") == ["9.9.9.9"]
    moody.is_silent = True
    monkeypatch.setattr(naming, "PATIENCE_S", 60.0)
    async with asyncio.timeout(5):
        assert await names.addresses("hub.test") == ["9.9.9.9"]
    await wait_until(lambda: len(moody.asked) == 3)
    moody.says = "9.9.9.11"
    moody.go.set()
    await wait_until(lambda: not names._under_way)
    assert await names.addresses("hub.test") == ["9.9.9.11"]


async def test_a_name_that_is_gone_is_not_served(moody: Moody, clock: HandClock) -> None:
    names = Names(clock)
    await names.addresses("hub.test")
    moody.says = socket.EAI_NONAME
    for code in (socket.EAI_NONAME, socket.EAI_AGAIN):
        moody.says = code
        with pytest.raises(socket.gaierror):
            await names.addresses("hub.test")


async def test_an_answer_of_many_hours_ago_and_a_name_never_found_are_not_served(
    moody: Moody, clock: HandClock
) -> None:
    names = Names(clock)
    await names.addresses("hub.test")
    moody.says = socket.EAI_AGAIN
    with pytest.raises(socket.gaierror):
        await names.addresses("other.test")
    clock.pass_s(naming.STALE_S_MAX)
    assert await names.addresses("hub.test") == ["9.9.9.9"]
    clock.pass_s(1)
    with pytest.raises(socket.gaierror):
        await names.addresses("hub.test")


async def test_so_many_names_are_remembered(moody: Moody, clock: HandClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(naming, "KNOWN_MAX", 2)
    names = Names(clock)
    for host in ("a.test", "b.test", "a.test", "c.test"):
        await names.addresses(host)
    assert list(names._known) == ["a.test", "c.test"]


async def test_an_old_answer_is_checked_like_a_new_one(moody: Moody, clock: HandClock) -> None:
    dialer = PublicDialer()
    dialer._names = Names(clock)
    assert await dialer.endpoints("site.test", 443) == [("9.9.9.9", 443)]
    moody.says = "10.0.0.1"
    with pytest.raises(RefusedError):
        await dialer.endpoints("site.test", 443)
    moody.says = socket.EAI_AGAIN
    with pytest.raises(RefusedError):
        await dialer.endpoints("site.test", 443)
