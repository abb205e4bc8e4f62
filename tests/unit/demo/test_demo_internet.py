"""The demo's names lead to its servers over the link, and all others where the dialer beyond allows."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from random import Random

import pytest

from gateway.backhaul.dialer import Endpoint, RefusedError
from gateway.backhaul.sensing.interface import probe_by
from gateway.demo.internet import DemoInternet
from gateway.demo.link import EmulatedLink, LinkSettings
from tests.unit.demo.virtual_time import LoopClock, in_virtual_time

LOOPBACK = "127.0.0.1"
SETTINGS = LinkSettings(delay_s=0.01)


class Beyond:
    """A dialer that knows one name and refuses the others."""

    def __init__(self, found: Sequence[Endpoint]) -> None:
        self._found = found
        self.asked: list[tuple[str, int]] = []

    async def endpoints(self, host: str, port: int) -> Sequence[Endpoint]:
        self.asked.append((host, port))
        if host != "allowed.example":
            raise RefusedError("address")
        return self._found


async def say_who(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    del reader
    port = writer.get_extra_info("sockname")[1]
    writer.write(str(port).encode())
    writer.close()


@asynccontextmanager
async def world(found_at: str = LOOPBACK) -> AsyncIterator[tuple[EmulatedLink, DemoInternet, Endpoint, Beyond]]:
    """A link, the internet over it, the endpoint of the demo's server, and what lies beyond (the same server)."""
    server = await asyncio.start_server(say_who, LOOPBACK, 0)
    origin = Endpoint(*server.sockets[0].getsockname())
    beyond = Beyond([Endpoint("2001:db8::1", 80), Endpoint(found_at, origin.port)])
    link = EmulatedLink(LoopClock(), SETTINGS, Random(11), {})
    async with asyncio.TaskGroup() as tasks:
        carrying = tasks.create_task(link.run())
        yield link, DemoInternet(link, {"Salud.example": origin}, beyond), origin, beyond
        carrying.cancel()
    server.close()


async def who_answers(endpoints: Sequence[Endpoint]) -> int:
    (endpoint,) = endpoints
    reader, writer = await asyncio.open_connection(*endpoint)
    said = int(await reader.read(-1))
    writer.close()
    return said


@pytest.mark.parametrize("host", ["salud.example", "SALUD.example", "salud.example."])
@pytest.mark.parametrize("port", [80, 443, 8_000])
def test_a_demo_name_leads_to_its_server_by_any_port_over_the_link(host: str, port: int) -> None:
    async def journey() -> None:
        async with world() as (link, internet, origin, beyond):
            found = await internet.endpoints(host, port)
            assert found != [origin], "not past the link"
            assert await who_answers(found) == origin.port
            assert link.statistics().down.carried_bytes > 0
            assert beyond.asked == []

    in_virtual_time(journey())


def test_another_name_is_asked_of_the_dialer_beyond_and_crosses_the_link_too() -> None:
    async def journey() -> None:
        async with world() as (link, internet, origin, beyond):
            assert await who_answers(await internet.endpoints("allowed.example", 443)) == origin.port
            assert beyond.asked == [("allowed.example", 443)]
            assert link.statistics().down.carried_bytes > 0

    in_virtual_time(journey())


def test_what_the_dialer_beyond_refuses_is_refused() -> None:
    async def journey() -> None:
        async with world() as (_, internet, origin, _beyond):
            for host in (LOOPBACK, "elsewhere.example", "salud.example.elsewhere.example"):
                with pytest.raises(RefusedError):
                    await internet.endpoints(host, origin.port)

    in_virtual_time(journey())


def test_a_relays_own_address_cannot_be_asked_for() -> None:
    async def journey() -> None:
        async with world() as (_, internet, _origin, _beyond):
            (relay,) = await internet.endpoints("salud.example", 80)
            with pytest.raises(RefusedError):
                await internet.endpoints(*relay)

    in_virtual_time(journey())


def test_the_same_name_asked_twice_has_one_relay() -> None:
    async def journey() -> None:
        async with world() as (_, internet, _origin, _beyond):
            assert await internet.endpoints("salud.example", 80) == await internet.endpoints("salud.example", 443)

    in_virtual_time(journey())


async def test_a_probe_of_the_backhaul_sees_a_silent_outage_and_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.backhaul.sensing.interface.PROBE_S", 0.2)
    async with world() as (link, internet, _origin, _beyond):
        answers = probe_by(internet)
        peer = ("salud.example", 80)
        assert await answers(peer)
        link.outage(600, silent=True)
        assert link.carrier()
        assert not await answers(peer)
        link.outage(0)
        assert await answers(peer)
