"""What everybody in a room may send, and what each is given to hear and see, from one budget a direction. Pure.

Voices come first and are never dropped; pictures get what they leave. Beyond the link a voice costs the way down once
and the way up for each who hears it there. Whoever's media has only just come back is heard first, and seen when they
are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gateway.clinic.allocation import (
    CONNECT_BPS,
    MARGIN_BPS_MIN,
    PICTURE_MIN_BPS,
    SPARSE,
    Voice,
    choose_voice,
    doubled,
    left_for_pictures_bps,
    on_the_wire_bps,
)
from gateway.clinic.invitation import ROLES, Role
from gateway.clinic.pictures import Look, Pair, Pictures, Room, Standing, divide, slots_of

CLEAR_RATIO = 1.5  # of what a browser makes of a radio's bursts and of others' packets, where no queue is seen


@dataclass(frozen=True, slots=True)
class Budgets:
    """What one call may use of each direction, as the village sees them, and the most one picture may take."""

    up_bps: int
    down_bps: int
    video_bps_max: int
    slack_up_bps: int = 0
    """What a direction carries beside no picture at all: a budget is rounded down to what is seen of it."""
    slack_down_bps: int = 0
    is_clear_up: bool = False
    """Whether nothing waits that way for longer than others' packets take, or a picture's frame."""
    is_clear_down: bool = False

    def believed_bps(self, person: "Person") -> int | None:
        """Return what the way to somebody carries, as far as their browser is believed."""
        is_clear = self.is_clear_up if person.far else self.is_clear_down
        if person.receives_bps is None or not is_clear:
            return person.receives_bps
        return int(person.receives_bps * CLEAR_RATIO)


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who is in, as far as it matters here."""

    role: Role
    far: bool
    slots: int
    """How many others their page can show; 0 for a camera."""
    voice: Voice = SPARSE
    """What was agreed with their browser."""
    sends_picture: bool = True
    has_voice: bool = True
    """False for a camera without a microphone, and for whoever only watches."""
    is_ready: bool = True
    """Their media is there, and was heard."""
    pinned: Role | None = None
    receives_bps: int | None = None
    """What their browser says the way to it carries."""
    lost_ratio: float = 0.0
    speaks_red: bool = True
    """Whether a voice may go twice, from them and to them."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One of a page's slots: whose voice is in it, and whether their picture is."""

    who: Role | None = None
    picture: bool = False


@dataclass(frozen=True, slots=True)
class Given:
    """What one person may send and gets."""

    voice: Voice
    """What their browser should be asked for; what was agreed on may be another."""
    picture_bps: int = 0
    """0 while their picture is paused, or nobody would see it."""
    still_s: int | None = None
    slots: tuple[Shown, ...] = ()
    sent_bps: int = 0

    @property
    def remb_bps(self) -> int:
        """The figure for the browser: a page that does not pause is held at the least an encoder does."""
        return self.picture_bps or PICTURE_MIN_BPS


@dataclass(frozen=True, slots=True)
class Outcome:
    """What everybody gets, and what the next time has to know."""

    given: Mapping[Role, Given] = field(default_factory=dict)
    standings: Mapping[Pair, Standing] = field(default_factory=dict)
    spare_up_bps: int = 0


def share_out(people: Sequence[Person], budgets: Budgets, focus: Role | None, before: Outcome, now_s: float) -> Outcome:
    """Return what everybody may send and gets from now on.

    >>> pair = [Person("nurse", False, 3), Person("doctor", True, 3)]
    >>> share_out(pair, Budgets(72_000, 900_000, 700_000), None, Outcome(), 0.0).given["nurse"].picture_bps
    44691
    """
    seats = {each.role: _slots(each, people, focus, before.given.get(each.role)) for each in people}
    load = _Load(people, seats)
    pictures = divide(
        Room(
            left_for_pictures_bps(budgets.up_bps, load.up, load.legs),
            left_for_pictures_bps(budgets.down_bps, load.down, load.legs),
            frozenset(each.role for each in people if each.far),
            budgets.video_bps_max,
            {each.role: bps for each in people if (bps := budgets.believed_bps(each)) is not None},
            left_for_pictures_bps(budgets.slack_up_bps, load.up, load.legs),
            left_for_pictures_bps(budgets.slack_down_bps, load.down, load.legs),
        ),
        _looks(people, seats, focus),
        before.standings,
        now_s,
    )
    given = {each.role: _given(each, seats[each.role], people, load, budgets, pictures) for each in people}
    return Outcome(given, pictures.standings, pictures.spare_up_bps)


