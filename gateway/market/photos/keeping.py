"""What is kept of photos, for how long, and which goes next. Pure.

Nothing that an order names and the marketplace lacks is ever removed because of its age. A time stamp counts from the
moment it can be believed: one made before the clock was set, or that lies ahead of it, begins anew.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from gateway.clock import clock_state
from gateway.market.states import State

DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class PhotoLimits:
    """How much is taken, how long it stays, how it is sent."""

    photo_bytes_max: int = 8_000_000  # a phone's photo has 2 to 5 MB
    merchant_bytes_max: int = 64_000_000
    merchant_photos_max: int = 500
    total_bytes_max: int = 512_000_000
    free_bytes_min: int = 128_000_000  # of the disk: photos are refused long before orders are
    uploads_max: int = 16  # at once; each holds some 128 KB
    merchant_uploads_max: int = 6  # of them; a cut connection counts until it was silent for long enough
    upload_s: float = 900.0  # of one request: 8 MB at 80 kbit/s take 800 s; the next goes on where it ended
    shrinks_max: int = 16  # photos that wait to be made smaller; the others stay as they came
    merchant_shrinks_max: int = 4
    silence_s: float = 30.0  # over the village's Wi-Fi
    part_s: float = 3 * DAY_S  # a part that nobody goes on with
    kept_s: float = 7 * DAY_S  # after it was sent
    unnamed_s: float = 30 * DAY_S  # no order names it, or only ones that take no effect
    tidy_s: float = 3_600.0
    look_s: float = 60.0  # between two looks for something to send
    retry_s_min: float = 2.0
    retry_s_max: float = 600.0
    refusals_max: int = 3  # then a photo is set aside


class Standing(StrEnum):
    """How far a photo is; also the ending of its file's name, so that one rename is all that must be durable."""

    PART = "part"
    WHOLE = "whole"
    SENT = "sent"  # the marketplace has it
    ASIDE = "aside"  # the marketplace refused it too often
    DAMAGED = "damaged"  # it is not what was written


@dataclass(frozen=True, slots=True)
class Photo:
    """A photo of one merchant, as it lies on the shelf."""

    name: str  # of its file, without the ending; tells nothing
    merchant: str
    sha256: str
    size_bytes: int
    standing: Standing
    offset_bytes: int  # on disk for certain
    stamp_wall_s: float  # when it came to its standing; of a part, when it last grew
    made_from: str = ""  # the photo that this is a smaller one of

    @property
    def is_whole(self) -> bool:
        """Whether it arrived whole and is what its name says."""
        return self.standing in {Standing.WHOLE, Standing.SENT, Standing.ASIDE}


@dataclass(frozen=True, slots=True)
class Naming:
    """An order of this merchant names a photo, and stands so."""

    merchant: str
    sha256: str
    state: State


class Wish(StrEnum):
    """What its orders want of a photo."""

    SEND = "send"  # the far side has an order that names it
    WAIT = "wait"  # an order that names it is on its way, or with a person
    NOTHING = "nothing"


_ARRIVED = frozenset({State.AT_HUB, State.ACCEPTED, State.FULFILLED})
_ENDED = frozenset({State.CANCELLED, State.REJECTED})


def wish_of(states: Collection[State]) -> Wish:
    """Return what the orders that name a photo want of it; an order goes before its photos.

    >>> wish_of([State.CANCELLED, State.ACCEPTED]), wish_of([State.QUEUED]), wish_of([State.REJECTED]), wish_of([])
    (<Wish.SEND: 'send'>, <Wish.WAIT: 'wait'>, <Wish.NOTHING: 'nothing'>, <Wish.NOTHING: 'nothing'>)
    """
    if not _ARRIVED.isdisjoint(states):
        return Wish.SEND
    return Wish.NOTHING if _ENDED.issuperset(states) else Wish.WAIT


def wishes(namings: Iterable[Naming]) -> dict[tuple[str, str], Wish]:
    """Return what is wanted of each photo that is named, by merchant and hash."""
    states: dict[tuple[str, str], set[State]] = {}
    for each in namings:
        states.setdefault((each.merchant, each.sha256), set()).add(each.state)
    return {named: wish_of(found) for named, found in states.items()}


def is_credible(stamp_wall_s: float, wall_s: float) -> bool:
    """Say whether an age can be counted from this stamp."""
    return clock_state(stamp_wall_s) == "trusted" and stamp_wall_s <= wall_s


def may_go(photo: Photo, wish: Wish, wall_s: float, limits: PhotoLimits, *, is_sent_on: bool) -> bool:
    """Say whether a photo can be removed; `is_sent_on`: the marketplace takes photos at all."""
    age_s = wall_s - photo.stamp_wall_s if is_credible(photo.stamp_wall_s, wall_s) else 0.0
    match photo.standing:
        case Standing.PART:
            return age_s > limits.part_s
        case Standing.SENT:
            return age_s > limits.kept_s
        case Standing.WHOLE:
            is_free = wish is Wish.NOTHING or (wish is Wish.SEND and not is_sent_on)
            return is_free and age_s > limits.unnamed_s
        case Standing.ASIDE | Standing.DAMAGED:
            return age_s > limits.unnamed_s


def next_to_send(
    photos: Iterable[Photo], wanted: Mapping[tuple[str, str], Wish], tries: Mapping[str, int]
) -> Photo | None:
    """Return the photo to send now: one that failed comes after those that did not, and small ones go first."""
    ready = [
        each
        for each in photos
        if each.standing is Standing.WHOLE and wanted.get((each.merchant, each.sha256)) is Wish.SEND
    ]
    return min(ready, key=lambda each: (tries.get(each.name, 0), each.size_bytes, each.stamp_wall_s), default=None)


def room_for(photos: Collection[Photo], merchant: str, size_bytes: int, limits: PhotoLimits) -> list[Photo] | None:
    """Return the sent photos that must go so that one more fits; None when it does not fit for all that.

    The merchant's own go first, and another's only where the room of all is spent. A part counts with its whole size.
    """
    own = [each.size_bytes for each in photos if each.merchant == merchant]
    own_count, own_bytes = len(own), sum(own) + size_bytes
    all_bytes = sum(each.size_bytes for each in photos) + size_bytes
    going: list[Photo] = []
    sent = [each for each in photos if each.standing is Standing.SENT]
    for each in sorted(sent, key=lambda each: (each.merchant != merchant, each.stamp_wall_s)):
        fits_own = own_count < limits.merchant_photos_max and own_bytes <= limits.merchant_bytes_max
        if fits_own and all_bytes <= limits.total_bytes_max:
            return going
        if each.merchant == merchant:
            own_count, own_bytes = own_count - 1, own_bytes - each.size_bytes
        elif not fits_own:
            return None
        all_bytes -= each.size_bytes
        going.append(each)
    fits_own = own_count < limits.merchant_photos_max and own_bytes <= limits.merchant_bytes_max
    return going if fits_own and all_bytes <= limits.total_bytes_max else None
