"""The capacity of a direction is what came out of its queue, never more than was carried, and fades."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.backhaul.sensing.capacity import FADES_S, CapacityMeter

TICK_S = 0.02
TARGET_S = 0.01
FULL_S, EMPTY_S = 0.02, 0.0

Story = list[tuple[int, float | None]]


class Metered:
    """A meter, fed at each tick."""

    def __init__(self, *, is_sent: bool = False) -> None:
        self.meter = CapacityMeter(is_sent=is_sent)
        self.now_s = 50.0
        self.carried_bytes = 0

    def carry(self, rate_bps: float, for_s: float, queueing_s: float | None, *, beside: bool = False) -> float:
        """Carry so much for some seconds; returns the figure then."""
        for _ in range(round(for_s / TICK_S)):
            self.now_s += TICK_S
            self.carried_bytes += round(rate_bps / 8 * TICK_S)
            self.meter.feed(self.now_s, self.carried_bytes, queueing_s, TARGET_S, beside=beside)
        estimate = self.meter.estimate(self.now_s)
        return estimate.value if estimate else 0.0

    @property
    def confidence(self) -> float:
        estimate = self.meter.estimate(self.now_s)
        return estimate.confidence if estimate else 0.0


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 50_000), st.sampled_from((None, 0.0, 0.004, 0.006, 0.2))), max_size=200))
def test_it_is_never_above_what_was_carried(story: Story) -> None:
    meter, now_s, carried_bytes, most_bps = CapacityMeter(), 0.0, 0, 0.0
    for more_bytes, queueing_s in story:
        now_s += TICK_S
        carried_bytes += more_bytes
        most_bps = max(most_bps, more_bytes * 8 / TICK_S)
        meter.feed(now_s, carried_bytes, queueing_s, TARGET_S)
        estimate = meter.estimate(now_s)
        assert estimate is None or 0.0 <= estimate.value <= most_bps * (1 + 1e-9)
        assert estimate is None or 0.0 <= estimate.confidence <= 1.0


def test_of_a_link_that_carried_nothing_nothing_is_known() -> None:
    metered = Metered()
    metered.carry(0, 5.0, None)
    assert metered.meter.estimate(metered.now_s) is None


def test_a_full_link_shows_its_capacity() -> None:
    metered = Metered()
    assert metered.carry(4_000_000, 3.0, FULL_S) == pytest.approx(4_000_000, rel=0.01)
    assert metered.confidence > 0.7


def test_it_falls_within_a_second_and_a_half_and_rises_within_seconds() -> None:
    metered = Metered()
    metered.carry(8_000_000, 5.0, FULL_S)
    assert metered.carry(1_000_000, 1.5, FULL_S) < 2_500_000
    low_bps = metered.carry(1_000_000, 5.0, FULL_S)
    assert low_bps == pytest.approx(1_000_000, rel=0.05)
    assert metered.carry(8_000_000, 0.5, FULL_S) < 3_000_000
    assert metered.carry(8_000_000, 10.0, FULL_S) == pytest.approx(8_000_000, rel=0.05)


def test_without_a_queue_it_carries_at_least_what_it_carried() -> None:
    metered = Metered()
    assert metered.carry(4_000_000, 5.0, FULL_S) == pytest.approx(4_000_000, rel=0.01)
    assert metered.carry(500_000, 20.0, EMPTY_S) == pytest.approx(4_000_000, rel=0.01)
    assert metered.carry(6_000_000, 2.0, EMPTY_S) == pytest.approx(6_000_000, rel=0.01)


def test_a_link_that_was_never_full_is_a_guess() -> None:
    metered = Metered()
    metered.carry(4_000_000, 20.0, EMPTY_S)
    assert metered.confidence <= 0.1


def test_confidence_fades_to_a_third_in_ten_minutes() -> None:
    metered = Metered()
    metered.carry(4_000_000, 5.0, FULL_S)
    fresh = metered.confidence
    metered.now_s += FADES_S
    assert metered.confidence == pytest.approx(fresh / 3, rel=0.01)
    assert metered.meter.estimate(metered.now_s).age_s == pytest.approx(FADES_S, rel=0.01)  # type: ignore[union-attr]


def test_a_burst_after_a_pause_is_not_taken_for_the_rate_of_the_link() -> None:
    metered = Metered()
    metered.carry(1_000_000, 3.0, FULL_S)
    metered.now_s += 120.0
    metered.carried_bytes += 1_500
    metered.meter.feed(metered.now_s, metered.carried_bytes, EMPTY_S, TARGET_S)
    estimate = metered.meter.estimate(metered.now_s)
    assert estimate is not None
    assert estimate.value <= 1_010_000


def test_what_happened_while_nobody_looked_is_no_rate() -> None:
    meter = CapacityMeter()
    for tick in range(250):
        meter.feed(tick * 0.02, tick * 10_000, 0.02, 0.02)
    before = meter.estimate(5.0)
    assert before is not None
    meter.feed(3_600.0, 2_600_000, 0.1, 0.02)  # an hour later, a late first packet
    meter.feed(3_600.02, 2_600_100, 0.1, 0.02)
    after = meter.estimate(3_600.02)
    assert after is not None
    assert after.value == before.value


def test_a_counter_that_begins_anew_is_no_rate() -> None:
    meter = CapacityMeter()
    for tick in range(250):
        meter.feed(tick * 0.02, tick * 10_000, 0.02, 0.02)
    meter.feed(5.0, 0, 0.02, 0.02)
    estimate = meter.estimate(5.0)
    assert estimate is not None
    assert estimate.value == pytest.approx(4_000_000, rel=0.02)


def test_what_trains_have_shown_is_sure_and_outlives_their_queue() -> None:
    metered = Metered()
    metered.carry(60_000, 0.5, None)
    metered.meter.learn(metered.now_s, 80_000.0)
    assert metered.confidence > 0.9
    assert metered.carry(20_000, 1.5, FULL_S) == 80_000.0
    assert metered.carry(40_000, 5.0, FULL_S) == pytest.approx(40_000.0, rel=0.1)


def test_what_is_sent_while_its_queue_drains_is_less_than_what_comes_out() -> None:
    metered = Metered(is_sent=True)
    metered.meter.learn(metered.now_s, 80_000.0)
    metered.carry(80_000, 2.5, EMPTY_S)
    for _ in range(20):  # a frame, heard of late and seldom, and then hardly anything
        metered.carry(160_000, 0.1, EMPTY_S)
        assert metered.carry(40_000, 1.0, 0.3) > 60_000


def test_what_is_sent_into_a_queue_that_grows_tells_of_a_link_that_fell() -> None:
    metered = Metered(is_sent=True)
    metered.meter.learn(metered.now_s, 800_000.0)
    metered.carry(800_000, 2.5, EMPTY_S)
    found = 800_000.0
    for tick in range(40):
        found = metered.carry(80_000, 0.1, 0.05 * tick)
    assert found == pytest.approx(80_000, rel=0.1)


def test_a_burst_that_was_sent_beside_others_proves_little_once_the_link_was_full() -> None:
    for is_sent in (True, False):
        metered = Metered(is_sent=is_sent)
        metered.meter.learn(metered.now_s, 250_000.0)
        metered.carry(200_000, 2.5, EMPTY_S)
        burst = metered.carry(350_000, 0.6, EMPTY_S)
        assert (burst < 300_000) is is_sent


def test_what_is_sent_into_a_full_queue_proves_nothing_it_waits_there_or_is_lost() -> None:
    metered = Metered(is_sent=True)
    metered.meter.learn(metered.now_s, 80_000.0)
    metered.carry(70_000, 2.5, EMPTY_S)
    assert metered.carry(105_000, 30.0, 0.4) <= 82_000


def test_a_queue_that_grows_holds_a_part_of_what_was_sent() -> None:
    metered = Metered(is_sent=True)
    for tick in range(50):  # of 100 kb/s a fifth waits longer and longer
        found = metered.carry(100_000, 0.02, 0.25 * 0.02 * tick)
    assert found == pytest.approx(80_000, rel=0.03)


def test_where_nobody_tells_of_the_queue_more_that_was_sent_is_no_proof_beside_others() -> None:
    metered = Metered(is_sent=True)
    metered.meter.learn(metered.now_s, 80_000.0)
    metered.carry(70_000, 2.5, EMPTY_S)
    assert metered.carry(105_000, 30.0, None) <= 82_000


def test_beside_calls_a_link_whose_queue_went_meanwhile_was_not_full() -> None:
    for beside in (True, False):
        metered = Metered()
        metered.meter.learn(metered.now_s, 80_000.0)
        metered.carry(70_000, 2.5, EMPTY_S)
        for _ in range(40):
            metered.carry(60_000, 0.2, EMPTY_S, beside=beside)
            found = metered.carry(60_000, 0.1, FULL_S, beside=beside)
        assert (found == 80_000) is beside


def test_a_packet_more_in_what_is_counted_is_no_proof_of_more() -> None:
    meter = CapacityMeter()
    meter.learn(0.0, 80_000.0)
    for tick in range(1, 200):  # a packet of 1,200 B each 120 ms
        meter.feed(tick * 0.06, (tick // 2) * 1_200, EMPTY_S, TARGET_S)
    estimate = meter.estimate(12.0)
    assert estimate is not None
    assert estimate.value == 80_000.0


def test_less_is_sent_while_a_picture_waits_and_a_link_that_fell_stays_so() -> None:
    metered = Metered(is_sent=True)
    metered.meter.learn(metered.now_s, 80_000.0)
    metered.carry(70_000, 2.5, EMPTY_S)
    metered.carry(160_000, 0.2, 0.3)
    for tick in range(5):  # what is heard of the queue is not exact
        found = metered.carry(50_000, 0.2, 0.2 + 0.01 * (tick % 2))
    assert found >= 80_000.0
    for tick in range(15):
        found = metered.carry(50_000, 0.2, 0.2 + 0.01 * (tick % 2))
    assert found < 60_000
