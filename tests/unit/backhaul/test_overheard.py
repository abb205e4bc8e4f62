"""What passes tells one-way queueing, each direction apart, for every sender whose clock can be read."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pytest

from gateway.backhaul.sensing.overheard import Overheard, lowest
from gateway.backhaul.sensing.samples import DelaySample, Sees
from gateway.backhaul.sensing.segments import Segment

TRIP_S = 0.02  # each way, empty


@dataclass(frozen=True)
class Download:
    """A sender beyond the link: what the box sees of it."""

    tick_s: float = 0.001
    flow: bytes = b"one"
    each_s: float = 0.01
    far_zero: int = 4_294_960_000  # wraps within the test
    drift_ratio: float = 0.0

    def segments(
        self, until_s: float, down_s: Callable[[float], float], up_s: Callable[[float], float] = lambda _: 0.0
    ) -> Iterator[Segment]:
        """Acknowledgements that go out, and what they bring in, in the order of their passing."""
        passing: list[Segment] = []
        for number in range(int(until_s / self.each_s)):
            left_s = 100.0 + number * self.each_s
            ours = number * 10 & 0xFFFFFFFF
            there_s = left_s + TRIP_S + up_s(left_s)
            here_s = there_s + TRIP_S + down_s(there_s)
            far = self.far_zero + int(there_s * (1 + self.drift_ratio) / self.tick_s)
            passing.append(Segment(left_s, self.flow, True, ours, 0))
            passing.append(Segment(here_s, self.flow, False, far & 0xFFFFFFFF, ours))
        yield from sorted(passing, key=lambda each: each.at_s)


def test_queueing_down_is_told_to_the_millisecond() -> None:
    def queue_s(at_s: float) -> float:
        return 0.0 if at_s < 102 else min(0.2 * (at_s - 102), 0.5)

    told = _down(_heard(Overheard(), Download().segments(8, queue_s)))
    late = [each for each in told if each.at_s > 106]
    assert len(late) > 100
    assert all(each.delay_s == pytest.approx(0.5, abs=0.002) for each in late)
    assert all(each.delay_s < 0.003 for each in told if each.at_s < 102)


def test_queueing_up_is_no_queueing_down() -> None:
    def queue_s(at_s: float) -> float:
        return 0.0 if at_s < 103 else 0.3

    told = _heard(Overheard(), Download().segments(8, lambda _: 0.0, queue_s))
    assert max(each.delay_s for each in _down(told)) < 0.003
    up = [each for each in told if each.sees is Sees.UP and each.at_s > 104.5]
    assert up
    assert all(each.delay_s == pytest.approx(0.3, abs=0.005) for each in up)


@pytest.mark.parametrize("tick_s", [0.001, 0.004, 0.000001])
def test_known_ticks_are_told(tick_s: float) -> None:
    told = _down(_heard(Overheard(), Download(tick_s).segments(4, lambda _: 0.0)))
    assert len(told) > 100
    assert all(-0.001 <= each.delay_s <= tick_s + 0.001 for each in told)


@pytest.mark.parametrize("tick_s", [0.01, 0.1, 1.0, 0.002])
def test_a_sender_whose_tick_is_coarse_or_odd_is_not_listened_to(tick_s: float) -> None:
    assert _heard(Overheard(), Download(tick_s).segments(15, lambda _: 0.0)) == []


@pytest.mark.parametrize("tick_s", [1 / 1024, 1.024e-3, 0.005])
def test_a_tick_that_was_mistaken_never_looks_like_more_than_the_round_trip(tick_s: float) -> None:
    told = _down(_heard(Overheard(), Download(tick_s).segments(60, lambda _: 0.0)))
    assert max((abs(each.delay_s) for each in told), default=0.0) < 2 * TRIP_S + 0.02
    assert all(each.at_s < 120 for each in told)  # and is not believed for long


def test_clocks_that_drift_stay_within_three_milliseconds_in_half_a_minute() -> None:
    told = _down(_heard(Overheard(), Download(drift_ratio=-1e-4).segments(30, lambda _: 0.0)))
    assert max(each.delay_s for each in told) < 0.005


def test_a_new_flow_begins_at_what_others_show() -> None:
    overheard = Overheard(lambda sees: 0.25 if sees is Sees.DOWN else None)
    told = _down(_heard(overheard, Download().segments(3, lambda _: 0.25)))
    assert all(each.delay_s == pytest.approx(0.25, abs=0.002) for each in told)


def test_far_ends_that_wait_before_they_answer_do_not_look_like_a_queue() -> None:
    chance = random.Random(7)
    told = _heard(Overheard(), Download().segments(10, lambda _: 0.0, lambda _: chance.choice((0, 0, 0.04))))
    assert [each for each in told if each.sees is Sees.UP]
    waits = sorted(each.delay_s for each in told if each.sees is Sees.UP)
    assert waits[int(0.95 * len(waits))] < 0.005


def test_each_sender_is_a_path_of_its_own() -> None:
    overheard = Overheard()
    one = Download(flow=b"one").segments(3, lambda _: 0.0)
    two = Download(flow=b"two", far_zero=5, tick_s=0.004).segments(3, lambda _: 0.0)
    told = _heard(overheard, iter(sorted([*one, *two], key=lambda each: each.at_s)))
    assert {each.path.rpartition(":")[2] for each in told} == {"1", "2"}


def test_flows_of_one_far_host_are_told_apart_and_known_as_its_own() -> None:
    overheard = Overheard()
    flows = [b"nearfarhport", b"nearfarhtrop", b"nearotheport"]
    passing = [each for flow in flows for each in Download(flow=flow).segments(3, lambda _: 0.0)]
    told = _heard(overheard, iter(sorted(passing, key=lambda each: each.at_s)))
    paths = {each.path for each in told}
    assert len(paths) == 3
    assert len({path.rpartition(":")[0] for path in paths}) == 2


def test_a_sender_that_echoes_nothing_of_ours_cannot_make_up_a_queue() -> None:
    def lying() -> Iterator[Segment]:
        for number in range(1_000):
            at_s = 100 + number / 100
            yield Segment(at_s, b"liar", True, number * 10, 0)
            yield Segment(at_s, b"liar", False, 7_000 + int((at_s - 100) * 800), 0)  # its clock loses a fifth

    assert _heard(Overheard(), lying()) == []


def test_a_sender_after_a_long_pause_is_a_new_path() -> None:
    overheard = Overheard()
    first = _heard(overheard, Download().segments(3, lambda _: 0.0))
    moved = (replace(each, at_s=each.at_s + 600) for each in Download().segments(3, lambda _: 0.0))
    assert {each.path for each in first}.isdisjoint({each.path for each in _heard(overheard, moved)})


def test_the_table_is_bounded_and_the_oldest_leave() -> None:
    overheard = Overheard(flows_max=16)
    steady = list(Download(flow=b"steady", each_s=0.005).segments(3, lambda _: 0.0))
    told: list[DelaySample] = []
    for number, segment in enumerate(steady):
        told += overheard.feed(segment)
        overheard.feed(Segment(segment.at_s, b"invented %d" % number, False, number, 0))
        assert len(overheard) <= 16
    assert len(_down(told)) > 100


def test_who_only_sends_takes_no_place() -> None:
    overheard = Overheard()
    for number in range(1_000):
        overheard.feed(Segment(float(number), b"scan %d" % number, True, number, 0))
    assert len(overheard) == 0


def test_the_least_of_each_path_is_what_a_look_brought() -> None:
    samples = [
        DelaySample(float(at), delay, path, Sees.DOWN) for at, delay, path in ((1, 3, "a"), (2, 1, "a"), (3, 9, "b"))
    ]
    assert {(each.path, each.delay_s) for each in lowest(samples)} == {("a", 1), ("b", 9)}


def _heard(overheard: Overheard, segments: Iterator[Segment]) -> list[DelaySample]:
    return [sample for segment in segments for sample in overheard.feed(segment)]


def _down(told: list[DelaySample]) -> list[DelaySample]:
    return [each for each in told if each.sees is Sees.DOWN]
