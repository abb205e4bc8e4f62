"""One place in a consultation: who sits there, by which socket and which connection, and what their page was shown.

A place outlives both: whoever comes back with the same link finds it as it was, but for what the page itself says anew.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from gateway.clinic.allocation import SPARSE, Voice
from gateway.clinic.invitation import Role
from gateway.clinic.media.sdp import Offer
from gateway.clinic.media.streams import Allowance
from gateway.clinic.messages import State, Switched
from gateway.clinic.peer import Peer
from gateway.clinic.quality import PageFigures
from gateway.clinic.sharing_out import Person
from gateway.clinic.signalling import Socket

CONNECT_S = 20.0  # an answer that led to no connection by then is given up
HEARD_S = 6.0  # browsers send something each 2.5 s even when muted (RFC 7675 §5.1)
LOST_S = 20.0  # with the page still there: media that mends itself has done so by then (2026-11)
CAME_BACK_S = 1.0  # … and of a page that is back by another socket, within so long: else its link has moved
FRESH_S = 7.0  # a page answers a ping each 5 s
LINGER_S = 45.0  # media and socket both gone: the place is free
LEAD_S = 0.5  # whoever comes back is heard for so long before they are seen
STILL_PAUSE_S = 2.0
FIGURES_S = 12.0  # a page measures each 5 s; older figures say nothing
WROTE_MAX = 32  # entries of one page that are on their way to the others

STATES_PER_S_MAX = 2.0  # to one page; a beat later it is told what is true then
STATES_AT_ONCE = 8

NEVER_S = float("-inf")


class OpenPeer(Protocol):
    """Whoever makes connections."""

    def __call__(self, offer: Offer, *, sdp: str, near: bool, codec: str, changed: Callable[[], None]) -> Peer:
        """Return a connection that is not answered yet. Raises: NoCapacity."""
        ...


@dataclass(slots=True)
class Place:
    """Who sits there now."""

    role: Role
    far: bool = False
    socket: Socket | None = None
    peer: Peer | None = None
    codec: str = ""
    voice: Voice = SPARSE
    switches: Switched = field(default_factory=Switched)
    has_voice: bool = True
    pinned: Role | None = None
    figures: PageFigures | None = None
    figures_s: float = NEVER_S
    still_s: float = NEVER_S
    shown: State | None = None
    shown_s: float = NEVER_S
    tells: Allowance = field(
        default_factory=lambda: Allowance(STATES_PER_S_MAX, burst_s=STATES_AT_ONCE / STATES_PER_S_MAX)
    )
    outlook: str = ""
    outlook_s: float = NEVER_S
    was_connected: bool = False
    connected_s: float = NEVER_S
    came_back: bool = False
    """The connection before this one broke off, so that this one is heard before it is seen."""
    counted_bytes: tuple[int, int] = (0, 0)
    renewed_s: float = NEVER_S
    better_since_s: float | None = None
    wrote: deque[str] = field(default_factory=lambda: deque(maxlen=WROTE_MAX))

    @property
    def is_taken(self) -> bool:
        """Whether somebody sits here."""
        return self.socket is not None or self.peer is not None

    @property
    def is_heard(self) -> bool:
        """Whether something came lately."""
        return self.peer is not None and self.peer.silent_s() < HEARD_S

    def seat(self, socket: Socket | None) -> Socket | None:
        """Sit down by this socket, or without one; returns the one before, where it was another."""
        before = self.socket if self.socket is not socket else None
        self.socket, self.shown, self.outlook_s = socket, None, NEVER_S
        return before

    def page_figures(self, now_s: float) -> PageFigures | None:
        """Return what the page measured lately."""
        return self.figures if now_s - self.figures_s < FIGURES_S else None

    def is_gone(self, peer: Peer, now_s: float) -> bool:
        """Whether this connection will not come back by itself."""
        if peer.is_over:
            return True
        if not self.was_connected:
            return now_s - peer.began_s > CONNECT_S
        if self.socket is None:
            return peer.silent_s() > LINGER_S
        return peer.silent_s() > LOST_S and self.socket.silent_s() < FRESH_S

    def person(self, peer: Peer, now_s: float, *, doubles_voices: bool = False) -> Person:
        """Return them as far as it matters for what they get."""
        led = not self.came_back or (self.is_heard and now_s - self.connected_s >= LEAD_S)
        return Person(
            role=self.role,
            far=self.far,
            slots=0 if self.role == "camera" else peer.slots,
            voice=self.voice,
            sends_picture=self.switches.picture or self.switches.share,
            has_voice=self.has_voice,
            is_ready=self.was_connected and led,
            pinned=self.pinned,
            receives_bps=peer.figures.estimate_bps,
            lost_ratio=peer.figures.fraction_lost if doubles_voices else 0.0,
            speaks_red=peer.speaks_red,
        )
