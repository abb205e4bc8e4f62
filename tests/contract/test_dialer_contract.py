"""What every dialer keeps: it never returns nothing, it says in one of two ways that it cannot, and whoever dials for
somebody else reaches no inside address in any form, by name or literal.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_address, ip_network
from random import Random
from typing import Any

import pytest

from gateway.backhaul.dialer import Dialer, Endpoint, OpenDialer, PublicDialer, RefusedError, UnreachableError
from gateway.clock import SystemClock
from gateway.demo.internet import DemoInternet
from gateway.demo.link import EmulatedLink, LinkSettings

DIALERS = ("open", "public", "demo")
FOR_OTHERS = ("public", "demo")
INSIDE_LITERALS = (
    "127.0.0.1",
    "127.8.8.8",
    "localhost",
    "LOCALHOST",
    "::1",
    "::",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:0:7f00:1",
    "::127.0.0.1",
    "0.0.0.0",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "169.254.169.254",
    "198.18.0.1",
    "224.0.0.1",
    "255.255.255.255",
    "fd00::1",
    "fe80::1",
    "fe80::1%lo",
    "fec0::1",
    "ff02::1",
    "2001:db8::1",
    "3fff::1",
    "2002:7f00:1::1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::7f00:1",
    "2001:0:808:808::80ff:fffe",
    "0177.0.0.1",
    "2130706433",
    "0x7f.1",
    "0x7f000001",
    "127.1",
    "0",
)
PUBLIC = ("9.9.9.9", "2620:fe::fe", "64:ff9b::909:909")


@asynccontextmanager
async def dialling(kind: str) -> AsyncIterator[Dialer]:
    match kind:
        case "open":
            yield OpenDialer()
        case "public":
            yield PublicDialer()
        case _:
            link = EmulatedLink(SystemClock(), LinkSettings(delay_s=0.0), Random(1), {})
            async with asyncio.TaskGroup() as tasks:
                carrying = tasks.create_task(link.run())
                yield DemoInternet(link, {"salud.example": Endpoint("127.0.0.1", 9)}, PublicDialer())
                carrying.cancel()


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """Names the machine's resolver knows besides its own; a name not in it and not an address is unknown."""
    known: dict[str, list[str]] = {}
    resolver = socket.getaddrinfo

    def getaddrinfo(host: Any, port: Any, *rest: Any, **named: Any) -> Any:
        if host in known:
            return [answer for each in known[host] for answer in resolver(each, port, type=socket.SOCK_STREAM)]
        if str(host).endswith(".invalid"):
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return resolver(host, port, *rest, **named)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return known


@pytest.mark.parametrize("literal", INSIDE_LITERALS)
@pytest.mark.parametrize("kind", FOR_OTHERS)
async def test_an_inside_address_is_refused_in_every_form(kind: str, literal: str) -> None:
    async with dialling(kind) as dialer:
        with pytest.raises((RefusedError, UnreachableError)):
            await dialer.endpoints(literal, 80)


def is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("literal", [text for text in INSIDE_LITERALS if is_address(text)])
@pytest.mark.parametrize("kind", FOR_OTHERS)
async def test_a_name_that_points_inside_is_refused(kind: str, literal: str, names: dict[str, list[str]]) -> None:
    names["inside.example"] = [literal]
    async with dialling(kind) as dialer:
        with pytest.raises(RefusedError):
            await dialer.endpoints("inside.example", 80)


@pytest.mark.parametrize("literal", PUBLIC)
@pytest.mark.parametrize("kind", DIALERS)
async def test_a_public_address_is_dialled(kind: str, literal: str, names: dict[str, list[str]]) -> None:
    names["public.example"] = [literal]
    async with dialling(kind) as dialer:
        for host in (literal, "public.example"):
            found = await dialer.endpoints(host, 443)
            assert len(found) >= 1
            assert all(end.port > 0 and is_address(end.host) for end in found)


async def test_of_a_name_that_points_both_ways_only_the_outside_is_dialled(names: dict[str, list[str]]) -> None:
    names["both.example"] = ["127.0.0.1", "9.9.9.9", "fd00::1"]
    async with dialling("public") as dialer:
        assert await dialer.endpoints("both.example", 80) == [Endpoint("9.9.9.9", 80)]


@pytest.mark.parametrize("host", ["no-such-name.invalid", "a" * 64 + ".invalid", "x" * 300, "\udcff.invalid", "a..b"])
@pytest.mark.parametrize("kind", DIALERS)
async def test_a_name_nobody_knows_is_unreachable_never_an_empty_answer(
    kind: str, host: str, names: dict[str, list[str]]
) -> None:
    assert host not in names
    async with dialling(kind) as dialer:
        with pytest.raises(UnreachableError):
            await dialer.endpoints(host, 80)


@pytest.mark.parametrize("kind", FOR_OTHERS)
@pytest.mark.parametrize("port", [22, 25, 0, 8080])
async def test_a_port_that_is_not_allowed_is_refused(kind: str, port: int) -> None:
    async with dialling(kind) as dialer:
        with pytest.raises(RefusedError):
            await dialer.endpoints("9.9.9.9", port)


async def test_the_operators_exception_is_dialled_in_every_form() -> None:
    dialer = PublicDialer([ip_network("10.20.0.0/24")], ports=(8_000,))
    for form in ("10.20.0.9", "::ffff:10.20.0.9"):
        assert await dialer.endpoints(form, 8_000)
    for outside in ("10.20.1.9", "::ffff:10.20.1.9", "127.0.0.1"):
        with pytest.raises(RefusedError):
            await dialer.endpoints(outside, 8_000)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "10.0.0.1"])
async def test_what_the_operator_named_may_be_inside(host: str) -> None:
    async with dialling("open") as dialer:
        assert await dialer.endpoints(host, 8_080)


async def test_the_demo_returns_its_own_relays_and_nothing_else() -> None:
    async with dialling("demo") as dialer:
        for host, port in (("salud.example", 80), ("9.9.9.9", 443)):
            (found,) = await dialer.endpoints(host, port)
            assert found.host == "127.0.0.1"
            assert found.port not in {9, 80, 443}
