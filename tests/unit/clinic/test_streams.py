"""Numbers go on when the source changes, nothing is said twice with other words, and resends know their place."""

import struct

from hypothesis import given
from hypothesis import strategies as st

from gateway.clinic.media.streams import (
    HISTORY_BYTES_MAX,
    NACKS_PER_S_MAX,
    RESENDS_MAX,
    Header,
    History,
    Incoming,
    KeyframeRequests,
    Outgoing,
    read_header,
)

EXTENDED = 0x10


def packet(
    sequence: int,
    *,
    timestamp: int = 0,
    ssrc: int = 7,
    payload: bytes = b"payload",
    first: int = 0x80,
    second: int = 96,
) -> bytes:
    extension = struct.pack("!HH", 0xBEDE, 1) + b"\x22abc" if first & EXTENDED else b""
    sources = b"".join(struct.pack("!L", each) for each in range(first & 0x0F))
    return struct.pack("!BBHLL", first, second, sequence, timestamp, ssrc) + sources + extension + payload


def header(data: bytes) -> Header:
    found = read_header(data)
    assert found is not None
    return found


def outgoing(extension_id: int | None = 3, sequence: int = 1_000) -> Outgoing:
    return Outgoing(ssrc=99, payload_type=100, clock_rate=90_000, abs_send_time_id=extension_id, sequence=sequence)


def sent(stream: Outgoing, data: bytes, now_s: float = 10.0) -> tuple[int, int, bytes] | None:
    """Sequence number, timestamp and payload of what goes out."""
    written = stream.rewrite(data, header(data), now_s)
    if written is None:
        return None
    sequence, copy = written
    out = header(copy)
    assert (out.ssrc, out.payload_type, out.sequence) == (99, 100, sequence)
    return out.sequence, out.timestamp, copy[out.payload_at :]


def test_a_header_is_read_past_sources_and_extensions() -> None:
    found = header(packet(5, timestamp=6, first=0x80 | EXTENDED | 2, second=0x80 | 96))
    assert (found.sequence, found.timestamp, found.payload_type, found.marker) == (5, 6, 96, 0x80)
    assert found.payload_at == 12 + 2 * 4 + 8


@given(st.binary(max_size=64))
def test_any_bytes_are_a_packet_or_none(data: bytes) -> None:
    found = read_header(data)
    assert found is None or found.payload_at <= len(data)


def test_a_copy_holds_the_payload_and_our_own_send_time() -> None:
    data = packet(5, first=0x80 | EXTENDED, second=0x80 | 96, payload=b"picture")
    written = outgoing(extension_id=3).rewrite(data, header(data), now_s=1.5)
    assert written is not None
    copy = written[1]
    assert copy.endswith(b"picture")
    assert header(copy).marker == 0x80
    assert copy[12:20] == struct.pack("!HHL", 0xBEDE, 1, (0x32 << 24) | int(1.5 * 262_144))


def test_without_the_extension_a_copy_has_none() -> None:
    data = packet(5, first=0x80 | EXTENDED)
    written = outgoing(extension_id=None).rewrite(data, header(data), now_s=1.5)
    assert written is not None
    assert len(written[1]) == 12 + len(b"payload")


def test_numbers_keep_their_distances_over_the_wrap_and_out_of_order() -> None:
    stream = outgoing(sequence=65_530)
    numbers = [sent(stream, packet(each & 0xFFFF)) for each in (65_534, 65_536, 65_535, 65_540, 65_537)]
    assert [each[0] for each in numbers if each] == [65_530, 65_532, 65_531, 0, 65_533]


def test_a_new_source_goes_on_where_the_old_one_ended() -> None:
    stream = outgoing()
    for sequence in (50, 51, 52):
        sent(stream, packet(sequence, timestamp=9_000, ssrc=7), 10.0)
    first = sent(stream, packet(40_000, timestamp=777, ssrc=8), 10.5)
    assert first is not None
    assert first[:2] == (1_003, 9_000 + 45_000)
    second = sent(stream, packet(40_001, timestamp=777 + 4_500, ssrc=8), 10.55)
    assert second is not None
    assert second[:2] == (1_004, 9_000 + 45_000 + 4_500)
    assert stream.timestamp_of(8, 777) == 9_000 + 45_000
    assert stream.timestamp_of(7, 9_000) is None


