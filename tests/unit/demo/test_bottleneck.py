"""A bottleneck delays, drops and loses as its settings say, whenever it is asked."""

from collections.abc import Callable
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.demo.bottleneck import WINDOW_BYTES, Bottleneck, Conditions, ConstantRate, Flow, TraceRate
from gateway.demo.trace import Trace, parse_trace

DELAY_S = 0.04
PACKET_BYTES = 1_500


def rate(
    rate_bps: int, *, delay_s: float = DELAY_S, queue_bytes: int = 150_000, loss_ratio: float = 0.0
) -> Bottleneck[int]:
    return Bottleneck(ConstantRate(rate_bps, 0.0), Conditions(delay_s, queue_bytes, loss_ratio), Random(7))


def traced(trace: Trace, *, delay_s: float = 0.0, queue_bytes: int = 150_000) -> Bottleneck[int]:
    return Bottleneck(TraceRate(trace, 0.0), Conditions(delay_s, queue_bytes, 0.0), Random(7))


def flow() -> Flow[int]:
    return Flow(lambda: None)


def arrival_times(link: Bottleneck[int], from_s: float, until_s: float) -> list[tuple[float, int]]:
    """Ask exactly when the model says something happens."""
    found: list[tuple[float, int]] = []
    now_s = from_s
    while (next_s := link.next_s()) <= until_s:
        now_s = max(now_s, next_s)
        found += [(now_s, item) for item in link.arrivals(now_s)]
    return found


def saturated_bytes(link: Bottleneck[int], sizes: Callable[[], int], tick_s: float, until_s: float) -> int:
    """Keep the queue full by a flow, asking every `tick_s`."""
    sender, now_s = flow(), 0.0
    while now_s < until_s:
        if len(sender.waiting) < 100:
            link.offer_in_order(sender, [(0, sizes()) for _ in range(100)], now_s)
        now_s += tick_s
        link.arrivals(now_s)
    return link.statistics(now_s).carried_bytes


@pytest.mark.parametrize("rate_bps", [100_000, 300_000, 1_000_000, 4_000_000, 10_000_000])
@pytest.mark.parametrize("tick_s", [0.001, 0.0137])
def test_a_saturated_link_carries_its_rate(rate_bps: int, tick_s: float) -> None:
    draw = Random(3)
    carried_bytes = saturated_bytes(rate(rate_bps), lambda: draw.randint(100, PACKET_BYTES), tick_s, 20.0)
    assert carried_bytes * 8 / 20.0 == pytest.approx(rate_bps, rel=0.02)
    assert carried_bytes * 8 / 20.0 == pytest.approx(rate_bps, rel=0.01, abs=2 * PACKET_BYTES * 8 / 20.0)


def test_a_saturated_trace_carries_its_mean() -> None:
    trace = Trace((*sorted(Random(5).choices(range(1, 1_001), k=150)), 1_000))
    carried_bytes = saturated_bytes(traced(trace), lambda: PACKET_BYTES, 0.005, 20.0)
    assert carried_bytes * 8 / 20.0 == pytest.approx(trace.mean_bps, rel=0.01)


@pytest.mark.parametrize("size_bytes", [52, 700, 1_500])
def test_a_packet_on_an_idle_link_takes_its_transmission_and_the_delay(size_bytes: int) -> None:
    link = rate(1_000_000)
    link.offer(1, size_bytes, 5.0)
    ((at_s, _),) = arrival_times(link, 5.0, 9.0)
    assert at_s == pytest.approx(5.0 + size_bytes * 8 / 1e6 + DELAY_S)
    assert link.arrivals(9.0) == []


def test_packets_behind_each_other_wait_for_their_turn() -> None:
    link = rate(1_200_000)
    for item in range(3):
        link.offer(item, PACKET_BYTES, 0.0)
    times = arrival_times(link, 0.0, 1.0)
    assert [item for _, item in times] == [0, 1, 2]
    assert [at_s for at_s, _ in times] == pytest.approx([DELAY_S + 0.01, DELAY_S + 0.02, DELAY_S + 0.03])


def test_what_finds_the_queue_full_is_dropped() -> None:
    link = rate(1_000_000, queue_bytes=4_000)
    assert [link.offer(item, PACKET_BYTES, 0.0) for item in range(4)] == [True, True, False, False]
    assert link.statistics(0.0).dropped_packets == 2
    assert [item for _, item in arrival_times(link, 0.0, 1.0)] == [0, 1]


OFFERS = st.lists(st.tuples(st.floats(0.0, 0.05), st.integers(40, 1_500), st.booleans()), min_size=1, max_size=60)


