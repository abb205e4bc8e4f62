"""What a browser may say in an offer, and what the box answers: text in, text out. Pure.

An offer is read once, line by line, within limits, and only what the box needs of it is written anew: one voice (Opus),
one picture (VP8), the transport and its fingerprint. So the library behind never parses a stranger's text, and nothing
is negotiated that the box would not serve: no transport-cc (negotiated and unanswered it starves the picture: 325 to
30 kb/s in 12 s, 2026-11), no RTX, no data channel, no candidate that was not looked at.

Source: RFC 8866 (SDP), RFC 8829 §5.2 (what an offer holds), RFC 8839 §5.1 (candidates), RFC 8843 (BUNDLE),
RFC 7587 §7 (Opus's fmtp).
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from gateway.clinic.allocation import Voice
from gateway.errors import N_, BadRequest

OFFER_CHARS_MAX = 32_768  # Chromium's with every codec: 8 kB
LINES_MAX = 800
LINE_CHARS_MAX = 1_000
CANDIDATES_MAX = 8
ABS_SEND_TIME = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"

_LINE = re.compile(rf"[a-z]=[\x20-\x7e\u00a0-\ud7ff\ue000-\ufffd]{{0,{LINE_CHARS_MAX}}}\Z")
_MEDIA = re.compile(r"(audio|video) (\d{1,5}) UDP/TLS/RTP/SAVPF((?: \d{1,3}){1,80})\Z")
_MID = re.compile(r"[A-Za-z0-9_-]{1,16}\Z")
_UFRAG = re.compile(r"[A-Za-z0-9+/]{4,256}\Z")
_PASSWORD = re.compile(r"[A-Za-z0-9+/]{22,256}\Z")
_FINGERPRINT = re.compile(r"sha-(256|384|512) [0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){31,63}\Z")
_RTPMAP = re.compile(r"(\d{1,3}) ([A-Za-z0-9/-]{1,40})\Z")
_EXTMAP = re.compile(r"(\d{1,2})(?:/[a-z]{4,8})? (\S{1,200})")
_CODECS = {"audio": "opus/48000/2", "video": "vp8/90000"}
_DYNAMIC = range(96, 128)  # RFC 3551 §6
_SETUPS = ("actpass", "active", "passive")
_DIRECTIONS = ("sendrecv", "sendonly", "recvonly", "inactive")
_FEEDBACK = ("nack", "nack pli", "goog-remb")
_INSIDE = tuple(map(IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")))
_PORTS = range(1_024, 65_536)  # no browser gathers a system port; no reason to send to one


@dataclass(frozen=True, slots=True)
class Media:
    """One voice or one picture as a browser offers it."""

    kind: str
    mid: str
    payload_type: int
    direction: str
    feedback: tuple[str, ...]
    abs_send_time_id: int | None


@dataclass(frozen=True, slots=True)
class Offer:
    """A browser's offer, checked."""

    media: tuple[Media, ...]
    ufrag: str
    password: str
    fingerprints: tuple[str, ...]
    setup: str
    candidates: tuple[str, ...]

    def of(self, kind: str) -> Media:
        """Return the voice ("audio") or the picture ("video")."""
        return next(each for each in self.media if each.kind == kind)


@dataclass(frozen=True, slots=True)
class Candidate:
    """An address a browser may be reached at."""

    host: str
    port: int
    priority: int
    kind: str


class _Section:
    """The `a=` lines of one part of an offer, by name."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._values: dict[str, list[str]] = {}
        for line in lines:
            if line.startswith("a="):
                name, _, value = line[2:].partition(":")
                self._values.setdefault(name, []).append(value)

    def all(self, name: str) -> Sequence[str]:
        """Return every value of an attribute."""
        return self._values.get(name, ())

    def first(self, name: str, fallback: "_Section") -> str:
        """Return an attribute's first value here, else in `fallback`, else nothing."""
        return next(iter((*self.all(name), *fallback.all(name))), "")


def read_offer(text: str) -> Offer:
    """Return what `text` offers.

    Raises: BadRequest when it is not an offer of one Opus voice and one VP8 picture over one transport.
    """
    head, *parts = _parts(text)
    session = _Section(head)
    sections = [(line, _Section(lines)) for line, *lines in parts]
    media = tuple(_media(line, section) for line, section in sections)
    # in this order: aiortc closes a bundled transport when the one that was made second comes first
    if [each.kind for each in media] != ["audio", "video"]:
        raise _refusal(N_("A call has one voice and one picture."))
    _check_bundle(session, media)
    if len({each.payload_type for each in media}) != len(media):
        raise _refusal(N_("The voice and the picture need types of their own."))
    first = sections[0][1]  # with BUNDLE the first one's transport carries all (RFC 8843 §7.2)
    return Offer(
        media=media,
        ufrag=_matching(_UFRAG, first.first("ice-ufrag", session)),
        password=_matching(_PASSWORD, first.first("ice-pwd", session)),
        fingerprints=_fingerprints(first, session),
        setup=_one_of(_SETUPS, first.first("setup", session)),
        candidates=tuple(value for _, section in sections for value in section.all("candidate")),
    )


