"""What is missing is asked for while it can come, what was sent is sent again within limits, keyframes are merged."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.clinic.media.history import AGE_S_MAX, BYTES_MAX, PACKETS_MAX, RESENDS_MAX, History
from gateway.clinic.media.missing import ASKS_MAX, GAP_MAX, MISSING_MAX, NACKS_PER_S_MAX, KeyframeRequests, Missing
from gateway.clinic.media.streams import Allowance


def plenty() -> Allowance:
    return Allowance(50_000_000, burst_s=0.5)


def again(history: History, sequence: int, now_s: float, round_trip_s: float = 0.0) -> bytes | None:
    return history.again(sequence, now_s, round_trip_s=round_trip_s, allowance=plenty())


def test_a_packet_is_sent_again_as_it_was() -> None:
    history = History()
    history.keep(65_541, b"packet", 1.0)
    assert again(history, 5, 1.1) == b"packet"
    assert again(history, 6, 1.1) is None


def test_an_old_packet_is_not_sent_again_unless_the_way_is_long() -> None:
    history = History()
    history.keep(5, b"packet", 1.0)
    assert again(history, 5, 2.1) is None
    assert again(history, 5, 2.1, round_trip_s=0.6) == b"packet"
    assert again(history, 5, 1.1 + AGE_S_MAX, round_trip_s=60) is None


def test_the_same_packet_is_not_sent_again_at_once_nor_for_ever() -> None:
    history = History()
    history.keep(5, b"packet", 1.0)
    asked = [again(history, 5, 1.0 + each / 100) for each in range(100)]
    assert asked[0] is not None
    assert asked[1] is None
    assert sum(each is not None for each in asked) == RESENDS_MAX


def test_who_waited_for_a_round_trip_gets_it_again_on_a_short_way_as_on_a_long_one() -> None:
    for round_trip_s in (0.02, 0.4):
        history = History()
        history.keep(5, b"packet", 1.0)
        after = [again(history, 5, 1.0 + part * round_trip_s, round_trip_s) for part in (0, 0.5, 1.01)]
        assert after == [b"packet", None, b"packet"]


def test_resends_take_a_part_of_the_link_and_no_more() -> None:
    history, allowance = History(), Allowance(10_000, burst_s=0.5)
    for number in range(100):
        history.keep(number, bytes(1_000), 1.0)
    found = [history.again(each, 1.1, round_trip_s=0.0, allowance=allowance) for each in range(100)]
    assert sum(each is not None for each in found) == 5


@given(st.lists(st.tuples(st.integers(-20, 600), st.integers(0, 1_400), st.floats(0, 0.5)), max_size=120))
def test_a_history_holds_its_bytes_and_never_another_s_packet(steps: list[tuple[int, int, float]]) -> None:
    history, number, now_s, kept = History(), 60_000, 1.0, dict[int, bytes]()
    for step, size, passed_s in steps:
        number, now_s = max(number + step, 0), now_s + passed_s
        packet = number.to_bytes(4) + bytes(size)
        history.keep(number, packet, now_s)
        history.trim(now_s, 0.0)
        kept[number] = packet
    held = [each for each in kept if again(history, each & 0xFFFF, now_s) == kept[each]]
    asked = [again(history, each & 0xFFFF, now_s + 0.06) for each in kept]
    assert all(found is None or found in kept.values() for found in asked)
    assert sum(len(kept[each]) for each in held) <= BYTES_MAX
    assert len(held) <= PACKETS_MAX


def test_the_newest_packets_are_the_ones_that_are_kept() -> None:
    history = History()
    for number in range(1_000):
        history.keep(number, bytes(1_000), 1.0)
    kept = [each for each in range(1_000) if again(history, each, 1.0) is not None]
    assert kept == list(range(1_000 - BYTES_MAX // 1_000, 1_000))


def test_what_is_missing_is_asked_for_at_once_and_again_when_it_is_overdue() -> None:
    missing = Missing()
    assert missing.skipped(13, 3)
    assert missing.overdue(1.0, 0.1) == ([10, 11, 12], False)
    assert missing.overdue(1.1, 0.1) == ([], False)
    missing.came(11)
    assert missing.overdue(1.16, 0.1) == ([10, 12], False)


def test_what_does_not_come_is_lost_for_good_after_three_asks() -> None:
    missing = Missing()
    missing.skipped(11, 1)
    found = [missing.overdue(1.0 + each, 0.1) for each in range(ASKS_MAX + 2)]
    assert found == [([10], False)] * ASKS_MAX + [([], True), ([], False)]
    assert not missing


def test_too_much_at_once_is_not_asked_for() -> None:
    missing = Missing()
    assert not missing.skipped(1_000, GAP_MAX + 1)
    assert not missing
    results = [missing.skipped(100 * each, 50) for each in range(1, 5)]
    assert results == [True, True, False, True], f"no more than {MISSING_MAX} are waited for"


def test_a_keyframe_needs_nothing_before_it() -> None:
    missing = Missing()
    missing.skipped(20, 5)
    missing.forget(before=18)
    assert missing.overdue(1.0, 0.1) == ([18, 19], False)


def test_asking_is_limited_however_much_is_lost() -> None:
    missing, requests, packets = Missing(), 0, 0
    for tick in range(1_000):
        missing.skipped(10_000 + 10 * tick, 5)
        asked, _ = missing.overdue(1.0 + tick / 1_000, 0.0)
        requests, packets = requests + bool(asked), packets + len(asked)
    assert 0 < requests <= 1.5 * NACKS_PER_S_MAX + 1
    assert packets <= 300


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


@pytest.mark.parametrize(("picture_bps", "pause_s"), [(700_000, 0.5), (60_000, 1.0), (30_000, 2.0), (0, 3.0)])
def test_keyframes_are_asked_for_as_seldom_as_the_picture_s_rate_takes(picture_bps: int, pause_s: float) -> None:
    requests = KeyframeRequests()
    requests.hold_to(picture_bps)
    asked_s = []
    for tick in range(1_000):
        requests.want()
        if requests.due(1.0 + tick / 100):
            asked_s.append(1.0 + tick / 100)
    assert [after - before for before, after in pairwise(asked_s)] == pytest.approx(
        [pause_s] * (len(asked_s) - 1), abs=0.011
    )
    assert len(asked_s) >= 3
    requests.came()
    requests.want(at_once=True)
    assert requests.due(asked_s[-1] + 0.11), "but not for who has nothing to show"


def test_who_has_nothing_to_show_does_not_wait_unless_a_keyframe_is_coming() -> None:
    requests = KeyframeRequests()
    requests.want()
    assert requests.due(1.0)
    requests.want(at_once=True)
    assert not requests.due(1.2), "one is on its way"
    requests.came()
    assert not requests.due(1.3), "and has served it"
    requests.want(at_once=True)
    assert requests.due(1.3)


def test_even_who_has_nothing_to_show_asks_ten_times_a_second_at_most() -> None:
    requests, asked = KeyframeRequests(), 0
    for tick in range(1_000):
        requests.came()
        requests.want(at_once=True)
        asked += requests.due(1.0 + tick / 1_000)
    assert asked <= 10
