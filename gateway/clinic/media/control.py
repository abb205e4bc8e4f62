"""What the box and its media process say to each other. Pure.

Times are of the system's monotonic clock, which both processes share. A leg is one browser's connection; the box names
it and says what it gets. Nothing here is of a person: streams have numbers.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from gateway.backhaul.sensing.samples import DelaySample, Way
from gateway.clinic.media.rtp_dump import Streams

SLOTS_MAX = 3  # a participant sees and hears three others


@dataclass(frozen=True, slots=True)
class Relay:
    """A TURN server, with credentials that expire (draft-uberti-behave-turn-rest-00)."""

    url: str
    user: str
    password: str


@dataclass(frozen=True, slots=True)
class Open:
    """Answer this offer. `sdp` has been read once already; it is read again where it is used."""

    leg: int
    sdp: str
    codec: str
    """The picture's: vp8, h264, vp9 or av1."""
    near: bool
    """In the village; a far one's packets are measured."""
    direct: bool
    """Whether the browser's own addresses may be sent to."""
    with_red: bool = False
    relays: tuple[Relay, ...] = ()


@dataclass(frozen=True, slots=True)
class Slot:
    """What one of a browser's slots gets: the voice and the picture of a leg each, or nothing."""

    voice: int | None = None
    picture: int | None = None


@dataclass(frozen=True, slots=True)
class Feed:
    """From now on the slots of `leg` get this."""

    leg: int
    slots: tuple[Slot, ...]


@dataclass(frozen=True, slots=True)
class Cap:
    """The picture of `leg` may take `picture_bps` (its REMB), and all that is sent to it `sent_bps`."""

    leg: int
    picture_bps: int
    sent_bps: int


@dataclass(frozen=True, slots=True)
class Close:
    """Let go of a leg."""

    leg: int


@dataclass(frozen=True, slots=True)
class Record:
    """Write a recording into the file at `path`, which has its head already, sealed with `key` (hexadecimal).

    It ends where all files of the folder would be more than `bytes_max`, or the disk has less than `free_bytes_min`.
    """

    recording: int
    path: str
    key: str
    bytes_max: int
    free_bytes_min: int


@dataclass(frozen=True, slots=True)
class RecordLeg:
    """From now on what comes by `leg` is in the recording."""

    recording: int
    leg: int
    streams: Streams


@dataclass(frozen=True, slots=True)
class StopRecording:
    """Write what is still to be written of a recording, and no more."""

    recording: int


Command = Open | Feed | Cap | Close | Record | RecordLeg | StopRecording


@dataclass(frozen=True, slots=True)
class Opened:
    """The library's answer as it is, and the addresses where media is taken."""

    leg: int
    sdp: str
    addresses: tuple[tuple[str, int], ...]
    relayed: tuple[tuple[str, int], ...] = ()
    """Addresses at a TURN server that lead here."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A leg could not be opened: `offer` (does not fit), `address` (there is none), `fault` (ours)."""

    leg: int
    reason: str


@dataclass(frozen=True, slots=True)
class Changed:
    """A leg's connection is now `connected`, `checking` or `over`."""

    leg: int
    state: str


@dataclass(frozen=True, slots=True)
class LegFigures:
    """What one leg has carried since it began, and what its browser says."""

    leg: int
    received_bytes: int = 0
    sent_bytes: int = 0
    forwarded_packets: int = 0
    resent_packets: int = 0
    keyframe_requests: int = 0
    fraction_lost: float = 0.0
    """Of what we send, as the browser last reported it."""
    estimate_bps: int | None = None
    """What the browser says the way to it can carry, if it said so lately (REMB)."""
    heard_s: float = float("-inf")
    """When something last came from it."""
    voice_level: float = 0.0
    """0 silent to 1 loud, smoothed over half a second (RFC 6464)."""
    sends_picture: bool = False
    round_trip_s: float | None = None


@dataclass(frozen=True, slots=True)
class Figures:
    """Every leg, four times a second."""

    legs: tuple[LegFigures, ...]


@dataclass(frozen=True, slots=True)
class Loss:
    """Voice packets due one way since the last time, and how many never came."""

    way: Way
    expected: int
    lost: int


@dataclass(frozen=True, slots=True)
class Measured:
    """What far browsers' packets told of the link since the last time."""

    delays: tuple[DelaySample, ...] = ()
    losses: tuple[Loss, ...] = ()


@dataclass(frozen=True, slots=True)
class RecordingOver:
    """A recording is written and closed; by itself where there is a reason: `full`, `slow`, `disk` or `fault`."""

    recording: int
    reason: str


Event = Opened | Refused | Changed | Figures | Measured | RecordingOver


class Ear(Protocol):
    """Who wants to know what a call tells of the link."""

    def hear(self, samples: Iterable[DelaySample]) -> None:
        """Take delays."""
        ...

    def hear_loss(self, way: Way, expected: int, lost: int) -> None:
        """Take how many packets were due one way, and how many of them never came."""
        ...