def write_offer(offer: Offer) -> str:
    """Return the offer in our own words, without candidates."""
    mids = " ".join(each.mid for each in offer.media)
    lines = ["v=0", "o=- 1 1 IN IP4 0.0.0.0", "s=-", "t=0 0", f"a=group:BUNDLE {mids}"]
    for each in offer.media:
        lines += [
            f"m={each.kind} 9 UDP/TLS/RTP/SAVPF {each.payload_type}",
            "c=IN IP4 0.0.0.0",
            f"a=mid:{each.mid}",
            f"a={each.direction}",
            "a=rtcp-mux",
            f"a=rtpmap:{each.payload_type} {_CODECS[each.kind]}",
            *(f"a=rtcp-fb:{each.payload_type} {feedback}" for feedback in each.feedback),
            *_stamp_lines(each),
            f"a=ice-ufrag:{offer.ufrag}",
            f"a=ice-pwd:{offer.password}",
            *(f"a=fingerprint:{fingerprint}" for fingerprint in offer.fingerprints),
            f"a=setup:{offer.setup}",
        ]
    return "\r\n".join(lines) + "\r\n"


def write_answer(
    text: str,
    offer: Offer,
    *,
    addresses: Sequence[tuple[str, int]],
    voice: Voice,
    connect_bps: int,
    stamped: bool = False,
) -> str:
    """Return an answer with our addresses, Opus as the link needs it, and where the picture's encoder begins.

    `text` is the answer the library made to `write_offer(offer)`; it asks for stamps on pictures alone. A voice that is
    `stamped`, too, shows how the link queues. It costs 8 B a packet, and once some 3 KB: Chromium then pads a voice
    without a picture to try the way out (2026-11).
    """
    opus = offer.of("audio").payload_type
    vp8 = offer.of("video").payload_type
    said: dict[str, list[str]] = {
        f"a=rtpmap:{opus} ": [*_opus_lines(opus, voice), *(_stamp_lines(offer.of("audio")) if stamped else ())],
        f"a=rtpmap:{vp8} ": [f"a=fmtp:{vp8} x-google-start-bitrate={connect_bps // 1_000}"],
    }
    lines: list[str] = []
    for line in text.splitlines():
        if line.startswith(("a=candidate:", "a=end-of-candidates", "a=rtcp:")):
            continue
        if line.startswith("m="):
            kind, _, *rest = line.split(" ")
            line = " ".join((kind, "9", *rest))
        lines.append("c=IN IP4 0.0.0.0" if line.startswith("c=") else line)
        lines += next((more for start, more in said.items() if line.startswith(start)), ())
    at = next(index for index, line in enumerate(lines) if line.startswith("a=ice-ufrag:"))
    lines[at:at] = [*_candidate_lines(addresses), "a=end-of-candidates"]
    return "\r\n".join(lines) + "\r\n"


def usable_candidates(offer: Offer, *, near: bool) -> list[Candidate]:
    """Return the browser's addresses the box may send to: plain IPv4 over UDP, and inside ones only on the near side.

    Names (mDNS `.local`) are left out: their browser finds us first, and is then known by where it came from
    (RFC 8445 §7.3.1.3).
    """
    found = [candidate for text in offer.candidates if (candidate := _candidate(text, near=near))]
    return found[:CANDIDATES_MAX]


def _parts(text: str) -> list[list[str]]:
    if len(text) > OFFER_CHARS_MAX:
        raise _refusal(N_("The offer is too long."))
    lines = text.replace("\r\n", "\n").removesuffix("\n").split("\n")
    if len(lines) > LINES_MAX or not all(map(_LINE.match, lines)):
        raise _refusal(N_("The offer is not written as SDP."))
    parts: list[list[str]] = [[]]
    for line in lines:
        if line.startswith("m="):
            parts.append([])
        parts[-1].append(line)
    return parts


