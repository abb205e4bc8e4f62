"""Who sees whose picture, and how large it may be: what matters first, within what each direction has left. Pure.

A picture is encoded once by its sender. It costs the way down once where its sender is beyond the link, and the way up
once for each who sees it there; and whoever sees it must be able to receive it. Pictures that matter get the least an
encoder does, then enough to be good; then the others get in, and what is left goes round in the same order.

A picture that does not fit pauses at once. It comes back when it has fitted, with something to spare, for three seconds
on end, and for twice as long after each pause of the last minute; at once where it has become what matters.

Source: LiveKit's StreamAllocator and Jitsi's BandwidthAllocator (order, pausing); oxpulse (three good ticks to rise).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from gateway.clinic.allocation import PICTURE_MIN_BPS, PICTURE_RESUME_BPS, on_the_wire_bps
from gateway.clinic.invitation import Role

PROOF_S = 3.0
PROOF_S_MAX = 24.0
REMEMBERED_S = 60.0  # how long a pause makes the next proof longer
GOOD_BPS = 120_000  # 240×180 at 20 frames a second (2026-11): what matters has that before others come in
STILL_BYTES_MAX = 6_000  # a picture 320 wide as a JPEG
STILL_BITS = STILL_BYTES_MAX * 8 * 4 // 3 + 2_400  # in base64, with its message's and packets' headers
STILL_S_MIN = 3
STILL_S_MAX = 10

Pair = tuple[Role, Role]  # a sender, and who looks on


@dataclass(frozen=True, slots=True)
class Look:
    """Somebody would see somebody's picture; `matters`: it is pinned, or of whoever speaks."""

    sender: Role
    viewer: Role
    matters: bool = False

    @property
    def pair(self) -> Pair:
        """Who and whom."""
        return self.sender, self.viewer


@dataclass(frozen=True, slots=True)
class Standing:
    """How one look stood the last time."""

    is_shown: bool
    mattered: bool
    fits_since_s: float | None = None
    paused_s: tuple[float, ...] = ()

    def is_proven(self, now_s: float) -> bool:
        """Whether a paused picture may come back."""
        proof_s = min(PROOF_S * 2 ** (len(self.paused_s) - 1), PROOF_S_MAX)
        return self.fits_since_s is not None and now_s - self.fits_since_s >= proof_s


@dataclass(frozen=True, slots=True)
class Room:
    """What there is to divide: the payload each direction has left, and what each browser says it can receive."""

    up_bps: int
    down_bps: int
    far: frozenset[Role]
    video_bps_max: int
    receives_bps: Mapping[Role, int] = field(default_factory=dict)
    slack_up_bps: int = 0
    """What stills may use of a direction that no picture crosses."""
    slack_down_bps: int = 0


@dataclass(frozen=True, slots=True)
class Pictures:
    """Each sender's picture while somebody sees it, who sees whose, and how often a still may go instead."""

    bps: Mapping[Role, int]
    shown: frozenset[Pair]
    still_s: Mapping[Role, int]
    spare_up_bps: int
    standings: Mapping[Pair, Standing]


def divide(room: Room, looks: Sequence[Look], before: Mapping[Pair, Standing], now_s: float) -> Pictures:
    """Return who sees what from now on; of looks that matter as much, the first comes first.

    >>> divide(Room(200_000, 50_000, frozenset({"doctor"}), 700_000), [Look("nurse", "doctor")], {}, 0.0).bps
    {'nurse': 200000}
    """
    ordered = sorted(looks, key=lambda look: not look.matters)
    known = {look.pair: _seen(before.get(look.pair), look, now_s) for look in ordered}
    paused = frozenset(pair for pair, standing in known.items() if standing and not standing.is_shown)
    wished = _Filling(room, paused).fill(ordered)
    stand = {look.pair: _proving(known[look.pair], look, look.pair in wished.shown, now_s) for look in ordered}
    unproven = {pair for pair in paused if not stand[pair].is_proven(now_s)}
    given = _Filling(room, paused).fill([look for look in ordered if look.pair not in unproven])
    return Pictures(
        bps={sender: bps for sender, bps in given.bps.items() if bps},
        shown=frozenset(given.shown),
        still_s=given.stills([look for look in ordered if look.pair not in given.shown]),
        spare_up_bps=on_the_wire_bps(given.up_bps),
        standings={pair: _settled(standing, pair in given.shown, now_s) for pair, standing in stand.items()},
    )


def slots_of(before: Sequence[Role | None], wanted: Sequence[Role], count: int) -> tuple[Role | None, ...]:
    """Return who is in each of a page's slots: whoever matters most gets in, and who stays does not change places.

    >>> slots_of(("doctor", "guest", None), ["interpreter", "doctor"], 3)
    ('doctor', 'interpreter', None)
    """
    chosen = list(wanted[:count])
    kept = [role if role in chosen else None for role in (*before, *[None] * count)[:count]]
    entering = iter([role for role in chosen if role not in kept])
    return tuple(role if role is not None else next(entering, None) for role in kept)


