"""A name that is not answered holds up nobody else."""

import asyncio
import socket
from collections.abc import Iterator
from threading import Event, Thread
from typing import Any

import pytest

from gateway.backhaul import names as naming
from gateway.backhaul.names import Names
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
