"""Each packet of a stream counts once, reports tell what was lost, and a stream that starts anew is another."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.clinic.media.streams import KNOWN_PACKETS, NTP_HZ, Allowance, Incoming, SenderTime


def received(stream: Incoming, sequence: int, *, ssrc: int = 7, timestamp: int = 0, now_s: float = 1.0) -> int:
    return stream.received(ssrc, sequence & 0xFFFF, timestamp, now_s)


def test_a_gap_is_told_once_and_a_late_packet_is_no_gap() -> None:
    stream = Incoming(90_000)
    found = [(received(stream, each), stream.skipped) for each in (65_533, 65_536, 65_534, 65_537)]
    assert found == [(65_533, 0), (65_536, 2), (65_534, 0), (65_537, 0)]


def test_a_packet_that_came_before_is_nothing() -> None:
    stream = Incoming(90_000)
    assert [received(stream, each) for each in (5, 6, 5, 6, 8, 7, 7)] == [5, 6, -1, -1, 8, 7, -1]
    assert stream.packets == 4


def test_what_was_sent_before_the_first_that_came_is_nothing() -> None:
    stream = Incoming(90_000)
    assert [received(stream, each) for each in (5, 4, 6)] == [5, -1, 6]


@given(st.integers(0, 65_535), st.lists(st.integers(-1_200, 400), max_size=60))
def test_no_number_counts_twice_in_any_order(first: int, steps: list[int]) -> None:
    stream = Incoming(90_000)
    at, seen = first, [received(stream, first)]
    run = stream.run
    for step in steps:
        at += step
        number = received(stream, at)
        if stream.run is not run:
            run, seen = stream.run, []
        if number >= 0:
            assert number & 0xFFFF == at & 0xFFFF
            assert number not in seen
            seen.append(number)


def test_another_ssrc_and_numbers_from_elsewhere_are_another_run() -> None:
    stream = Incoming(90_000)
    received(stream, 5)
    run = stream.run
    received(stream, 5, ssrc=8)
    assert stream.run is not run
    run = stream.run
    received(stream, 40_000)
    received(stream, 5 + 40_000, ssrc=8)
    run = stream.run
    assert received(stream, 3_000, ssrc=8) == 68_536, "ahead over the wrap"
    assert received(stream, 68_536 - KNOWN_PACKETS - 500, ssrc=8) == -1, "one is late, ..."
    assert stream.run is run
    received(stream, 68_536 - KNOWN_PACKETS - 499, ssrc=8)
    assert stream.run is not run, "... two in a row are a new beginning"


def test_a_packet_that_came_by_another_way_counts_once_and_is_still_reported_lost() -> None:
    stream = Incoming(90_000)
    for each in (10, 12):
        received(stream, each)
    assert [stream.restored(each) for each in (11, 11, 12, 9, 13)] == [11, -1, -1, -1, -1]
    assert received(stream, 11) == -1
    report = stream.reception(2.0)
    assert report is not None
    assert report.packets_lost == 1


def test_a_report_counts_what_was_lost_since_the_last_one() -> None:
    stream = Incoming(90_000)
    for sequence in (1, 2, 3, 5):
        received(stream, sequence)
    stream.reported(0x0001_8000_4000_0000, 2.0)
    first = stream.reception(3.0)
    assert first is not None
    assert (first.fraction_lost, first.packets_lost, first.highest_sequence) == (256 // 5, 1, 5)
    assert (first.last_report, first.since_report) == (0x80004000, 65_536)
    received(stream, 6)
    second = stream.reception(4.0)
    assert second is not None
    assert (second.fraction_lost, second.packets_lost) == (0, 1)


def test_jitter_is_the_wander_of_arrivals() -> None:
    even, uneven = Incoming(90_000), Incoming(90_000)
    for index in range(200):
        at_s = 10.0 + index * 0.05
        received(even, index, timestamp=index * 4_500, now_s=at_s)
        received(uneven, index, timestamp=index * 4_500, now_s=at_s + (index % 2) * 0.01)
    calm, shaken = even.reception(30.0), uneven.reception(30.0)
    assert calm is not None
    assert shaken is not None
    assert calm.jitter <= 1
    assert 800 <= shaken.jitter <= 900  # 10 ms at 90 kHz


def test_a_stream_that_has_not_begun_has_no_report() -> None:
    assert Incoming(48_000).reception(1.0) is None


def test_a_report_s_clocks_are_told_for_any_moment_of_the_run() -> None:
    stream = Incoming(90_000)
    received(stream, 1)
    assert stream.tied(1.0) is None
    stream.tie(5 * NTP_HZ, 0xFFFF_FFFF, 10.0)
    assert stream.tied(10.5) == (5 * NTP_HZ + NTP_HZ // 2, 44_999)
    received(stream, 1, ssrc=8)
    assert stream.tied(11.0) is None


def test_two_browsers_clocks_meet_in_ours_and_each_keeps_its_distances() -> None:
    one, other = SenderTime(), SenderTime()
    assert one.ours(7_000 * NTP_HZ, 100.0) == other.ours(3 * NTP_HZ, 100.0) == 100 * NTP_HZ
    assert one.ours(7_002 * NTP_HZ, 102.4) == 102 * NTP_HZ, "a delay does not move it"
    assert one.ours(9_000 * NTP_HZ, 103.0) == 103 * NTP_HZ, "a clock that was set does"


def test_an_allowance_is_saved_up_so_far_and_no_further() -> None:
    allowance = Allowance(10, burst_s=0.5)
    assert sum(allowance.take(1, 1.0) for _ in range(20)) == 5
    assert sum(allowance.take(1, 100.0) for _ in range(20)) == 5
    assert allowance.take(1, 100.15)
