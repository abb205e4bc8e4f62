"""What a call's page and the box say to each other: one JSON object a message, each with its `type`. Pure.

| from the page | says |
|---|---|
| `offer` | wants to join, with `sdp` |
| `resume` | the socket was lost, the media perhaps not |
| `pong`, `bye` | is there; has left |
| `switches` | `voice`, `picture`, `share`: what the person sends |
| `pin` | `who`: whose picture matters to them, or null |
| `still` | `image`: a small picture in place of the moving one |
| `entry` | `id`, `kind`, `at`, `fields`: to be kept in the record |
| `entries` | `after`: what the record holds since then |
| `figures` | what the page measured over five seconds |
| `record` | `on`: the nurse begins a recording, or ends it |

From the box: `answer` (with `sdp`), `state`, `again` (begin a new connection), `renew` (offer the same connection once
more: the answer will ask for another voice), `outlook` (with a sentence: what the link would carry), `refused` (with
one, too, and the `id` of an entry that was not kept), `kept`, `entry`, `still`, `recording` (with a sentence: why there
is none), `ping`, `bye`.

Source: RFC 8259 §9 (limits of a parser), JPEG (ITU-T T.81 §B.2), WebP (RFC 9649 §2.4).
"""

import base64
import binascii
import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from gateway.clinic.invitation import ROLES, Role
from gateway.clinic.quality import PageFigures
from gateway.errors import N_, BadRequest

Message = Mapping[str, object]

PING: Message = {"type": "ping"}
AGAIN: Message = {"type": "again"}
RENEW: Message = {"type": "renew"}

STILL_BYTES_MAX = 8_000
KIND_CHARS_MAX = 40
SECONDS_MAX = 1e11  # a wall clock in milliseconds would be more
SPEAKS_PAUSE_S = 1.0  # in a room of three or more; of two it is no news who speaks
FIGURES_PAUSE_S = 5.0  # figures alone are not worth a message more often

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z")
_FPS_MAX, _SECONDS_MAX = 240.0, 60.0


@dataclass(frozen=True, slots=True)
class Offered:
    """The page wants to join, with this offer."""

    sdp: str


@dataclass(frozen=True, slots=True)
class Resumed:
    """The page lost its socket, and may still have its media."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The page is there."""


@dataclass(frozen=True, slots=True)
class Left:
    """The person has left."""


@dataclass(frozen=True, slots=True)
class Switched:
    """What the person sends from now on."""

    voice: bool = True
    picture: bool = True
    share: bool = False


@dataclass(frozen=True, slots=True)
class Pinned:
    """Whose picture matters to the person, or nobody's more than another's."""

    who: Role | None


@dataclass(frozen=True, slots=True)
class StillSent:
    """A small picture, checked: base64 of a JPEG or a WebP."""

    image: str


@dataclass(frozen=True, slots=True)
class EntryWritten:
    """Something for the record; its fields are not checked yet."""

    id: str
    kind: str
    at_wall_s: float
    fields: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class EntriesAsked:
    """The page wants what the record holds after this number."""

    after: int


@dataclass(frozen=True, slots=True)
class Measured:
    """What the page measured."""

    figures: PageFigures


@dataclass(frozen=True, slots=True)
class RecordAsked:
    """The call is to be recorded from now on, or not any more."""

    on: bool


