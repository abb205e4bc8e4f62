"""One browser's connection to the box: an offer in, an answer out, and media both ways until it closes.

Where the far party's media must take another way than the box's own address (an emulated link, later the hub), the
media path says which address to name instead. Then nothing is sent to the browser's own addresses: it finds us by the
named one, and aioice learns where it came from (RFC 8445 §7.3.1.3).
"""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from aiortc import RTCIceCandidate, RTCPeerConnection, RTCSessionDescription
from aiortc.exceptions import InvalidAccessError, InvalidStateError, OperationError

from gateway.backhaul.dialer import Endpoint
from gateway.clinic.allocation import Voice
from gateway.clinic.media.forwarding import gather_ipv4_only, open_connection
from gateway.clinic.media.leg import Ear, Leg
from gateway.clinic.media.sdp import CANDIDATES_MAX, Offer, usable_candidates, write_answer, write_offer
from gateway.clock import Clock
from gateway.errors import N_, BadRequest, LocalError

CLOSE_S = 5.0


class MediaPath(Protocol):
    """How the far party's media reaches the box."""

    @property
    def direct(self) -> bool:
        """Whether the box may send to the far browser's own addresses."""
        ...

    async def advertise(self, local: Endpoint) -> Endpoint:
        """Return the address the far browser must use to reach the box's `local`.

        Raises: OSError when there is no way now.
        """
        ...

    def release(self, local: Endpoint) -> None:
        """Let go of what was advertised for `local`, whose socket is closed."""
        ...


@dataclass(frozen=True, slots=True)
class DirectPath:
    """Media reaches the box at its own addresses."""

    direct: bool = True

    async def advertise(self, local: Endpoint) -> Endpoint:
        """Return `local` itself."""
        return local

    def release(self, local: Endpoint) -> None:
        """There is nothing to let go of."""


class NoAddressError(LocalError):
    """The machine has no network address a browser could send to."""

    code = "no-address"
    what = N_("This box has no network address that calls could use.")
    advice = N_("Connect the box to its Wi-Fi or network, then join again.")


class NoWayError(LocalError):
    """The browser and the box find no way to each other for media."""

    code = "no-way"
    what = N_("The call's sound and picture find no way between this device and the box.")
    advice = N_("Use another network if there is one; it is tried again by itself.")


class Peer:
    """One browser's connection."""

    def __init__(
        self,
        offer: Offer,
        *,
        path: MediaPath,
        near: bool,
        clock: Clock,
        changed: Callable[[], None],
        ear: Ear | None = None,
    ) -> None:
        self._offer = offer
        self._path = path
        self._near = near
        self._clock = clock
        self._changed = changed
        self._ear = ear
        self._connection: RTCPeerConnection | None = None
        self._answer = ""
        self._local: list[Endpoint] = []
        self._addresses: list[Endpoint] = []
        self.began_s = clock.now_s()
        self.leg: Leg | None = None

    async def answer(self, voice: Voice, connect_bps: int) -> str:
        """Return our answer; from then on the browser can connect.

        Raises: BadRequest, NoAddressError, NoWayError.
        """
        connection, transceivers = open_connection()
        self._connection = connection
        connection.on("connectionstatechange", self._changed)
        try:
            await connection.setRemoteDescription(RTCSessionDescription(write_offer(self._offer), "offer"))
            gather_ipv4_only(transceivers["audio"])
            await self._add_candidates(connection)
            await connection.setLocalDescription(await connection.createAnswer())
        except (ValueError, OperationError, InvalidAccessError, InvalidStateError) as exc:
            raise BadRequest(N_("The offer does not fit what the box can do."), N_("Reload the page.")) from exc
        leg = Leg(self._offer, transceivers, self._clock, secrets.randbelow(0x8000), self._ear)
        leg.wire.take_over()
        self.leg = leg
        gatherer = transceivers["audio"].receiver.transport.transport.iceGatherer
        self._local = [Endpoint(each.ip, each.port) for each in gatherer.getLocalCandidates()][:CANDIDATES_MAX]
        if not self._local:
            raise NoAddressError
        self._answer = connection.localDescription.sdp
        try:
            self._addresses = [await self._path.advertise(each) for each in self._local]
        except OSError as exc:
            raise NoWayError from exc
        return self.answer_again(voice, connect_bps)

    def continues_with(self, offer: Offer) -> bool:
        """Whether an offer is for this very connection."""
        return self.is_connected and (offer.ufrag, offer.password, offer.fingerprints, offer.media) == (
            self._offer.ufrag,
            self._offer.password,
            self._offer.fingerprints,
            self._offer.media,
        )

    def answer_again(self, voice: Voice, connect_bps: int) -> str:
        """Return the answer with another voice; the connection itself stays as it is."""
        return write_answer(
            self._answer,
            self._offer,
            addresses=self._addresses,
            voice=voice,
            connect_bps=connect_bps,
            stamped=self._ear is not None,
        )

    @property
    def is_connected(self) -> bool:
        """Whether media can pass."""
        return self._connection is not None and self._connection.connectionState == "connected"

    @property
    def is_over(self) -> bool:
        """Whether it will never pass any more."""
        return self._connection is not None and self._connection.connectionState in {"failed", "closed"}

    def silent_s(self) -> float:
        """Return how long nothing has come from the browser."""
        return self._clock.now_s() - (self.leg.wire.heard_s if self.leg else self.began_s)

    async def close(self) -> None:
        """Let go of sockets and keys."""
        if self.leg is not None:
            self.leg.feed(None)
        if self._connection is None:
            return
        for each in self._local:
            self._path.release(each)
        try:
            async with asyncio.timeout(CLOSE_S):
                await self._connection.close()
        except TimeoutError:
            if self.leg is not None:
                self.leg.wire.abort()

    async def _add_candidates(self, connection: RTCPeerConnection) -> None:
        if not self._path.direct:
            return
        mid = self._offer.of("audio").mid  # the one whose transport carries all
        for index, each in enumerate(usable_candidates(self._offer, near=self._near)):
            await connection.addIceCandidate(
                RTCIceCandidate(
                    component=1,
                    foundation=str(index),
                    ip=each.host,
                    port=each.port,
                    priority=each.priority,
                    protocol="udp",
                    type=each.kind,
                    sdpMid=mid,
                )
            )