def test_what_a_new_source_sent_before_we_followed_it_is_not_passed_on() -> None:
    stream = outgoing()
    sent(stream, packet(50, ssrc=7))
    sent(stream, packet(40_000, ssrc=8))
    assert sent(stream, packet(39_999, ssrc=8, payload=b"other")) is None


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 40)), max_size=80))
def test_one_number_never_stands_for_two_contents(steps: list[tuple[int, int]]) -> None:
    stream = outgoing(sequence=65_500)
    seen: dict[int, bytes] = {}
    for source, offset in steps:
        payload = f"{source}-{offset}".encode()
        found = sent(stream, packet((65_520 + offset) & 0xFFFF, ssrc=source, payload=payload))
        if found is not None:
            assert seen.setdefault(found[0], found[2]) == found[2]


def test_a_gap_is_told_once_and_a_late_packet_is_no_gap() -> None:
    stream = Incoming(90_000)
    skipped = [list(stream.received(header(packet(each & 0xFFFF)), 1.0)) for each in (65_533, 65_536, 65_534, 65_537)]
    assert skipped == [[], [65_534, 65_535], [], []]


def test_a_report_counts_what_was_lost_since_the_last_one() -> None:
    stream = Incoming(90_000)
    for sequence in (1, 2, 3, 5):
        stream.received(header(packet(sequence)), 1.0)
    stream.reported(0x0001_8000_4000_0000, 2.0)
    first = stream.reception(3.0)
    assert first is not None
    assert (first.fraction_lost, first.packets_lost, first.highest_sequence) == (256 // 5, 1, 5)
    assert (first.last_report, first.since_report) == (0x80004000, 65_536)
    stream.received(header(packet(6)), 1.0)
    second = stream.reception(4.0)
    assert second is not None
    assert (second.fraction_lost, second.packets_lost) == (0, 1)


def test_jitter_is_the_wander_of_arrivals() -> None:
    even, uneven = Incoming(90_000), Incoming(90_000)
    for index in range(200):
        data = header(packet(index, timestamp=index * 4_500))
        even.received(data, 10.0 + index * 0.05)
        uneven.received(data, 10.0 + index * 0.05 + (index % 2) * 0.01)
    calm, shaken = even.reception(30.0), uneven.reception(30.0)
    assert calm is not None
    assert shaken is not None
    assert calm.jitter <= 1
    assert 800 <= shaken.jitter <= 900  # 10 ms at 90 kHz


def test_a_stream_that_has_not_begun_has_no_report() -> None:
    assert Incoming(48_000).reception(1.0) is None


def test_asking_again_is_limited() -> None:
    stream = Incoming(90_000)
    assert sum(stream.may_ask_again(1.0) for _ in range(100)) == NACKS_PER_S_MAX
    assert stream.may_ask_again(1.1)


def generous() -> History:
    history = History()
    history.allow(50_000_000)
    return history


def test_a_packet_is_sent_again_as_it_was() -> None:
    history = generous()
    history.keep(5, b"datagram", 1.0)
    assert history.again(5, 1.1) == b"datagram"
    assert history.again(6, 1.1) is None


def test_an_old_packet_is_not_sent_again() -> None:
    history = generous()
    history.keep(5, b"datagram", 1.0)
    assert history.again(5, 2.1) is None


def test_the_same_packet_is_not_sent_again_at_once_nor_for_ever() -> None:
    history = generous()
    history.keep(5, b"datagram", 1.0)
    asked = [history.again(5, 1.0 + each / 100) for each in range(100)]
    assert asked[0] is not None
    assert asked[1] is None
    assert sum(each is not None for each in asked) == RESENDS_MAX


def test_resends_take_a_part_of_the_link_and_no_more() -> None:
    history = History()
    history.allow(400_000)  # a fifth of it: 10 kB/s, saved up for half a second
    for sequence in range(100):
        history.keep(sequence, bytes(1_000), 1.0)
    assert sum(history.again(each, 1.1) is not None for each in range(100)) == 5


def test_a_history_holds_a_second_and_a_quarter_megabyte() -> None:
    history = generous()
    for sequence in range(400):
        history.keep(sequence, bytes(1_000), 1.0)
    kept = [each for each in range(400) if history.again(each, 1.0) is not None]
    assert len(kept) <= HISTORY_BYTES_MAX // 1_000
    assert kept[-1] == 399


def test_keyframes_are_asked_for_once_each_half_second() -> None:
    requests = KeyframeRequests()
    assert not requests.due(1.0)
    asked = 0
    for tick in range(100):
        requests.want()
        asked += requests.due(1.0 + tick / 100)
    assert asked == 2
    assert requests.due(2.0)
    assert not requests.due(9.0)