Heard = (
    Offered
    | Resumed
    | Answered
    | Left
    | Switched
    | Pinned
    | StillSent
    | EntryWritten
    | EntriesAsked
    | Measured
    | RecordAsked
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What the page shall send: nothing while nobody listens, no picture while the link is too weak for it."""

    send: bool
    picture: bool
    video_bps: int
    still_s: int | None = None


@dataclass(frozen=True, slots=True)
class LinkShown:
    """The link, for a line on the page; rates are None where nobody set them."""

    state: str
    down_bps: int | None
    up_bps: int | None


@dataclass(frozen=True, slots=True)
class SlotShown:
    """Whose voice one of the page's slots carries, and whether their picture too."""

    who: Role | None = None
    picture: bool = False


@dataclass(frozen=True, slots=True)
class PersonShown:
    """Somebody in the room."""

    who: Role
    heard: bool
    speaks: bool
    voice: bool
    picture: bool
    share: bool
    far: bool


@dataclass(frozen=True, slots=True)
class QualityShown:
    """How the call is, in a word, its cause, and a sentence in the reader's language."""

    word: str = "good"
    cause: str = "none"
    message: str = ""


@dataclass(frozen=True, slots=True)
class State:
    """Where the call stands for one of its people: is somebody else in, and is anything heard of them."""

    others: bool
    heard: bool
    plan: Plan
    link: LinkShown
    slots: tuple[SlotShown, ...] = ()
    people: tuple[PersonShown, ...] = ()
    focus: Role | None = None
    pinned: Role | None = None
    quality: QualityShown = QualityShown()
    recording: bool = False

    def may_wait_s(self, shown: "State | None") -> float:
        """Return how old what is shown may be before the page must know this; figures alone may wait."""
        if shown is None or self._essence() != shown._essence():
            return 0.0
        speaks = [each.speaks for each in self.people] != [each.speaks for each in shown.people]
        return SPEAKS_PAUSE_S if speaks and len(self.people) > 2 else FIGURES_PAUSE_S

    def _essence(self) -> tuple[object, ...]:
        people = [(each.who, each.heard, each.voice, each.picture, each.share) for each in self.people]
        plan = self.plan.send, self.plan.picture, self.plan.still_s is None
        quality = self.quality.word, self.quality.cause
        call = self.others, self.heard, plan, self.link.state, self.recording
        return (*call, self.slots, people, self.focus, self.pinned, quality)


def read_message(text: str) -> Heard:
    """Return what the page said.

    Raises: BadRequest.
    """
    try:
        said = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise _not_understood() from exc
    heard = _of_the_call(said) or _of_the_people(said)
    if heard is None:
        raise _not_understood()
    return heard


def _of_the_call(said: object) -> Heard | None:
    match said:
        case {"type": "offer", "sdp": str(sdp)}:
            return Offered(sdp)
        case {"type": "resume"}:
            return Resumed()
        case {"type": "pong"}:
            return Answered()
        case {"type": "bye"}:
            return Left()
        case {"type": "figures", **figures}:
            return Measured(_figures(figures))
        case _:
            return None


def _of_the_people(said: object) -> Heard | None:
    match said:
        case {"type": "switches", "voice": bool(voice), "picture": bool(picture), "share": bool(share)}:
            return Switched(voice, picture, share)
        case {"type": "record", "on": bool(on)}:
            return RecordAsked(on)
        case {"type": "pin", "who": None}:
            return Pinned(None)
        case {"type": "pin", "who": str(who)}:
            return Pinned(_role(who))
        case {"type": "still", "image": str(image)}:
            return StillSent(_still(image))
        case {"type": "entry", "id": str(name), "kind": str(kind), "at": at, "fields": dict(fields)}:
            return _entry(name, kind, at, fields)
        case {"type": "entries", "after": int(after)} if not isinstance(after, bool) and 0 <= after < 2**53:
            return EntriesAsked(after)
        case _:
            return None


def answer(sdp: str) -> Message:
    """The box's half of the negotiation."""
    return {"type": "answer", "sdp": sdp}


def state(shown: State) -> Message:
    """Where the call stands."""
    return {"type": "state", **asdict(shown)}


def outlook(sentence: str) -> Message:
    """What the call would carry that is waited for."""
    return {"type": "outlook", "message": sentence}


def refused(sentence: str, *, final: bool, entry: str | None = None) -> Message:
    """Something was refused, `entry` where it was one; `final` when trying again cannot help."""
    said: dict[str, object] = {"type": "refused", "message": sentence, "final": final}
    return said if entry is None else {**said, "id": entry}


def bye(reason: str) -> Message:
    """The box hangs up: `stopping` (it will be back), `replaced` (the link was opened elsewhere) or `ended`."""
    return {"type": "bye", "reason": reason}


def still(who: Role, image: str) -> Message:
    """A small picture of somebody whose moving one is paused."""
    return {"type": "still", "who": who, "image": image}


def recording(sentence: str) -> Message:
    """Why there is no recording, or not any more."""
    return {"type": "recording", "message": sentence}


def kept(entry: str, sequence: int) -> Message:
    """What the page wrote is on disk."""
    return {"type": "kept", "id": entry, "sequence": sequence}


def entry(sequence: int, name: str, kind: str, by: str, at_wall_s: float, fields: Mapping[str, object]) -> Message:
    """Something in the record."""
    return {
        "type": "entry",
        "sequence": sequence,
        "id": name,
        "kind": kind,
        "by": by,
        "at": at_wall_s,
        "fields": dict(fields),
    }


def _role(name: str) -> Role:
    for role in ROLES:
        if role == name:
            return role
    raise _not_understood()


def _still(image: str) -> str:
    if len(image) > (STILL_BYTES_MAX + 2) // 3 * 4:
        raise _not_understood()
    try:
        content = base64.b64decode(image, validate=True)
    except (binascii.Error, ValueError) as exc:
        raise _not_understood() from exc
    is_jpeg = content.startswith(b"\xff\xd8\xff") and content.endswith(b"\xff\xd9")
    is_webp = content[:4] == b"RIFF" and content[8:12] == b"WEBP"
    if not (is_jpeg or is_webp) or len(content) > STILL_BYTES_MAX:
        raise _not_understood()
    return base64.b64encode(content).decode("ascii")


def _entry(name: str, kind: str, at: object, fields: Mapping[str, object]) -> EntryWritten:
    at_wall_s = _number(at, SECONDS_MAX)
    if at_wall_s is None or not _ID.match(name) or len(kind) > KIND_CHARS_MAX:
        raise _not_understood()
    return EntryWritten(name, kind, at_wall_s, fields)


def _figures(said: Mapping[object, object]) -> PageFigures:
    fps, frozen_s = _number(said.get("fps"), _FPS_MAX), _number(said.get("frozen_s"), _SECONDS_MAX)
    concealed_ratio = _number(said.get("concealed_ratio"), 1.0)
    if fps is None or frozen_s is None or concealed_ratio is None:
        raise _not_understood()
    return PageFigures(fps, frozen_s, concealed_ratio, _number(said.get("delay_s"), _SECONDS_MAX))


def _number(value: object, most: float) -> float | None:
    """Return a number from 0 to `most`; what is more counts as the most, what is none as None."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
        return None
    return most if value > most or math.isinf(value) else float(value)


def _not_understood() -> BadRequest:
    return BadRequest(N_("The call's page said something the box does not understand."), N_("Reload the page."))
