"""A check of ours tells the round trip once, by its answer alone; whoever answered one may send from there."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import aioice
import aioice.ice
import pytest
from aioice import stun

from gateway.clinic.media.forwarding import ASKED_MAX, Wire
from gateway.clinic.media.ports import Address
from tests.clocks import HandClock

PEER = ("192.0.2.9", 5_006)
KEY = "0123456789012345678901"


class Transport:
    """A way that takes what is sent, as a relay's does."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self._TurnTransport__send_tasks: set[object] = set()

    def sendto(self, datagram: bytes, address: tuple[str, int]) -> None:
        assert address == PEER
        self.sent.append(datagram)


class Asking:
    """A wire whose way is agreed on, and what is heard of it."""

    def __init__(self) -> None:
        self.clock = HandClock()
        self.way = Transport()
        self.left: list[bytes] = []  # to aioice
        self.failed: list[Exception] = []
        self.round_trips: list[tuple[float, float]] = []
        ice: Any = aioice.ice.Connection(ice_controlling=False)
        ice.remote_username, ice.remote_password = "theirs", KEY
        self.protocol: Any = SimpleNamespace(
            transport=self.way, transactions={}, datagram_received=lambda datagram, address: self.left.append(datagram)
        )
        ice._protocols = [self.protocol]
        self.nominated: dict[int, Any] = ice._nominated
        self.pair = SimpleNamespace(protocol=self.protocol, remote_addr=PEER, component=1)
        dtls = SimpleNamespace(transport=SimpleNamespace(_connection=ice), _rx_srtp=None, _tx_srtp=None)
        self.wire = Wire(
            SimpleNamespace(receiver=SimpleNamespace(transport=dtls)),  # type: ignore[arg-type]
            now_s=self.clock.now_s,
            failed=self.failed.append,
            take_rtp=lambda packet, now_s: None,
            take_feedback=lambda feedback, now_s: None,
        )
        ice.check_incoming = lambda check, address, by: None
        self.wire.take_over()
        self.checked: Callable[[Address], None] = lambda address: ice.check_incoming(None, address, self.protocol)
        self.wire.tell_round_trips(lambda round_trip_s, now_s: self.round_trips.append((round_trip_s, now_s)))

    def comes(self, datagram: bytes, address: tuple[str, int] = PEER) -> None:
        self.protocol.datagram_received(datagram, address)


@pytest.fixture
def asking() -> Asking:
    made = Asking()
    made.nominated[1] = made.pair
    return made


def answer_to(request: bytes) -> bytes:
    asked = stun.parse_message(request)
    assert asked.check_message_integrity(KEY.encode())
    return bytes(stun.Message(stun.Method.BINDING, stun.Class.RESPONSE, transaction_id=asked.transaction_id))


def test_an_answer_tells_its_round_trip_once_and_shows_that_the_browser_is_there(asking: Asking) -> None:
    asking.wire.ask(asking.clock.now)
    assert asking.wire.sent_bytes == len(asking.way.sent[0]) + 28
    asking.clock.pass_s(0.25)
    answer = answer_to(asking.way.sent[0])
    asking.comes(answer)
    [(round_trip_s, at_s)] = asking.round_trips
    assert round_trip_s == pytest.approx(0.25)
    assert at_s == asking.clock.now
    assert asking.wire.heard_s == asking.clock.now
    assert asking.left == []
    asking.comes(answer)
    assert len(asking.round_trips) == 1
    assert asking.left == [answer]


def test_an_answer_from_elsewhere_or_to_nothing_tells_nothing(asking: Asking) -> None:
    asking.wire.ask(asking.clock.now)
    answer = answer_to(asking.way.sent[0])
    asking.comes(answer, ("198.51.100.1", 5_006))
    asking.comes(answer[:8] + bytes(12))
    asking.comes(answer[:19])
    asking.comes(b"\x01\x11" + answer[2:])  # an error (RFC 8489 §5)
    asking.comes(b"\x00\x01" + answer[2:])  # a request
    assert asking.round_trips == []
    assert asking.failed == []


def test_of_checks_without_an_answer_the_oldest_is_forgotten(asking: Asking) -> None:
    for _ in range(ASKED_MAX + 3):
        asking.wire.ask(asking.clock.now)
        asking.clock.pass_s(0.1)
    for request in asking.way.sent:
        asking.comes(answer_to(request))
    assert len(asking.round_trips) == ASKED_MAX


def test_what_raises_where_it_is_told_is_this_browser_s_alone(asking: Asking) -> None:
    asking.wire.tell_round_trips(breaks)
    asking.wire.ask(asking.clock.now)
    asking.comes(answer_to(asking.way.sent[0]))
    assert [type(each) for each in asking.failed] == [ZeroDivisionError]


def test_a_browser_may_send_its_handshake_from_each_address_it_checked(asking: Asking) -> None:
    other = ("192.0.2.10", 5_007)
    asking.checked(other)
    handshake = b"\x16\xfe\xff"  # DTLS 1.0's first record (RFC 6347 §4.1)
    for address in (PEER, other, other, ("198.51.100.1", 5_006)):
        asking.comes(handshake + str(address).encode(), address)
    assert asking.left == [handshake + str(address).encode() for address in (PEER, other, other)]


def breaks(round_trip_s: float, now_s: float) -> None:
    raise ZeroDivisionError(round_trip_s, now_s)


def test_before_a_way_is_agreed_on_nothing_is_asked() -> None:
    asking = Asking()
    asking.wire.ask(asking.clock.now)
    assert asking.way.sent == []
