"""What is known of one open share: whose it is, what crosses for it, and what it would take. Pure.

What crosses is what the kernel says of its connection; before there is one, what the room says.
"""

from dataclasses import dataclass

from gateway.backhaul.sensing.flows import FIRST_BYTES_MIN
from gateway.backhaul.sensing.samples import FlowSample, Way
from gateway.backhaul.sharing.classes import TrafficClass

MSS_BYTES = 1_448  # of content: 1500 B less 40 B of headers and 12 B of time stamps
PACKET_BYTES = 1_500
WIRE_RATIO = PACKET_BYTES / MSS_BYTES
RATE_S = 1.0  # over which a flow's use is smoothed
HUNGRY_RATIO = 0.6  # who uses so much of its share would take more
DEMAND_RATIO = 1.5  # room for who uses less: so much of what it uses,
DEMAND_BPS_MIN = 32_000  # and at least this
LEAST_BPS = 8_000  # no flow is told less


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
    going_bytes: int = 0  # was given to the kernel, and is not acknowledged
    window_bytes: int | None = None
    owed_bytes: float = 0.0
    down_rate_bps: float = 0.0  # used of late
    up_rate_bps: float = 0.0
    down_share_bps: int = 0
    up_share_bps: int = 0
    seen_down_bytes: int = 0  # at the last tick
    seen_up_bytes: int = 0
    rtt_s: float | None = None

    def share(self, way: Way, share_bps: int) -> None:
        """Take its share of a direction."""
        if way is Way.DOWN:
            self.down_share_bps = share_bps
        else:
            self.up_share_bps = share_bps

    def share_of(self, way: Way) -> int:
        """Return its share of a direction, in bit/s."""
        return self.down_share_bps if way is Way.DOWN else self.up_share_bps

    @property
    def dials(self) -> bool:
        """Whether it waits for a connection."""
        return self.window_bytes is None and not self.down_bytes and not self.up_bytes

    @property
    def moves(self) -> bool:
        """Whether it has a connection on which something comes."""
        return self.window_bytes is not None and (self.unread_bytes > 0 or self.down_rate_bps > LEAST_BPS)

    def demand_bps(self, way: Way, *, waits: bool) -> int | None:
        """Return what it would take: all, or somewhat more than it uses."""
        rate = self.down_rate_bps if way is Way.DOWN else self.up_rate_bps
        if waits or rate >= HUNGRY_RATIO * self.share_of(way) or self.unread_bytes:
            return None
        return max(int(rate * DEMAND_RATIO), DEMAND_BPS_MIN)

    def counted(self, down_bytes: int, up_bytes: int) -> None:
        """Take note of what a room has moved."""
        if self.window_bytes is None:  # else the kernel says what has crossed
            self.down_bytes += down_bytes
            self.up_bytes += up_bytes

    def sampled(self, sample: FlowSample) -> None:
        """Take what the kernel says of its connection."""
        came, went = sample.received_bytes - self.arrived_bytes, sample.acked_bytes - self.acked_bytes
        self.arrived_bytes, self.acked_bytes = sample.received_bytes, sample.acked_bytes
        self.unread_bytes, self.going_bytes = sample.unread_bytes, sample.unsent_bytes
        self.rtt_s = sample.min_rtt_s if self.rtt_s is None else min(self.rtt_s, sample.min_rtt_s or self.rtt_s)
        if self.window_bytes is None:
            self.window_bytes = FIRST_BYTES_MIN  # it has a connection from now on: what came before is not its own
            return
        self.down_bytes += max(came, 0)
        self.up_bytes += max(went, 0)

    def moved(self, passed_s: float) -> tuple[int, int]:
        """Return what crossed since the last look, down and up, and follow its rates."""
        down, up = self.down_bytes - self.seen_down_bytes, self.up_bytes - self.seen_up_bytes
        self.seen_down_bytes, self.seen_up_bytes = self.down_bytes, self.up_bytes
        weight = min(1.0, passed_s / RATE_S)
        self.down_rate_bps += (down * 8 * WIRE_RATIO / passed_s - self.down_rate_bps) * weight
        self.up_rate_bps += (up * 8 * WIRE_RATIO / passed_s - self.up_rate_bps) * weight
        return int(down * WIRE_RATIO), int(up * WIRE_RATIO)
