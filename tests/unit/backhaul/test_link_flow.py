"""What is known of an open share is its own connection's, and who is idle or stuck takes nothing from the others."""

import pytest

from gateway.backhaul.flow import DEMAND_BPS_MIN, STALLED_S, Flow
from gateway.backhaul.sensing.samples import FULL_BYTES, FlowSample, Way
from gateway.backhaul.shaping.window import SEGMENTS_MIN
from gateway.backhaul.sharing.classes import TrafficClass
from gateway.backhaul.sharing.policy import Policy
from gateway.backhaul.sharing.tree import Claim, divide

WEB = TrafficClass.WEB


def flow() -> Flow:
    return Flow(WEB, "", "10.1.2.3", looked_s=0.0)


def sample(
    at_s: float = 0.0, *, received: int = 0, acked: int = 0, unread: int = 0, offered: int = 0, unsent: int = 0
) -> FlowSample:
    return FlowSample(
        at_s, 1, "192.0.2.1", received, acked, unread, offered, unsent, None, None, None, received // 1_448, 0, 0
    )


def moved(some: Flow, passed_s: float) -> tuple[int, int]:
    """Look at a flow so long after the last look."""
    return some.moved(some.looked_s + passed_s)


def idle_for(some: Flow, seconds: int) -> None:
    for _ in range(seconds * 10):
        moved(some, 0.1)


def test_what_the_kernel_counts_is_not_counted_again_when_its_connection_is_let_go() -> None:
    some = flow()
    some.sampled(sample())
    some.sampled(sample(received=10_000))
    some.let_go()
    some.counted(10_000, 0)  # the room reads on what it holds
    assert moved(some, 0.1)[0] == pytest.approx(10_000, rel=0.1)


def test_what_a_kept_connection_has_carried_before_is_not_its_own() -> None:
    some = flow()
    some.sampled(sample())
    some.sampled(sample(received=10_000))
    some.let_go()
    some.sampled(sample(received=5_000_000, acked=70_000))  # another one, tried again
    some.sampled(sample(received=5_001_000, acked=70_000))
    assert (some.down_bytes, some.up_bytes) == (11_000, 0)


def test_without_a_connection_nothing_is_under_way() -> None:
    some = flow()
    some.sampled(sample())
    some.sampled(sample(unread=2_000, offered=2_896, unsent=9_000))
    assert (some.moves, some.going_bytes) == (True, 9_000)
    some.let_go()
    assert (some.moves, some.window_bytes) == (False, None)
    assert (some.unread_bytes, some.offered_bytes, some.going_bytes) == (0, 0, 0)


def test_a_first_window_and_what_is_read_early_are_owed_once() -> None:
    some = flow()
    some.sampled(sample(offered=1_152))
    assert [some.owes_bytes(), some.owes_bytes()] == [1_152, 0]
    some.sampled(sample(received=691, offered=1_152))  # read before its turn
    assert [some.owes_bytes(), some.owes_bytes()] == [691, 0]
    some.paid_bytes += 576
    some.sampled(sample(received=1_267, offered=1_152))  # read when it was its turn
    assert some.owes_bytes() == 0


def test_what_was_paid_before_there_was_a_connection_is_not_owed() -> None:
    some = flow()
    some.paid_bytes = 1_152
    some.sampled(sample(received=5_000_000, offered=1_152))  # a kept one, and what it has carried is not its own
    assert some.owes_bytes() == 0


def test_nobody_pays_for_more_than_a_window_ahead() -> None:
    some = flow()
    some.sampled(sample(offered=1_152))
    some.paid_bytes = 1_000_000
    assert some.owes_bytes() == 0
    some.sampled(sample(received=20_000, offered=1_152))
    assert some.owes_bytes() == 20_000 - SEGMENTS_MIN * FULL_BYTES


def test_an_order_owes_what_it_was_answered_and_only_that() -> None:
    some = Flow(TrafficClass.INTERACTIVE, "", "10.1.2.3", looked_s=0.0)
    some.sampled(sample(offered=1_152))
    assert (some.owes_bytes(), some.is_short_answer) == (0, True)
    some.sampled(sample(received=270, offered=1_152))
    assert (some.owes_bytes(), some.is_short_answer) == (270, True)
    some.sampled(sample(received=100_000))
    assert not some.is_short_answer
    assert not flow().is_short_answer, "a page waits its turn from the first byte"


def test_who_has_asked_and_heard_nothing_dials() -> None:
    some = flow()
    some.counted(0, 400)  # a request's head, before there is a connection
    assert some.dials
    some.sampled(sample())
    assert not some.dials


def test_an_upload_whose_far_end_takes_nothing_is_not_under_way() -> None:
    some = flow()
    some.sampled(sample(10.0))
    some.sampled(sample(10.1, unsent=16_000))
    some.sampled(sample(10.1 + STALLED_S * 0.9, unsent=16_000))
    assert some.going_bytes == 16_000
    some.sampled(sample(10.2 + STALLED_S, unsent=16_000))
    assert some.going_bytes == 0
    some.sampled(sample(10.3 + STALLED_S, unsent=15_000, acked=1_000))
    assert some.going_bytes == 15_000, "it goes on"


def test_an_upload_that_begins_after_a_pause_is_under_way() -> None:
    some = flow()
    some.sampled(sample(10.0, acked=500))
    some.sampled(sample(900.0, acked=500))
    some.sampled(sample(900.02, acked=500, unsent=5_000))
    assert some.going_bytes == 5_000


@pytest.mark.parametrize("way", Way)
def test_hundreds_of_idle_tunnels_take_nothing_from_a_download(way: Way) -> None:
    flows = [flow() for _ in range(300)]
    for each in flows:
        each.counted(5_000, 5_000)
        idle_for(each, 30)
    claims = [Claim(n, WEB, "", "10.1.2.3", each.demand_bps(way, waits=False)) for n, each in enumerate(flows)]
    claims.append(Claim(1_000, WEB, "", "10.1.2.3", None))
    assert divide(4_000_000, claims, Policy(), way)[1_000] == pytest.approx(4_000_000, rel=0.01)


@pytest.mark.parametrize("way", Way)
def test_an_idle_tunnel_asks_for_all_once_it_moves(way: Way) -> None:
    some = flow()
    some.counted(5_000, 5_000)
    idle_for(some, 30)
    some.share(way, 0, 1_000_000)
    assert some.demand_bps(way, waits=False) == 0
    assert some.demand_bps(way, waits=True) is None
    some.counted(3_000, 100_000)
    moved(some, 0.02)
    assert some.demand_bps(way, waits=False) is None


def test_the_first_packets_of_an_idle_tunnel_are_not_held_to_nothing() -> None:
    some = flow()
    some.share(Way.UP, 0, 1_000_000)
    assert some.up_share_bps == DEMAND_BPS_MIN
    some.share(Way.UP, 0, 8_000)
    assert some.up_share_bps == 8_000, "nor to more than there is"


def test_a_download_that_is_read_slowly_claims_nothing_more_of_the_uplink() -> None:
    some = flow()
    some.sampled(sample())
    some.sampled(sample(0.02, received=9_000, unread=2_000, acked=300))
    moved(some, 0.1)
    some.share(Way.UP, 100_000, 1_000_000)
    assert some.demand_bps(Way.DOWN, waits=False) is None
    assert some.demand_bps(Way.UP, waits=False) == DEMAND_BPS_MIN
