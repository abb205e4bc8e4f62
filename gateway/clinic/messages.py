"""What a call's page and the box say to each other: one JSON object a message, each with its `type`. Pure.

From the page: `offer` (with `sdp`), `resume` (the socket was lost, the media perhaps not), `pong`, `bye`.
From the box: `answer` (with `sdp`), `state`, `again` (begin a new connection), `renew` (offer the same connection once
more: the answer will ask for another voice), `outlook` (with a sentence: what the link would carry), `refused` (with
one, too), `ping`, `bye`.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from gateway.errors import N_, BadRequest

Message = Mapping[str, object]

PING: Message = {"type": "ping"}
AGAIN: Message = {"type": "again"}
RENEW: Message = {"type": "renew"}


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


Heard = Offered | Resumed | Answered | Left


@dataclass(frozen=True, slots=True)
class Plan:
    """What the page shall send: nothing while nobody listens, no picture while the link is too weak for it."""

    send: bool
    picture: bool
    video_bps: int


@dataclass(frozen=True, slots=True)
class LinkShown:
    """The link, for a line on the page; rates are None where nobody set them."""

    state: str
    down_bps: int | None
    up_bps: int | None


@dataclass(frozen=True, slots=True)
class State:
    """Where the call stands for one of the two: is the other one in, and is anything heard of them."""

    others: bool
    heard: bool
    plan: Plan
    link: LinkShown

    def matters_more_than(self, shown: "State | None") -> bool:
        """Whether the page must know at once; figures alone may wait."""
        return shown is None or self._essence() != shown._essence()

    def _essence(self) -> tuple[object, ...]:
        return self.others, self.heard, self.plan.send, self.plan.picture, self.link.state


def read_message(text: str) -> Heard:
    """Return what the page said.

    Raises: BadRequest.
    """
    try:
        said = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise _not_understood() from exc
    match said:
        case {"type": "offer", "sdp": str(sdp)}:
            return Offered(sdp)
        case {"type": "resume"}:
            return Resumed()
        case {"type": "pong"}:
            return Answered()
        case {"type": "bye"}:
            return Left()
        case _:
            raise _not_understood()


def answer(sdp: str) -> Message:
    """The box's half of the negotiation."""
    return {"type": "answer", "sdp": sdp}


def state(shown: State) -> Message:
    """Where the call stands."""
    return {"type": "state", **asdict(shown)}


def outlook(sentence: str) -> Message:
    """What the call would carry that is waited for."""
    return {"type": "outlook", "message": sentence}


def refused(sentence: str, *, final: bool) -> Message:
    """Something was refused; `final` when trying again cannot help."""
    return {"type": "refused", "message": sentence, "final": final}


def bye(reason: str) -> Message:
    """The box hangs up: `stopping` (it will be back) or `replaced` (the link was opened elsewhere)."""
    return {"type": "bye", "reason": reason}


def _not_understood() -> BadRequest:
    return BadRequest(N_("The call's page said something the box does not understand."), N_("Reload the page."))
