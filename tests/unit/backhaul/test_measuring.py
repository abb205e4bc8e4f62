"""A queue stands where it is there for several frames; one frame's burst, and what is old, is none."""

from collections.abc import Iterable, Sequence

import pytest

from gateway.backhaul.measuring import (
    BEGINS_BPS_MIN,
    BEGINS_RATIO,
    BEGINS_SURE_BPS_MIN,
    STANDS_S_MAX,
    Load,
    Measuring,
    begins_bps,
)
from gateway.backhaul.sensing.control import Limits
from gateway.backhaul.sensing.figures import Estimate
from gateway.backhaul.sensing.samples import CounterSample, DelaySample, FlowSample, Sees, Way
from tests.clocks import HandClock

TICK_S = 0.02
BASE_S = 0.05


class Call:
    """A call alone on a link whose queues a test tells."""

    def __init__(self, *, alone: bool = True) -> None:
        self.clock = HandClock()
        self.carried = CounterSample(0.0, 0, 0)
        self.measuring = Measuring(self.clock, lambda: self.carried)
        self.alone = alone
        self.told(BASE_S)

    def told(self, delay_s: float, sees: Sees = Sees.DOWN) -> None:
        self.measuring.hear([DelaySample(self.clock.now, delay_s, "call:1:check", sees)])

    def uploads(self) -> Sequence[FlowSample]:
        """Beside others the call is beside an upload, of which the kernel tells no round trip."""
        if self.alone:
            return ()
        return (FlowSample(self.clock.now, 1, "shop", 0, 0, 0, 0, 5_000, None, None, None, 0, 4, 0),)

    def passes(self, seconds: float, queues_s: Iterable[float] = (), *, bps: int = 200_000, every: int = 5) -> None:
        """Let time pass; each fifth look hears of a queue, in turn."""
        queues = list(queues_s)
        for tick in range(round(seconds / TICK_S)):
            self.clock.pass_s(TICK_S)
            more = round(bps * TICK_S / 8)
            self.carried = CounterSample(self.clock.now, self.carried.down_bytes + more, self.carried.up_bytes + more)
            if queues and tick % every == 0:
                self.told(BASE_S + queues[tick // every % len(queues)])
            used = {Way.DOWN: self.carried.down_bytes, Way.UP: self.carried.up_bytes}
            self.measuring.count(used)
            self.measuring.look(self.uploads(), {way: Load(used[way], calls_alone=self.alone) for way in Way})


def test_what_was_never_heard_of_is_not_known() -> None:
    call = Call()
    call.passes(1.0)
    assert call.measuring.standing_s(Way.UP) is None


def test_a_frame_s_burst_is_no_queue_that_stands() -> None:
    call = Call()
    call.passes(2.0, (0.15, 0.1, 0.0))
    assert call.measuring.standing_s(Way.DOWN) == pytest.approx(0.0, abs=0.001)


def test_a_queue_that_every_frame_meets_stands() -> None:
    call = Call()
    call.passes(2.0, (0.0,))
    call.passes(1.0, (0.2, 0.12, 0.3))
    assert call.measuring.standing_s(Way.DOWN) == pytest.approx(0.12, abs=0.02)


def test_what_is_heard_of_once_in_so_long_is_not_known() -> None:
    call = Call()
    call.passes(1.0, (0.0,))
    call.passes(STANDS_S_MAX + 0.1)
    assert call.measuring.standing_s(Way.DOWN) is None
    call.told(BASE_S + 0.3)
    call.passes(TICK_S)
    assert call.measuring.standing_s(Way.DOWN) is None, "one frame may have made it"


@pytest.mark.parametrize("alone", [True, False])
def test_what_was_heard_is_kept_for_a_second_or_so_and_no_longer(alone: bool) -> None:
    call = Call(alone=alone)
    call.passes(20.0, (0.0, 0.1), every=1)
    assert len(call.measuring._ways[Way.DOWN]._lately) <= STANDS_S_MAX / TICK_S + 2


def test_what_comes_out_is_taken_over_several_frames() -> None:
    call = Call()
    call.passes(3.0, (0.0,), bps=200_000)
    assert call.measuring.out_bps(Way.DOWN) == pytest.approx(200_000, rel=0.05)
    call.clock.pass_s(5.0)
    call.passes(TICK_S, bps=0)
    assert call.measuring.out_bps(Way.DOWN) is None, "nobody looked for so long"


def test_a_round_trip_s_wait_in_the_download_s_queue_is_no_queue_of_the_upload_s() -> None:
    call = Call(alone=False)
    call.told(BASE_S, Sees.BOTH)
    call.passes(1.0, (0.0,))
    for _ in range(10):  # a download's bursts: the round trip meets the longest, the call's next packet a shorter one
        call.told(BASE_S + 0.4)
        call.told(BASE_S + 0.38, Sees.BOTH)
        call.passes(0.1)
        call.told(BASE_S + 0.1)
        call.told(BASE_S + 0.35, Sees.BOTH)
        call.passes(0.1)
    assert call.measuring.queueing_s(Way.UP) == pytest.approx(0.0, abs=0.001)
    estimate = call.measuring.figures().up.capacity_bps
    assert estimate is not None
    assert estimate.confidence <= 0.1, "it was never seen full"


def test_what_a_round_trip_waits_beyond_the_download_s_queue_is_the_upload_s() -> None:
    call = Call(alone=False)
    call.told(BASE_S, Sees.BOTH)
    call.passes(1.0, (0.0,))
    for _ in range(10):
        call.told(BASE_S + 0.1)
        call.told(BASE_S + 0.4, Sees.BOTH)
        call.passes(0.1)
    assert call.measuring.queueing_s(Way.UP) == pytest.approx(0.3, abs=0.001)


def test_a_download_s_queue_of_half_a_second_ago_hides_none_of_the_upload_s() -> None:
    call = Call(alone=False)
    call.told(BASE_S, Sees.BOTH)
    call.passes(1.0, (0.0,))
    for _ in range(5):
        call.told(BASE_S + 0.4)
        call.passes(0.5)
        call.told(BASE_S + 0.15)
        call.told(BASE_S + 0.45, Sees.BOTH)
        call.passes(0.1)
    assert call.measuring.queueing_s(Way.UP) == pytest.approx(0.3, abs=0.001)


def test_bursts_of_a_call_alone_do_not_show_a_full_link() -> None:
    call = Call()
    call.passes(10.0, (0.15, 0.1, 0.0))
    estimate = call.measuring.figures().down.capacity_bps
    assert estimate is not None
    assert estimate.confidence <= 0.1
    call.passes(5.0, (0.2, 0.12, 0.3))
    sure = call.measuring.figures().down.capacity_bps
    assert sure is not None
    assert sure.confidence > 0.8
    assert sure.value == pytest.approx(200_000, rel=0.05)


def test_beside_a_call_others_begin_at_little_more_than_the_link_has_carried() -> None:
    call = Call()
    assert call.measuring.pace(Way.DOWN).rate_bps == Limits().start_bps
    call.passes(5.0, (0.0,), bps=90_000)
    assert call.measuring.pace(Way.DOWN).rate_bps == pytest.approx(90_000 * BEGINS_RATIO, rel=0.1)
    call.passes(5.0, (0.0,), bps=10_000)
    assert call.measuring.pace(Way.DOWN).rate_bps == pytest.approx(90_000 * BEGINS_RATIO, rel=0.1), "as it has once"


def test_beside_a_call_on_a_link_that_is_known_others_begin_at_what_it_leaves() -> None:
    call = Call()
    call.passes(2.0, (0.0,), bps=170_000)
    call.measuring.learn(Way.DOWN, 250_000.0)
    call.passes(1.0, (0.0,), bps=170_000)
    assert call.measuring.pace(Way.DOWN).rate_bps == pytest.approx(80_000, rel=0.1)


@pytest.mark.parametrize(("queueing_s", "clear"), [(0.0, True), (0.04, True), (0.08, True), (0.2, False)])
def test_a_queue_of_two_packets_is_none(queueing_s: float, clear: bool) -> None:
    call = Call(alone=False)
    call.measuring.learn(Way.DOWN, 250_000.0)
    call.told(BASE_S)
    call.passes(TICK_S)
    assert not Call().measuring.is_clear(Way.DOWN, calls_alone=False), "nothing was heard"
    call.passes(1.0, (queueing_s,))
    assert call.measuring.is_clear(Way.DOWN, calls_alone=False) is clear


def test_a_frame_of_a_call_that_is_alone_is_no_queue_and_one_that_stands_is() -> None:
    call = Call()
    call.measuring.learn(Way.DOWN, 1_000_000.0)
    assert not call.measuring.is_clear(Way.DOWN, calls_alone=True), "nothing was heard"
    call.passes(2.0, (0.0, 0.0, 0.0, 0.15))
    assert call.measuring.is_clear(Way.DOWN, calls_alone=True)
    call.passes(2.0, (0.1, 0.15))
    assert not call.measuring.is_clear(Way.DOWN, calls_alone=True)


@pytest.mark.parametrize(
    ("confidence", "calls_bps", "begins"),
    [
        (1.0, 60_000, 20_000),  # what calls leave of a link that is known
        (1.0, 90_000, BEGINS_SURE_BPS_MIN),
        (0.1, 60_000, int(80_000 * BEGINS_RATIO) - 60_000),
        (0.1, 90_000, BEGINS_BPS_MIN),  # a guess is not worth a wait of seconds
    ],
)
def test_others_begin_with_what_calls_leave(confidence: float, calls_bps: int, begins: int) -> None:
    assert begins_bps(Estimate(80_000, confidence, 0.0), calls_bps) == begins