@given(OFFERS, st.sampled_from([50_021, 1_000_003]), st.floats(0.0001, 0.3))
def test_asked_late_the_model_gives_the_same_arrivals(
    offers: list[tuple[float, int, bool]], rate_bps: int, tick_s: float
) -> None:
    def run(ask_between: bool) -> list[int]:
        link, sender, now_s, arrived = rate(rate_bps, queue_bytes=6_000), flow(), 0.0, []
        for item, (pause_s, size_bytes, in_order) in enumerate(offers):
            if ask_between:
                asked_s = now_s
                while (asked_s := asked_s + tick_s) < now_s + pause_s:
                    arrived += link.arrivals(asked_s)
            now_s += pause_s
            if in_order:
                link.offer_in_order(sender, [(item, size_bytes)], now_s)
            else:
                link.offer(item, size_bytes, now_s)
        return arrived + link.arrivals(now_s + 0.5)

    assert run(ask_between=True) == run(ask_between=False)


@given(OFFERS, st.floats(0.0, 0.5), st.integers(3_000, 20_000))
def test_every_packet_arrives_or_is_counted_and_the_queue_keeps_its_limit(
    offers: list[tuple[float, int, bool]], loss_ratio: float, queue_bytes: int
) -> None:
    link, sender, now_s = rate(300_000, queue_bytes=queue_bytes, loss_ratio=loss_ratio), flow(), 0.0
    flows = datagrams = 0
    for item, (pause_s, size_bytes, in_order) in enumerate(offers):
        now_s += pause_s
        if in_order:
            link.offer_in_order(sender, [(item, size_bytes)], now_s)
            flows += 1
        else:
            link.offer(item, size_bytes, now_s)
            datagrams += 1
        assert link.statistics(now_s).queue_bytes <= queue_bytes
    arrived = link.arrivals(now_s + 60.0)
    kinds = {item: in_order for item, (_, _, in_order) in enumerate(offers)}
    in_order_arrived = [item for item in arrived if kinds[item]]
    assert in_order_arrived == sorted(in_order_arrived)
    assert len(in_order_arrived) == flows
    counted = link.statistics(now_s + 60.0)
    assert len(arrived) - flows >= datagrams - counted.dropped_packets - counted.lost_packets
    if loss_ratio == 0.0:
        assert len(arrived) == flows + datagrams - counted.dropped_packets
    assert counted.queue_bytes == 0


def test_datagrams_are_lost_at_the_ratio() -> None:
    link = rate(100_000_000, loss_ratio=0.2, queue_bytes=16_000_000)
    for item in range(5_000):
        link.offer(item, 100, 0.0)
    assert len(link.arrivals(10.0)) == pytest.approx(4_000, rel=0.05)
    assert len(link.arrivals(10.0)) + link.statistics(10.0).lost_packets == pytest.approx(1_000, rel=0.2)


def test_a_lost_segment_comes_a_round_trip_later_and_those_behind_it_wait() -> None:
    link = rate(12_000_000, loss_ratio=0.3)
    link.offer_in_order(flow(), [(item, PACKET_BYTES) for item in range(40)], 0.0)
    times = arrival_times(link, 0.0, 5.0)
    assert [item for _, item in times] == list(range(40))
    jumps = [later - earlier for (earlier, _), (later, _) in pairwise(times)]
    assert max(jumps) == pytest.approx(2 * DELAY_S, abs=0.04)
    assert link.statistics(5.0).lost_packets > 0


def test_a_loss_in_one_flow_does_not_delay_another() -> None:
    link = rate(12_000_000, loss_ratio=0.5)
    first, second = flow(), flow()
    link.offer_in_order(first, [(0, PACKET_BYTES)] * 30, 0.0)
    link.offer_in_order(second, [(1, PACKET_BYTES)], 0.0)
    before = {item for at_s, item in arrival_times(link, 0.0, 5.0) if at_s < first.last_s}
    assert 1 in before


def test_a_flow_never_has_more_than_its_window_in_the_queue() -> None:
    link, sender = rate(1_000_000, queue_bytes=1_000_000), flow()
    link.offer_in_order(sender, [(item, PACKET_BYTES) for item in range(200)], 0.0)
    arrived: list[int] = []
    for tick in range(300):
        assert sender.queued_bytes < WINDOW_BYTES + PACKET_BYTES
        arrived += link.arrivals(tick * 0.01)
    assert arrived == list(range(200))


def test_flows_take_turns_at_a_full_queue() -> None:
    link, flows = rate(1_000_000, queue_bytes=15_000), [flow() for _ in range(4)]
    for number, each in enumerate(flows):
        link.offer_in_order(each, [(number, PACKET_BYTES)] * 200, 0.0)
    arrived = link.arrivals(2.0)
    counts = [arrived[20:].count(number) for number in range(4)]  # the first to come filled the queue
    assert max(counts) - min(counts) <= 1


