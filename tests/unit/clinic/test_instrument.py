"""A call tells of the link's queue and losses, and whatever its far end stamps, what is no queue becomes none."""

import struct
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.backhaul.sensing.delay import Queueing
from gateway.backhaul.sensing.samples import DelaySample, Sees
from gateway.clinic.media.headers import payload_start
from gateway.clinic.media.instrument import (
    DELAY_S_MAX,
    LEAP_S,
    LOST_MAX,
    SAMPLES_PER_S_MAX,
    SETTLED_S,
    STAMP_HZ,
    STAMPS,
    Instrument,
    Loss,
    Losses,
    SenderClock,
    sent_at,
)

PACKET_S = 0.02
STAMP_ID = 2
BEGAN_S = 1_000.0


def packet(sent_s: float, number: int = 0, *, timestamp: int | None = None, stamp_id: int = STAMP_ID) -> bytes:
    """A packet as a browser writes it: an audio level, padding, and when it was sent."""
    extension = bytes([0x10, 0x7F, 0, 0, stamp_id << 4 | 2]) + (int(sent_s * STAMP_HZ) % STAMPS).to_bytes(3)
    head = struct.pack("!BBHLL", 0x90, 111, number & 0xFFFF, number if timestamp is None else timestamp, 5)
    return head + struct.pack("!HH", 0xBEDE, len(extension) // 4) + extension + b"sound"


class Call:
    """A voice that is heard by the instrument, and the queue that the backhaul makes of it."""

    def __init__(self) -> None:
        self.instrument = Instrument("call:7", {"audio": STAMP_ID, "video": STAMP_ID})
        self.queueing = Queueing()
        self.told: list[DelaySample] = []
        self.queues_s: list[float] = []
        self._number = 0

    def hear(self, sent_s: float, arrived_s: float, kind: str = "audio", timestamp: int | None = None) -> None:
        self._number += 1
        data = packet(sent_s, self._number, timestamp=timestamp)
        stamp = int.from_bytes(data[4:8])
        sample = self.instrument.arrived(data, payload_start(data), kind, stamp, arrived_s)
        if sample is not None:
            self.told.append(sample)
            self.queues_s.append(self.queueing.feed(sample)[0])

    def talk(
        self, since_s: float, until_s: float, *, behind_s: float = 0.05, ahead_s: float = 0.0, every_s: float = PACKET_S
    ) -> None:
        """Voice that left by a clock which is `ahead_s` of ours, and took `behind_s`."""
        for number in range(round((until_s - since_s) / every_s)):
            at_s = since_s + number * every_s
            self.hear(at_s + ahead_s, at_s + behind_s)


def test_a_queue_is_heard_to_the_millisecond_and_its_end_too() -> None:
    call = Call()
    call.talk(0, 5, ahead_s=12_345)
    assert max(call.queues_s) < 0.001
    call.talk(5, 7, ahead_s=12_345, behind_s=0.17)
    assert call.queues_s[-1] == pytest.approx(0.12, abs=0.001)
    call.talk(7, 8, ahead_s=12_345)
    assert call.queues_s[-1] < 0.001
    assert {each.sees for each in call.told} == {Sees.DOWN}
    assert len({each.path for each in call.told}) == 1


def test_the_stamps_go_around_after_64_s_and_nothing_is_seen_of_it() -> None:
    call = Call()
    call.talk(0, 200)
    assert len({each.path for each in call.told}) == 1
    assert max(call.queues_s) < 0.001


def test_a_silence_in_which_a_packet_comes_each_400_ms_is_heard_like_a_voice() -> None:
    call = Call()
    call.talk(0, 5)
    call.talk(5, 25, every_s=0.4)
    call.talk(25, 30, behind_s=0.1)
    assert len({each.path for each in call.told}) == 1
    assert call.queues_s[-1] == pytest.approx(0.05, abs=0.001)


@pytest.mark.parametrize("ahead_s", [-1.0, -0.5, 0.2, 7.0, 31.0, 33.0, 50.0])
def test_a_clock_that_was_set_is_no_queue(ahead_s: float) -> None:
    call = Call()
    call.talk(0, 5)
    call.talk(5, 10, ahead_s=ahead_s)
    assert max(call.queues_s) < LEAP_S
    assert len({each.path for each in call.told}) == 2


@pytest.mark.parametrize("pause_s", [2.5, 4.0, 20.0, 64.0, 3_600.0])
def test_a_computer_that_slept_is_no_queue(pause_s: float) -> None:
    call = Call()
    call.talk(0, 5)
    call.talk(5 + pause_s, 10 + pause_s, ahead_s=-pause_s)
    assert max(call.queues_s) < 0.001


def test_one_leaping_stamp_is_no_queue_and_neither_are_those_after_it() -> None:
    call = Call()
    call.talk(0, 5)
    call.hear(5 + 20, 5.01)
    call.talk(5.02, 10)
    assert max(call.queues_s) < 0.001
    assert call.told[-1].at_s > 9.9, "it is believed again"


def test_a_packet_that_was_overtaken_says_nothing() -> None:
    call = Call()
    call.talk(0, 2)
    before = len(call.told)
    call.hear(1.95, 2.06)
    call.talk(2, 3)
    assert len(call.told) > before
    assert max(call.queues_s) < 0.001


def test_of_a_picture_the_first_packet_counts_and_of_all_so_many_a_second() -> None:
    call = Call()
    for frame in range(40):
        for part in range(10):
            call.hear(frame * 0.05 + part * 0.001, frame * 0.05 + part * 0.001, "video", timestamp=frame)
    assert 0 < len(call.told) <= 40
    busy = Call()
    for number in range(3_000):
        busy.hear(number * 0.001, number * 0.001)
    assert len(busy.told) <= 3 * SAMPLES_PER_S_MAX + 5


def test_a_queue_of_one_second_is_heard_however_it_ends() -> None:
    call = Call()
    call.talk(0, 5)
    for number in range(50):  # the link is slow for a second, ...
        call.hear(5 + number * PACKET_S, 5.05 + number * 2 * PACKET_S)
    assert call.queues_s[-1] == pytest.approx(0.98, abs=0.02)
    for number in range(50, 150):  # ... and then five times as fast as its sender
        call.hear(5 + number * PACKET_S, max(5.05 + number * PACKET_S, 7.05 + (number - 50) * 0.004))
    assert call.queues_s[-1] < 0.001
    assert len({each.path for each in call.told}) == 1


@given(st.lists(st.tuples(st.integers(0, STAMPS - 1), st.floats(0, 3)), max_size=200))
def test_whatever_is_stamped_a_delay_is_small_and_a_run_is_believed_late(packets: list[tuple[int, float]]) -> None:
    clock, now_s, began_s, run = SenderClock(), BEGAN_S, BEGAN_S, 0
    delays: list[float] = []
    for sent, passed_s in packets:
        now_s += passed_s
        delay_s = clock.delay_s(sent, now_s)
        if clock.run != run:
            run, began_s, delays = clock.run, now_s, []
            assert delay_s is None
        if delay_s is not None:
            delays.append(delay_s)
            assert now_s - began_s >= SETTLED_S
            assert max(delays) - min(delays) <= DELAY_S_MAX + LEAP_S * len(packets)


@given(st.binary(max_size=80), st.integers(0, 15))
def test_any_extension_is_read_without_breaking(data: bytes, stamp_id: int) -> None:
    for raw in (data, b"\x90" + data, b"\x90\x6f" + bytes(10) + b"\xbe\xde\x00\x02" + data):
        at = payload_start(raw)
        if at:
            found = sent_at(raw, at, stamp_id)
            assert found is None or 0 <= found < STAMPS


def test_a_packet_without_its_stamp_says_nothing() -> None:
    for data in (packet(1.0, stamp_id=3), packet(1.0)[:1].replace(b"\x90", b"\x80") + packet(1.0)[1:]):
        assert sent_at(data, payload_start(data), STAMP_ID) is None
        assert sent_at(data, payload_start(data), 0) is None
    assert sent_at(packet(1.0), payload_start(packet(1.0)), STAMP_ID) == STAMP_HZ


def test_an_answer_to_a_report_closes_its_round_trip_and_no_other_does() -> None:
    instrument = Instrument("call:7", {})
    ntp = 0x1234_5678_9ABC_DEF0
    instrument.reported(9, ntp, 100.0)
    found = instrument.answered(9, 0x5678_9ABC, 65_536, 101.25)
    assert found == DelaySample(101.25, 0.25, "call:7", Sees.BOTH)
    assert instrument.answered(8, 0x5678_9ABC, 65_536, 101.25) is None
    assert instrument.answered(9, 0x5678_9ABD, 65_536, 101.25) is None
    assert instrument.answered(9, 0x5678_9ABC, 2**32 - 1, 101.25) is None, "it answered before it was asked"
    assert instrument.answered(9, 0x5678_9ABC, 0, 100 + DELAY_S_MAX + 1) is None
    instrument.reported(9, 0xFFFF << 48, 200.0)
    assert instrument.answered(9, 0, 0, 200.1) is None, "it has had no report"


def losses(counters: Iterable[tuple[int, int]]) -> list[Loss | None]:
    found = Losses()
    return [found.since(expected, lost) for expected, lost in counters]


def test_losses_are_what_was_due_and_never_came() -> None:
    assert losses([(100, 3), (150, 5), (150, 5), (200, 4)]) == [None, Loss(50, 2), None, Loss(50, 0)]


def test_a_leap_of_the_counters_and_an_outage_are_no_losses() -> None:
    assert losses([(100, 0), (40_000, 30_000), (40_050, 30_001)]) == [None, None, Loss(50, 1)]
    assert losses([(100, 0), (100 + LOST_MAX + 1, LOST_MAX + 1), (50, 0)]) == [None, None, None]


def test_each_voice_s_losses_are_its_own() -> None:
    instrument = Instrument("call:7", {})
    assert instrument.lost_up(1, 100, 0) is None
    assert instrument.lost_up(2, 9_000, 40) is None
    assert instrument.lost_up(1, 150, 2) == Loss(50, 2)
    assert instrument.lost_up(2, 9_050, 40) == Loss(50, 0)


@given(st.lists(st.tuples(st.integers(-(2**33), 2**33), st.integers(-(2**24), 2**24)), max_size=20))
def test_whatever_is_counted_losses_are_a_part_of_what_was_due(counters: list[tuple[int, int]]) -> None:
    for found in losses(counters):
        assert found is None or 0 <= found.lost <= min(found.expected, LOST_MAX)
