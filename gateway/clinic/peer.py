"""One browser's connection to the box: an offer in, an answer out, and media both ways until it closes.

The connection itself lives in the media process; here is what the box knows of it, and what it wants of it. Where the
far party's media must take another way than the box's own address (an emulated link, later the hub), the media path
says which address to name instead. Then nothing is sent to the browser's own addresses: it finds us by the named one,
and aioice learns where it came from (RFC 8445 §7.3.1.3).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.backhaul.dialer import Endpoint
from gateway.clinic.allocation import Voice
from gateway.clinic.media.control import Cap, Feed, LegFigures, Open, Opened, Relay, Slot
from gateway.clinic.media.host import HostedLeg, MediaHost
from gateway.clinic.media.rtp_dump import Streams
from gateway.clinic.media.sdp import Offer, write_answer
from gateway.clock import Clock
from gateway.errors import N_, BadRequest, LocalError, NoCapacity


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


@dataclass(frozen=True, slots=True)
class Way:
    """How one browser reaches the box, and the box it."""

    path: MediaPath
    near: bool
    """In the village: its inside addresses are used, and its delays are not the link's."""
    relays: tuple[Relay, ...] = ()
    """TURN servers that the box itself has an address at."""


class Peer:
    """One browser's connection."""

    def __init__(
        self,
        offer: Offer,
        *,
        sdp: str,
        host: MediaHost,
        way: Way,
        clock: Clock,
        changed: Callable[[], None],
        codec: str = "vp8",
        with_red: bool = False,
    ) -> None:
        """Begin with an offer and the text it was read from; `changed` is called when the connection's state is.

        Raises: NoCapacity.
        """
        self.offer = offer
        self.began_s = clock.now_s()
        self._sdp = sdp
        self._host = host
        self._way = way
        self._clock = clock
        self._codec = codec
        self._with_red = with_red
        self._leg: HostedLeg = host.enter(changed)
        self._opened: Opened | None = None
        self._local: list[Endpoint] = []
        self._addresses: list[Endpoint] = []
        self._fed: tuple[Slot, ...] | None = None
        self._capped: tuple[int, int] | None = None

    async def answer(self, voice: Voice, connect_bps: int) -> str:
        """Return our answer; from then on the browser can connect.

        Raises: BadRequest, NoAddressError, NoWayError, NoCapacity.
        """
        command = Open(
            self.number,
            self._sdp,
            self._codec,
            near=self._way.near,
            direct=self._way.path.direct,
            with_red=self._with_red,
            relays=self._way.relays,
        )
        opened = await self._host.open(self._leg, command)
        if not isinstance(opened, Opened):
            raise _refusal(opened.reason)
        self._opened = opened
        self._local = [Endpoint(*each) for each in opened.addresses]
        try:
            for each in self._local:
                self._addresses.append(await self._way.path.advertise(each))
        except OSError as exc:
            raise NoWayError from exc
        return self.answer_again(voice, connect_bps)

    def continues_with(self, offer: Offer) -> bool:
        """Whether an offer is for this very connection: later ones leave out what the first answer did not take."""
        return self.is_connected and _taken(offer, self._codec) == _taken(self.offer, self._codec)

    def answer_again(self, voice: Voice, connect_bps: int) -> str:
        """Return the answer with another voice; the connection itself stays as it is."""
        return write_answer(
            self._opened.sdp if self._opened else "",
            self.offer,
            codec=self._codec,
            with_red=self._with_red,
            addresses=self._addresses,
            relayed=self._opened.relayed if self._opened else (),
            voice=voice,
            connect_bps=connect_bps,
            stamped=not self._way.near,
        )

    @property
    def number(self) -> int:
        """Its leg's."""
        return self._leg.number

    @property
    def speaks_red(self) -> bool:
        """Whether a voice may go twice, from it and to it."""
        return self._with_red and self.offer.of("audio").red_type != 0

    @property
    def slots(self) -> int:
        """How many others its page can show."""
        return self.offer.slots

    @property
    def figures(self) -> LegFigures:
        """What it has carried, as the media process last said."""
        return self._leg.figures

    def streams(self, who: str) -> Streams:
        """Return what this browser sends, by its payload types."""
        voice, picture = self.offer.of("audio"), self.offer.of("video")
        coding = picture.coding(self._codec)
        red = voice.red_type if self._with_red else 0
        opus = voice.coding("opus").payload_type
        return Streams(who, self._codec, opus, red, coding.payload_type, coding.rtx_type)

    def feed(self, slots: Sequence[Slot]) -> None:
        """From now on its slots get this."""
        wanted = tuple(slots)
        if self._opened is not None and wanted != self._fed:
            self._fed = wanted
            self._host.tell(Feed(self.number, wanted))

    def cap(self, picture_bps: int, sent_bps: int) -> None:
        """From now on its picture may take `picture_bps`, and all that is sent to it `sent_bps`."""
        if self._opened is not None and (picture_bps, sent_bps) != self._capped:
            self._capped = picture_bps, sent_bps
            self._host.tell(Cap(self.number, picture_bps, sent_bps))

    @property
    def is_connected(self) -> bool:
        """Whether media can pass."""
        return self._leg.state == "connected"

    @property
    def is_over(self) -> bool:
        """Whether it will never pass any more."""
        return self._leg.state == "over"

    def silent_s(self) -> float:
        """Return how long nothing has come from the browser."""
        return self._clock.now_s() - self.figures.heard_s

    async def close(self) -> None:
        """Let go of sockets and keys."""
        self._host.leave(self._leg)
        while self._local:
            self._way.path.release(self._local.pop())


def _refusal(reason: str) -> Exception:
    if reason == "offer":
        return BadRequest(N_("The offer does not fit what the box can do."), N_("Reload the page."))
    return NoAddressError() if reason == "address" else NoCapacity()


def _taken(offer: Offer, codec: str) -> tuple[object, ...]:
    """Return what an answer takes of an offer, but for header extensions."""
    media = [
        (each.kind, each.mid, each.direction, each.red_type, coding.payload_type, coding.rtx_type)
        for each in offer.media
        for coding in each.codings
        if coding.name in {"opus", codec}
    ]
    return offer.ufrag, offer.password, offer.fingerprints, media