def test_a_flow_is_told_when_nothing_of_it_waits_outside() -> None:
    link, sender = rate(1_000_000, queue_bytes=15_000), flow()
    link.offer_in_order(sender, [(0, PACKET_BYTES)] * 20, 0.0)
    assert link.drained() == []
    assert link.next_s() == pytest.approx(0.012), "somebody waits for room: the next departure matters"
    link.arrivals(0.13)
    assert link.drained() == [sender]
    assert link.drained() == []


def test_what_a_flow_abandons_outside_never_crosses() -> None:
    link, sender, other = rate(1_000_000, queue_bytes=15_000), flow(), flow()
    link.offer_in_order(sender, [(0, PACKET_BYTES)] * 30, 0.0)
    link.offer_in_order(other, [(1, PACKET_BYTES)] * 5, 0.0)
    link.abandon(sender)
    assert link.arrivals(5.0) == [0] * 10 + [1] * 5


def test_nothing_is_served_during_an_outage_and_what_waited_crosses_after_it() -> None:
    link = rate(1_200_000, queue_bytes=4_500)
    link.offer(0, PACKET_BYTES, 0.0)
    link.block(60.0, 0.02)
    for item in (1, 2, 3, 4):
        link.offer(item, PACKET_BYTES, 1.0 + item)
    assert link.arrivals(59.9) == [0], "it had left the queue before the outage"
    assert link.statistics(59.9).dropped_packets == 1
    assert link.statistics(59.9).queue_delay_s == pytest.approx(57.9)
    times = arrival_times(link, 59.9, 70.0)
    assert [at_s for at_s, _ in times] == pytest.approx([60.01 + DELAY_S, 60.02 + DELAY_S, 60.03 + DELAY_S])


def test_an_outage_may_end_early() -> None:
    link = rate(1_200_000)
    link.block(3_600.0, 0.0)
    link.offer(0, PACKET_BYTES, 1.0)
    link.block(2.0, 2.0)
    ((at_s, _),) = arrival_times(link, 2.0, 5.0)
    assert at_s == pytest.approx(2.01 + DELAY_S)


def test_a_new_rate_holds_for_what_is_left_of_a_packet() -> None:
    link = rate(100_000)
    link.offer(0, 1_250, 0.0)  # 0.1 s at the first rate
    link.change(Conditions(DELAY_S, 150_000, 0.0), ConstantRate(1_000_000, 0.05), 0.05)
    ((at_s, _),) = arrival_times(link, 0.05, 1.0)
    assert at_s == pytest.approx(0.055 + DELAY_S)


def test_a_shorter_delay_never_lets_a_packet_overtake() -> None:
    link = rate(10_000_000, delay_s=1.0)
    link.offer(0, 100, 0.0)
    link.change(Conditions(0.01, 150_000, 0.0), None, 0.1)
    link.offer(1, 100, 0.1)
    assert [item for _, item in arrival_times(link, 0.1, 3.0)] == [0, 1]


def test_a_smaller_queue_keeps_what_is_in_it() -> None:
    link = rate(1_000_000)
    for item in range(10):
        link.offer(item, PACKET_BYTES, 0.0)
    link.change(Conditions(DELAY_S, 3_000, 0.0), None, 0.0)
    assert link.offer(10, PACKET_BYTES, 0.0) is False
    assert link.arrivals(5.0) == list(range(10))


def test_packets_leave_at_the_traces_milliseconds() -> None:
    link = traced(parse_trace("5\n5\n30\n100\n"))
    for item in range(5):
        link.offer(item, PACKET_BYTES, 0.0)
    times = arrival_times(link, 0.0, 1.0)
    assert [at_s for at_s, _ in times] == pytest.approx([0.005, 0.005, 0.030, 0.100, 0.105])


def test_an_opportunity_that_finds_nobody_is_lost() -> None:
    link = traced(parse_trace("5\n10\n100\n"))
    link.offer(0, PACKET_BYTES, 0.011)
    ((at_s, _),) = arrival_times(link, 0.011, 1.0)
    assert at_s == pytest.approx(0.1)


def test_small_packets_share_an_opportunity_and_a_large_one_needs_two() -> None:
    link = traced(parse_trace("5\n10\n100\n"))
    for item, size_bytes in enumerate((700, 700, 700)):
        link.offer(item, size_bytes, 0.0)
    times = arrival_times(link, 0.0, 1.0)
    assert [at_s for at_s, _ in times] == pytest.approx([0.005, 0.005, 0.010]), "100 bytes early, 600 at the next"


def test_an_outage_saves_up_no_opportunities() -> None:
    link = traced(parse_trace("1\n2\n3\n4\n5\n"))
    link.block(0.0205, 0.0)
    for item in range(3):
        link.offer(item, PACKET_BYTES, 0.0)
    times = arrival_times(link, 0.0, 1.0)
    assert [at_s for at_s, _ in times] == pytest.approx([0.021, 0.022, 0.023])
