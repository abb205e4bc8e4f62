"""What does not cross the link is held to nothing."""

from gateway.backhaul.flow import Flow
from gateway.backhaul.sensing.samples import FlowSample
from gateway.backhaul.sharing.classes import TrafficClass


def sampled(min_rtt_s: float | None) -> Flow:
    flow = Flow(TrafficClass.WEB, "", "")
    for at_s in (1.0, 1.02):
        flow.sampled(
            FlowSample(
                at_s=at_s,
                flow=1,
                peer="192.0.2.1",
                received_bytes=int(at_s * 100_000),
                acked_bytes=0,
                unread_bytes=5_000,
                offered_bytes=2_896,
                unsent_bytes=0,
                rcv_rtt_s=None,
                rtt_s=min_rtt_s,
                min_rtt_s=min_rtt_s,
                segments_in=10,
                segments_out=0,
                retransmitted=0,
            )
        )
    return flow


def test_a_peer_on_this_side_of_the_link_takes_no_turns() -> None:
    assert (sampled(0.0004).is_near, sampled(0.0004).moves) == (True, False)


def test_a_peer_beyond_it_does() -> None:
    assert (sampled(0.04).is_near, sampled(0.04).moves) == (False, True)
    assert not sampled(None).is_near
