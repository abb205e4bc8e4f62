"""What is known of one open share: whose it is, what crosses for it, and what it would take. Pure.

What crosses is what the kernel says of its connection; before there is one, what the room says.
"""

from dataclasses import dataclass

from gateway.backhaul.sensing.samples import FULL_BYTES, FlowSample, Way
from gateway.backhaul.shaping.window import SEGMENTS_MIN
from gateway.backhaul.sharing.classes import TrafficClass

HEADERS_BYTES = 52  # IPv4, TCP and its time stamps
PACKET_BYTES = FULL_BYTES + HEADERS_BYTES
WIRE_RATIO = PACKET_BYTES / FULL_BYTES
RATE_S = 1.0  # over which a flow's use is smoothed
HUNGRY_RATIO = 0.6  # who uses so much of its share would take more
DEMAND_RATIO = 1.5  # room for who uses less: so much of what it uses,
DEMAND_BPS_MIN = 32_000  # and at least this
EVEN_S, EVEN_RATIO = 2.0, 0.3  # who is behind by two seconds of its share gets three tenths more
IDLE_BPS_MAX = 1_000  # who uses less claims nothing: hundreds of tunnels stay open for hours
STALLED_S = 2.0  # nothing was acknowledged for so long: what waits for its far end is not under way
NEAR_S = 0.003  # a round trip no mobile or satellite link has: the peer is on this side of it
MOVES_BPS_MIN = 500  # a segment in the last four seconds
YIELDING = frozenset({TrafficClass.WEB, TrafficClass.BULK})  # wait for each other to begin beside a call
LEAST_BPS = 8_000  # no flow is told less
NEVER_S = float("-inf")


