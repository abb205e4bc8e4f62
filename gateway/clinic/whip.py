"""A camera or a screen without a page sits in a consultation as long as it has a session here, or its media lives.

WHIP brings a picture in (an otoscope, a camera on a stand), WHEP takes the one in focus out, with the voices, as slots
were offered. Each takes the place its link is for, like anybody else: everybody sees that it is there.

A session is known by an address of 128 random bits, and ends when it is deleted, when its connection is over, or when
another takes its place. Nothing of it is kept.

Source: RFC 9725 (WHIP), draft-ietf-wish-whep-03 (WHEP).
"""

import asyncio
import hashlib
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from gateway.clinic.hearing import NEGOTIATION_S
from gateway.clinic.invitation import Invitation
from gateway.clinic.media.control import Relay
from gateway.clinic.media.sdp import Offer, read_offer
from gateway.clinic.media.streams import Allowance
from gateway.clinic.room import Seat
from gateway.clock import Clock
from gateway.errors import N_, BadRequest, NoCapacity, NotAllowed, NotFound, NotSignedIn, TooMany

SESSIONS_MAX = 64
OFFERS_PER_S_MAX = 0.5  # of one link: a client that loses its connection tries again after some seconds
OFFERS_BURST_S = 8.0
SESSION_BYTES = 16


class Direction(StrEnum):
    """Which way media goes."""

    IN = "whip"
    OUT = "whep"


_ROLES = {Direction.IN: "camera", Direction.OUT: "guest"}


class Room(Protocol):
    """Where people sit."""

    def read(self, token: str) -> Invitation: ...
    def relays(self) -> tuple[Relay, ...]: ...
    async def join_without_socket(self, token: str, sdp: str, *, far: bool) -> Seat: ...
    def holds(self, seat: Seat) -> bool: ...
    def leave_without_socket(self, seat: Seat) -> None: ...


@dataclass(frozen=True, slots=True)
class Session:
    """What a client is told: its session's name, the answer, the name of its ICE session, and relays it may take."""

    name: str
    answer: str
    etag: str
    relays: tuple[Relay, ...]


@dataclass(frozen=True, slots=True)
class _Held:
    direction: Direction
    token_hash: bytes
    seat: Seat


class Whip:
    """All sessions."""

    def __init__(
        self,
        room: Room,
        clock: Clock,
        *,
        origins: frozenset[str] = frozenset(),
        random_token: Callable[[int], str] = secrets.token_urlsafe,
    ) -> None:
        """Let in browsers' pages of these origins, besides the box's own."""
        self.origins = origins
        self._room = room
        self._clock = clock
        self._random_token = random_token
        self._held: dict[str, _Held] = {}
        self._offers: dict[tuple[str, str], Allowance] = {}  # by consultation and role, the latest last

    async def open(self, direction: Direction, token: str, sdp: str, *, far: bool) -> Session:
        """Return a new session; whoever sat at the place of its link has lost it.

        Raises: NotAllowed, BadRequest, TooMany, NoAddressError, NoWayError, NoCapacity.
        """
        invitation = self._room.read(token)
        if invitation.role != _ROLES[direction]:
            raise NotAllowed(
                N_("This link is not for a camera or a screen without a page."),
                N_("Ask the clinic for the link of a camera, or of a guest for a screen."),
            )
        self._pace(invitation)
        _check_direction(direction, read_offer(sdp))
        self._forget_gone()
        if len(self._held) >= SESSIONS_MAX:
            raise NoCapacity
        try:
            async with asyncio.timeout(NEGOTIATION_S):
                seat = await self._room.join_without_socket(token, sdp, far=far)
        except TimeoutError as exc:
            raise NoCapacity from exc
        name = self._random_token(SESSION_BYTES)
        self._held[name] = _Held(direction, _hash(token), seat)
        return Session(name, seat.answer, self._random_token(SESSION_BYTES), self._room.relays() if far else ())

    def check(self, direction: Direction, name: str, token: str | None) -> None:
        """See that there is such a session, and that a token that came along is its own.

        Raises: NotFound, NotSignedIn.
        """
        self._forget_gone()
        held = self._held.get(name)
        if held is None or held.direction is not direction:
            raise NotFound
        if token is not None and not hmac.compare_digest(_hash(token), held.token_hash):
            raise NotSignedIn(N_("This link is not the one this session began with."))

    def close(self, direction: Direction, name: str, token: str | None) -> None:
        """A session is over, and its place free.

        Raises: NotFound, NotSignedIn.
        """
        self.check(direction, name, token)
        self._room.leave_without_socket(self._held.pop(name).seat)

    def _pace(self, invitation: Invitation) -> None:
        place = invitation.consultation, invitation.role
        allowance = self._offers.pop(place, None) or Allowance(OFFERS_PER_S_MAX, burst_s=OFFERS_BURST_S)
        self._offers[place] = allowance
        while len(self._offers) > SESSIONS_MAX:
            self._offers.pop(next(iter(self._offers)))
        if not allowance.take(1, self._clock.now_s()):
            raise TooMany

    def _forget_gone(self) -> None:
        for name in [name for name, held in self._held.items() if not self._room.holds(held.seat)]:
            del self._held[name]


def _check_direction(direction: Direction, offer: Offer) -> None:
    """See that media goes one way, and that what goes out has a voice.

    Raises: BadRequest.
    """
    ways = {(each.is_sent, each.is_received) for each in offer.lines}
    if direction is Direction.IN and (len(offer.lines) > 2 or not ways <= {(True, False), (True, True)}):  # §4.2
        raise BadRequest(
            N_("A camera's offer only sends: one picture, and one voice if it has a microphone."),
            N_("Set the client to publish, not to watch."),
        )
    if direction is Direction.OUT and (len(offer.lines) < 2 or ways != {(False, True)}):
        raise BadRequest(
            N_("A screen's offer only receives: a voice and a picture for each of the others."),
            N_("Set the client to watch, not to publish."),
        )


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()