class _Filling:
    """What is left while it is given away."""

    def __init__(self, room: Room, paused: frozenset[Pair]) -> None:
        self._room = room
        self._paused = paused
        self.up_bps = room.up_bps
        self._down_bps = room.down_bps
        self._receives = {role: max(bps, PICTURE_MIN_BPS) for role, bps in room.receives_bps.items()}
        self.bps: dict[Role, int] = {}
        self.shown: list[Pair] = []

    def fill(self, looks: Sequence[Look]) -> "_Filling":
        """Give everything away; `looks` has what matters first."""
        most_bps = max(self._room.video_bps_max, PICTURE_MIN_BPS)
        first = [look for look in looks if look.matters]
        rest = [look for look in looks if not look.matters]
        for part in (first, rest):
            for look in part:
                self._admit(look)
            self._raise(part, min(GOOD_BPS, most_bps))
        for part in (first, rest):
            self._raise(part, most_bps)
        return self

    def stills(self, looks: Sequence[Look]) -> dict[Role, int]:
        """Return every how many seconds a still may go in place of each picture that is not shown."""
        far, found = self._room.far, dict[Role, int]()
        if not any(viewer in far for _, viewer in self.shown):
            self.up_bps = max(self.up_bps, self._room.slack_up_bps)
        if not far & self.bps.keys():
            self._down_bps = max(self._down_bps, self._room.slack_down_bps)
        for sender in dict.fromkeys(look.sender for look in looks):
            viewers = [look.viewer for look in looks if look.sender == sender]
            up_bits = STILL_BITS * sum(viewer in far for viewer in viewers)
            down_bits = STILL_BITS * (sender in far)
            for seconds in range(STILL_S_MIN, STILL_S_MAX + 1):
                if up_bits <= self.up_bps * seconds and down_bits <= self._down_bps * seconds:
                    self.up_bps -= up_bits // seconds
                    self._down_bps -= down_bits // seconds
                    found[sender] = seconds
                    break
        return found

    def _admit(self, look: Look) -> None:
        sender, viewer = look.pair
        least_bps = PICTURE_RESUME_BPS if look.pair in self._paused else PICTURE_MIN_BPS
        sent_bps = self.bps.get(sender, 0)
        need_bps = max(sent_bps, least_bps)
        is_least = sent_bps <= PICTURE_MIN_BPS and not any(other == viewer for _, other in self.shown)
        fits = (
            (viewer not in self._room.far or self.up_bps >= need_bps)
            and (sender not in self._room.far or sent_bps or self._down_bps >= need_bps)
            and (is_least or viewer not in self._receives or self._receives[viewer] >= need_bps)
        )
        if not fits:
            return
        bps = sent_bps or PICTURE_MIN_BPS
        if viewer in self._room.far:
            self.up_bps -= bps
        if sender in self._room.far and not sent_bps:
            self._down_bps -= bps
        if viewer in self._receives:
            self._receives[viewer] -= bps
        self.bps[sender] = bps
        self.shown.append(look.pair)

    def _raise(self, looks: Sequence[Look], target_bps: int) -> None:
        for sender in dict.fromkeys(look.sender for look in looks if look.pair in self.shown):
            viewers = [viewer for other, viewer in self.shown if other == sender]
            upward = sum(viewer in self._room.far for viewer in viewers)
            more_bps = min(
                target_bps - self.bps[sender],
                self.up_bps // upward if upward else target_bps,
                self._down_bps if sender in self._room.far else target_bps,
                *(self._receives.get(viewer, target_bps) for viewer in viewers),
            )
            if more_bps <= 0:
                continue
            self.bps[sender] += more_bps
            self.up_bps -= more_bps * upward
            self._down_bps -= more_bps * (sender in self._room.far)
            for viewer in self._receives.keys() & set(viewers):
                self._receives[viewer] -= more_bps


def _seen(standing: Standing | None, look: Look, now_s: float) -> Standing | None:
    """Return what is remembered of a look; what has just begun to matter begins anew."""
    if standing is None or (look.matters and not standing.mattered):
        return None
    recent = tuple(at_s for at_s in standing.paused_s if now_s - at_s < REMEMBERED_S)
    lasting = () if standing.is_shown else standing.paused_s[-1:]
    return replace(standing, mattered=look.matters, paused_s=recent or lasting)


def _proving(standing: Standing | None, look: Look, fits: bool, now_s: float) -> Standing:
    if standing is None:
        return Standing(is_shown=True, mattered=look.matters)
    if standing.is_shown:
        return standing
    since_s = standing.fits_since_s if standing.fits_since_s is not None else now_s
    return replace(standing, fits_since_s=since_s if fits else None)


def _settled(standing: Standing, shown: bool, now_s: float) -> Standing:
    if shown:
        return replace(standing, is_shown=True, fits_since_s=None)
    if not standing.is_shown:
        return standing
    return replace(standing, is_shown=False, fits_since_s=None, paused_s=(*standing.paused_s, now_s)[-4:])