@dataclass(slots=True)
class Flow:
    """What is known of one open share."""

    traffic_class: TrafficClass
    tenant: str
    device: str
    down_bytes: int = 0  # content that has come, and gone, since it was opened
    up_bytes: int = 0
    arrived_bytes: int = 0  # as the kernel has it for the connection of now
    acked_bytes: int = 0
    unread_bytes: int = 0
    offered_bytes: int = 0  # may still come, whether it is read from or not
    paid_bytes: int = 0  # of what may ever come, so much was waited for
    going_bytes: int = 0  # was given to the kernel, and is not acknowledged
    window_bytes: int | None = None
    owed_bytes: float = 0.0
    behind_bytes: float = 0.0  # has had less than its share, in bytes; below 0: more
    down_rate_bps: float = 0.0  # used of late
    up_rate_bps: float = 0.0
    down_share_bps: int = 0
    up_share_bps: int = 0
    down_needs_bps: int = 0  # is sent whatever its share
    up_needs_bps: int = 0
    seen_down_bytes: int = 0  # at the last tick
    seen_up_bytes: int = 0
    peer: str = ""
    segment_bytes: int = FULL_BYTES  # of content, at most
    is_near: bool = False  # it does not cross the link, so it is held to nothing
    is_sampled: bool = False  # the kernel says what crosses, and not the room
    looked_s: float = NEVER_S
    moved_s: float = NEVER_S
    went_s: float = NEVER_S  # when something was last acknowledged, or nothing was left to be

    def coming_bytes(self, *, crowded: bool) -> int:
        """Return what may still come without another read: as it was offered; or, where others may come too, hardly."""
        return self.offered_bytes if crowded else max((self.window_bytes or 0) - self.unread_bytes, 0)

    def owes_bytes(self) -> int:
        """Return what comes without having been waited for, once: a connection's first window, and what is read early.

        Who has something to come will be sent all it was offered; an order's answer is as long as it is.
        """
        offered_bytes = self.offered_bytes if self.traffic_class in YIELDING else 0
        promised_bytes = self.arrived_bytes + offered_bytes
        owes_bytes = max(promised_bytes - self.paid_bytes, 0)
        self.paid_bytes = min(self.paid_bytes + owes_bytes, promised_bytes + (self.window_bytes or 0))
        return owes_bytes

    def share(self, way: Way, share_bps: int, whole_bps: int) -> None:
        """Take its share of a direction, of which all have `whole_bps`."""
        if way is Way.DOWN:
            self.down_share_bps = share_bps
        else:
            # the first packets of who was idle must not wait for the pace of nothing
            idles = self.up_rate_bps <= IDLE_BPS_MAX
            self.up_share_bps = max(share_bps, min(DEMAND_BPS_MIN, whole_bps)) if idles else share_bps

    def even(self, scale: float, passed_s: float) -> None:
        """Take more than its share where it has had less than that, `scale` being what all have had of theirs."""
        most_bytes = self.down_share_bps / 8 * EVEN_S
        behind_bytes = self.behind_bytes + (self.down_share_bps * scale - self.down_rate_bps) / 8 * passed_s
        self.behind_bytes = min(max(behind_bytes, -most_bytes), most_bytes)
        if most_bytes:
            self.down_share_bps = int(self.down_share_bps * (1 + EVEN_RATIO * self.behind_bytes / most_bytes))

    def share_of(self, way: Way) -> int:
        """Return its share of a direction, in bit/s."""
        return self.down_share_bps if way is Way.DOWN else self.up_share_bps

    @property
    def packet_bytes(self) -> int:
        """What its largest segment is on the link."""
        return self.segment_bytes + HEADERS_BYTES

    @property
    def dials(self) -> bool:
        """Whether it waits for a connection."""
        return not self.is_sampled and not self.down_bytes

    @property
    def is_short_answer(self) -> bool:
        """Whether it is, so far, what an order is answered with: that waits for no page."""
        return self.traffic_class not in YIELDING and self.down_bytes <= SEGMENTS_MIN * self.segment_bytes

    @property
    def moves(self) -> bool:
        """Whether it has a connection on which something comes."""
        return (
            self.window_bytes is not None
            and not self.is_near
            and (self.unread_bytes > 0 or self.down_rate_bps > MOVES_BPS_MIN)
        )

    def demand_bps(self, way: Way, *, waits: bool) -> int | None:
        """Return what it would take: all, or somewhat more than it uses."""
        rate = self.down_rate_bps if way is Way.DOWN else self.up_rate_bps
        if waits or (way is Way.DOWN and self.unread_bytes):
            return None
        if rate <= IDLE_BPS_MAX and (self.down_bytes or self.up_bytes):
            return 0
        if rate >= HUNGRY_RATIO * self.share_of(way):
            return None
        return max(int(rate * DEMAND_RATIO), DEMAND_BPS_MIN)

    def counted(self, down_bytes: int, up_bytes: int) -> None:
        """Take note of what a room has moved."""
        if not self.is_sampled:  # else the kernel says what has crossed
            self.down_bytes += down_bytes
            self.up_bytes += up_bytes

    def let_go(self) -> None:
        """Have no connection: nothing comes or goes, and what another has carried so far is not its own."""
        self.window_bytes = None
        self.unread_bytes = self.offered_bytes = self.going_bytes = 0

    def sampled(self, sample: FlowSample) -> None:
        """Take what the kernel says of its connection."""
        came, went = sample.received_bytes - self.arrived_bytes, sample.acked_bytes - self.acked_bytes
        self.arrived_bytes, self.acked_bytes = sample.received_bytes, sample.acked_bytes
        if went > 0 or not sample.unsent_bytes:
            self.went_s = sample.at_s
        is_going = sample.at_s - self.went_s < STALLED_S
        self.unread_bytes, self.going_bytes = sample.unread_bytes, sample.unsent_bytes if is_going else 0
        self.offered_bytes = sample.offered_bytes
        self.peer, self.segment_bytes = sample.peer, sample.segment_bytes
        self.is_near = sample.min_rtt_s is not None and sample.min_rtt_s < NEAR_S
        if self.window_bytes is None:
            self.is_sampled, self.went_s = True, sample.at_s
            self.paid_bytes += self.arrived_bytes
            self.going_bytes = sample.unsent_bytes
            self.window_bytes = SEGMENTS_MIN * self.segment_bytes
            return  # it has a connection from now on: what came before is not its own
        self.down_bytes += max(came, 0)
        self.up_bytes += max(went, 0)

    def moved(self, now_s: float) -> tuple[int, int]:
        """Return what crossed since the last look, down and up, and follow its rates."""
        passed_s, self.looked_s = max(now_s - self.looked_s, 0.001), now_s
        down, up = self.down_bytes - self.seen_down_bytes, self.up_bytes - self.seen_up_bytes
        self.seen_down_bytes, self.seen_up_bytes = self.down_bytes, self.up_bytes
        weight = min(1.0, passed_s / RATE_S)
        self.down_rate_bps += (down * 8 * WIRE_RATIO / passed_s - self.down_rate_bps) * weight
        self.up_rate_bps += (up * 8 * WIRE_RATIO / passed_s - self.up_rate_bps) * weight
        return int(down * WIRE_RATIO), int(up * WIRE_RATIO)