def begin_with(far: bool, budgets: Budgets) -> tuple[Voice, int]:
    """Return the voice somebody comes in with, and where their encoder should begin."""
    budget_bps = budgets.down_bps if far else budgets.up_bps
    voice = choose_voice(budget_bps)
    left_bps = left_for_pictures_bps(budget_bps, [voice])
    return voice, max(min(left_bps, budgets.video_bps_max, CONNECT_BPS), PICTURE_MIN_BPS)


def voices_need(people: int, far: int) -> tuple[int, int]:
    """Return what the least voices of so many people take upwards and downwards, in bit/s.

    With the reports of every leg beyond the first, whose are counted in what a call of two takes.

    >>> voices_need(2, 1), voices_need(3, 2)
    ((19733, 19733), (82932, 43466))
    """
    reports_bps = MARGIN_BPS_MIN * (far - 1)
    return far * (people - 1) * SPARSE.wire_bps + reports_bps, far * SPARSE.wire_bps + reports_bps


def voices_fit(people: Sequence[Person], far: bool, budgets: Budgets) -> bool:
    """Return whether the least voice of one more fits beside the least of those who are in."""
    beyond = sum(each.far for each in people) + far
    up_bps, down_bps = voices_need(len(people) + 1, beyond)
    return up_bps + MARGIN_BPS_MIN <= budgets.up_bps and down_bps + MARGIN_BPS_MIN <= budgets.down_bps


class _Load:
    """Which voices each direction carries."""

    def __init__(self, people: Sequence[Person], seats: Mapping[Role, tuple[Role | None, ...]]) -> None:
        voices = {each.role: each.voice for each in people if each.has_voice}
        heard = {role for slots in seats.values() for role in slots} & voices.keys()
        self.up = [voices[role] for each in people if each.far for role in seats[each.role] if role in voices]
        self.down = [each.voice for each in people if each.far and each.role in heard]
        self.legs = max(sum(each.far for each in people), 1)


def _slots(
    person: Person, people: Sequence[Person], focus: Role | None, before: Given | None
) -> tuple[Role | None, ...]:
    first = (person.pinned, focus)
    others = sorted(
        (each.role for each in people if each.role != person.role),
        key=lambda role: (first.index(role) if role in first else len(first), ROLES.index(role)),
    )
    return slots_of([each.who for each in before.slots] if before else (), others, person.slots)


def _looks(people: Sequence[Person], seats: Mapping[Role, tuple[Role | None, ...]], focus: Role | None) -> list[Look]:
    """Return who would see whom: pinned ones first, and who speaks before who does not."""
    ready = {each.role for each in people if each.is_ready}
    sends = {each.role for each in people if each.sends_picture} & ready
    found = []
    for viewer in people:
        matters = viewer.pinned if viewer.pinned in seats else focus
        found += [
            (role != viewer.pinned, role != focus, ROLES.index(role), Look(role, viewer.role, role == matters))
            for role in seats[viewer.role]
            if role in sends and viewer.role in ready
        ]
    return [look for *_, look in sorted(found, key=lambda each: each[:3])]


def _given(
    person: Person,
    slots: tuple[Role | None, ...],
    people: Sequence[Person],
    load: _Load,
    budgets: Budgets,
    pictures: Pictures,
) -> Given:
    voices = {each.role: each.voice for each in people if each.has_voice}
    shown = tuple(Shown(who, (who, person.role) in pictures.shown) for who in slots)
    sent_bps = sum(voices[each.who].wire_bps for each in shown if each.who in voices)
    sent_bps += sum(on_the_wire_bps(pictures.bps[each.who]) for each in shown if each.who is not None and each.picture)
    return Given(
        voice=_voice(person, people, load, budgets),
        picture_bps=pictures.bps.get(person.role, 0),
        still_s=pictures.still_s.get(person.role),
        slots=shown,
        sent_bps=max(sent_bps, SPARSE.wire_bps),
    )


def _voice(person: Person, people: Sequence[Person], load: _Load, budgets: Budgets) -> Voice:
    """Return the voice every direction that carries it can do with."""
    ways = [(budgets.up_bps, max(len(load.up), 1))]
    if person.far:
        crosses_up = any(each.far and each.role != person.role for each in people)
        ways = [(budgets.down_bps, max(len(load.down), 1)), *(ways if crosses_up else ())]
    plain = min((choose_voice(bps, copies, load.legs) for bps, copies in ways), key=lambda voice: voice.rate_bps)
    hearers = [each for each in people if each.role != person.role and each.speaks_red and person.speaks_red]
    lost_ratio = max((each.lost_ratio for each in hearers), default=0.0)
    with_red = (
        doubled(plain, bps, copies, load.legs, lost_ratio=lost_ratio, was_red=person.voice.red) for bps, copies in ways
    )
    return min(with_red, key=lambda voice: voice.red)