def _media(line: str, section: _Section) -> Media:
    match = _MEDIA.match(line[2:])
    if not match:
        raise _refusal(N_("A call has one voice and one picture."))
    kind, port, listed = match.groups()
    if port == "0" and not section.all("bundle-only"):  # RFC 8843 §6: a bundled one may say 0
        raise _refusal(N_("A call has one voice and one picture."))
    if not section.all("rtcp-mux"):
        raise _refusal(N_("Sound and picture must share one connection."))
    payload_type = _payload_type(kind, listed.split(), section)
    directions = [name for name in _DIRECTIONS if section.all(name)]
    return Media(
        kind=kind,
        mid=_matching(_MID, section.first("mid", section)),
        payload_type=payload_type,
        direction=directions[0] if directions else "sendrecv",
        feedback=_feedback(payload_type, section) if kind == "video" else (),
        abs_send_time_id=_extension_id(section),
    )


def _payload_type(kind: str, listed: Sequence[str], section: _Section) -> int:
    for value in section.all("rtpmap"):
        match = _RTPMAP.match(value)
        if match and match[2].lower() == _CODECS[kind] and match[1] in listed and int(match[1]) in _DYNAMIC:
            return int(match[1])
    raise _refusal(N_("This browser does not offer Opus and VP8."))


def _feedback(payload_type: int, section: _Section) -> tuple[str, ...]:
    offered = {
        value.partition(" ")[2] for value in section.all("rtcp-fb") if value.startswith((f"{payload_type} ", "* "))
    }
    return tuple(each for each in _FEEDBACK if each in offered)


def _extension_id(section: _Section) -> int | None:
    for value in section.all("extmap"):
        match = _EXTMAP.match(value)
        if match and match[2] == ABS_SEND_TIME and 1 <= int(match[1]) <= 14:  # RFC 8285 §4.2: the one-byte form
            return int(match[1])
    return None


def _check_bundle(session: _Section, media: Sequence[Media]) -> None:
    mids = [each.mid for each in media]
    bundled = next((value.split()[1:] for value in session.all("group") if value.startswith("BUNDLE ")), [])
    if len(set(mids)) != len(mids) or sorted(bundled) != sorted(mids):
        raise _refusal(N_("Sound and picture must share one connection."))


def _fingerprints(first: _Section, session: _Section) -> tuple[str, ...]:
    values = tuple(first.all("fingerprint")) or tuple(session.all("fingerprint"))
    if not 0 < len(values) <= 4 or not all(map(_FINGERPRINT.match, values)):
        raise _refusal(N_("The offer does not say how it is encrypted."))
    return values


def _matching(pattern: re.Pattern[str], value: str) -> str:
    if not pattern.match(value):
        raise _refusal(N_("The offer is not written as SDP."))
    return value


def _one_of(values: Sequence[str], value: str) -> str:
    if value not in values:
        raise _refusal(N_("The offer does not say how it is encrypted."))
    return value


def _candidate(text: str, *, near: bool) -> Candidate | None:
    fields = text.split()
    if len(fields) < 8 or fields[1] != "1" or fields[2].lower() != "udp" or fields[6] != "typ":
        return None
    priority, host, port, kind = fields[3], fields[4], fields[5], fields[7]
    if kind not in {"host", "srflx"} or not (_is_number(priority) and _is_number(port)) or int(port) not in _PORTS:
        return None
    try:
        address = IPv4Address(host)
    except ValueError:
        return None
    public = address.is_global and not address.is_multicast
    if public or (near and any(address in network for network in _INSIDE)):
        return Candidate(host, int(port), int(priority), kind)
    return None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 10


def _opus_lines(payload_type: int, voice: Voice) -> list[str]:
    packet_ms = round(voice.packet_s * 1_000)
    return [
        f"a=fmtp:{payload_type} minptime=10;useinbandfec=1;stereo=0;maxaveragebitrate={voice.rate_bps}",
        f"a=ptime:{packet_ms}",
        f"a=maxptime:{packet_ms}",
    ]


def _stamp_lines(media: Media) -> list[str]:
    return [f"a=extmap:{media.abs_send_time_id} {ABS_SEND_TIME}"] if media.abs_send_time_id else []


def _candidate_lines(addresses: Sequence[tuple[str, int]]) -> list[str]:
    # RFC 8445 §5.1.2.1: 126 is a host's own preference; the earlier address is preferred, the component is 1
    return [
        f"a=candidate:{index + 1} 1 udp {(126 << 24) | ((65_535 - index) << 8) | 255} {host} {port} typ host"
        for index, (host, port) in enumerate(addresses[:CANDIDATES_MAX])
    ]


def _refusal(what: str) -> BadRequest:
    return BadRequest(what, N_("Reload the page and join again."))
