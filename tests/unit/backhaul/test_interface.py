"""A probe is a handshake: any answer counts, addresses are known beforehand, and it goes out by its way."""

import asyncio
import socket
from collections.abc import Sequence
from pathlib import Path

import pytest

from gateway.backhaul.dialer import Endpoint, UnreachableError
from gateway.backhaul.sensing import interface as module
from gateway.backhaul.sensing.interface import KNOWN_MAX, carrier_of, probe_by


class Dialer:
    """Knows every name until the link is cut."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.cut = False
        self.asked = 0

    async def endpoints(self, host: str, port: int) -> Sequence[Endpoint]:
        self.asked += 1
        if self.cut:
            raise UnreachableError
        return [Endpoint("127.0.0.1", self._port)]


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


async def listening() -> asyncio.Server:
    return await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)


async def test_an_answer_and_a_refusal_are_both_answers() -> None:
    async with await listening() as server:
        assert await probe_by(Dialer(server.sockets[0].getsockname()[1]))(("a.example", 443))
    assert await probe_by(Dialer(free_port()))(("a.example", 443))


async def test_a_name_that_was_known_is_asked_without_being_looked_up() -> None:
    async with await listening() as server:
        dialer = Dialer(server.sockets[0].getsockname()[1])
        probe = probe_by(dialer)
        assert await probe.find(("a.example", 443))
        dialer.cut = True
        assert await probe(("a.example", 443)), "the link is back before names are"
        assert not await probe(("b.example", 443))
        assert not await probe.find(("b.example", 443))
        assert dialer.asked == 3


async def test_few_names_are_known() -> None:
    dialer = Dialer(1)
    probe = probe_by(dialer)
    for number in range(3 * KNOWN_MAX):
        await probe.find((f"{number}.example", 443))
    assert len(probe._known) == KNOWN_MAX


async def test_silence_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PROBE_S", 0.03)
    with socket.socket() as full:  # its queue is full: what asks now gets nothing
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(3)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(full.getsockname())
        assert not await probe_by(Dialer(full.getsockname()[1]))(("a.example", 443))
        for each in waiting:
            each.close()


async def test_a_probe_goes_by_its_way_or_not_at_all() -> None:
    bound: list[socket.socket] = []
    async with await listening() as server:
        dialer = Dialer(server.sockets[0].getsockname()[1])
        assert await probe_by(dialer, bound.append)(("a.example", 443))

        def gone(sock: socket.socket) -> None:
            raise OSError("no such device")

        assert not await probe_by(dialer, gone)(("a.example", 443))
    assert [each.fileno() for each in bound] == [-1], "and is closed again"


def test_an_interface_that_was_named_and_is_gone_has_no_carrier(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_NET", tmp_path)
    has_carrier = carrier_of("wwan0")
    assert not has_carrier()
    (tmp_path / "wwan0").mkdir()
    (tmp_path / "wwan0" / "carrier").write_text("1\n", encoding="ascii")
    assert has_carrier()
    (tmp_path / "wwan0" / "carrier").write_text("0\n", encoding="ascii")
    assert not has_carrier()


HEAD = "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n"
REFUSED = "* 00000000 00000000 0201 0 0 -1 00000000 0 0 0\n"
HALF = "tun0 00000000 010200C0 0003 0 0 0 00000080 0 0 0\n"  # 0.0.0.0/1
WHOLE = "wwan0 00000000 010200C0 0003 0 0 100 00000000 0 0 0\n"


@pytest.mark.parametrize(("rows", "found"), [(HALF + WHOLE + REFUSED, "wwan0"), (REFUSED, None), ("", None)])
def test_the_default_route_is_the_one_that_leads_somewhere(
    rows: str, found: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "route").write_text(HEAD + rows)
    monkeypatch.setattr(module, "_ROUTES", tmp_path / "route")
    assert module.default_interface() == found
