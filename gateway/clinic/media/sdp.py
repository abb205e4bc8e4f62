"""What a browser may say in an offer, and what the box answers: text in, text out. Pure.

An offer is read once, line by line, within limits: one to three pairs of a voice and a picture over one transport. The
first pair carries what the browser sends, too; in the others it sees and hears the others of its room. A camera's only
pair may stand the other way round, or be a picture alone. The library
behind is told of one voice alone, in our own words, and of its answer only the transport is taken: it never parses a
stranger's text, and nothing is negotiated that the box would not serve: no transport-cc (negotiated and unanswered it
starves the picture: 325 to 30 kb/s in 12 s, 2026-11), no data channel, no candidate that was not looked at.

Source: RFC 8866 (SDP), RFC 8829 §5.2, §5.3 (offers, answers), RFC 8839 §5.1 (candidates), RFC 8843 (BUNDLE),
RFC 5576 §4 (`ssrc`, `ssrc-group`), RFC 8285 §5, §6 (`extmap`).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from gateway.clinic.allocation import Voice
from gateway.clinic.media.codecs import DYNAMIC, PICTURE_CODECS, RED, RTPMAPS, RTX, Coding, Formats
from gateway.clinic.media.control import SLOTS_MAX
from gateway.clinic.media.sdp_text import Section, matching, parts_of, refusal
from gateway.errors import N_

CANDIDATES_MAX = 8
ABS_SEND_TIME = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"
AUDIO_LEVEL = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"  # RFC 6464
DESCRIPTOR = (
    "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension"  # AV1 RTP payload A.1
)

_MEDIA = re.compile(r"(audio|video) (\d{1,5}) UDP/TLS/RTP/SAVPF((?: \d{1,3}){1,80})\Z", re.ASCII)
_MID = re.compile(r"[A-Za-z0-9_-]{1,16}\Z")
_UFRAG = re.compile(r"[A-Za-z0-9+/]{4,256}\Z")
_PASSWORD = re.compile(r"[A-Za-z0-9+/]{22,256}\Z")
_FINGERPRINT = re.compile(r"sha-(256|384|512) [0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){31,63}\Z")
_EXTMAP = re.compile(r"(\d{1,2})(?:/[a-z]{4,8})? (\S{1,200})", re.ASCII)
_SETUPS = ("actpass", "active", "passive")
_DIRECTIONS = ("sendrecv", "sendonly", "recvonly", "inactive")
_ANSWERS = {"sendrecv": "sendrecv", "sendonly": "recvonly", "recvonly": "sendonly", "inactive": "inactive"}
_INSIDE = tuple(map(IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")))
_SPECIAL = tuple(  # special-purpose though they are routed (RFC 6890, RFC 7526, RFC 7534, RFC 7535, RFC 7450)
    map(IPv4Network, ("192.0.0.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.175.48.0/24"))
)
_PORTS = range(1_024, 65_536)  # no browser gathers a system port; no reason to send to one
_CANDIDATE_KINDS = frozenset(("host", "srflx", "relay"))
_OUR_SSRCS = 0x5441_4D00  # every connection has keys of its own, so its streams may have the same numbers
_SSRC_OF = {"audio": 1, "video": 2, "rtx": 3}


@dataclass(frozen=True, slots=True)
class Media:
    """One voice or one picture as a browser offers it; an id or a type of 0 was not offered, nor all without a mid."""

    kind: str
    mid: str
    direction: str
    codings: tuple[Coding, ...]
    red_type: int
    abs_send_time_id: int
    audio_level_id: int
    descriptor_id: int

    def coding(self, name: str) -> Coding:
        """Return a codec as it is offered.

        Raises: BadRequest when it is not.
        """
        for each in self.codings:
            if each.name == name:
                return each
        raise _no_codec()

    @property
    def is_sent(self) -> bool:
        """Whether the browser sends it."""
        return self.direction in {"sendrecv", "sendonly"}

    @property
    def is_received(self) -> bool:
        """Whether the browser takes what we send."""
        return self.direction in {"sendrecv", "recvonly"}


@dataclass(frozen=True, slots=True)
class Offer:
    """A browser's offer, checked."""

    media: tuple[Media, ...]
    """In pairs, the voice first."""
    ufrag: str
    password: str
    fingerprints: tuple[str, ...]
    setup: str
    candidates: tuple[str, ...]
    allows_mixed: bool
    """Whether both forms of header extensions may come in one stream (RFC 8285 §6)."""
    lines: tuple[Media, ...]
    """What was offered, in its own order: an answer keeps it (RFC 8829 §5.3.1)."""

    def of(self, kind: str) -> Media:
        """Return the browser's own voice ("audio") or picture ("video")."""
        return self.media[0 if kind == "audio" else 1]

    @property
    def transport_mid(self) -> str:
        """The part whose transport carries all of them (RFC 8843 §7.2)."""
        return self.lines[0].mid

    def pair(self, slot: int) -> tuple[Media, Media]:
        """Return a slot's voice and picture."""
        return self.media[2 * slot], self.media[2 * slot + 1]

    @property
    def slots(self) -> int:
        """How many others its page can show."""
        return len(self.media) // 2

    @property
    def codecs(self) -> tuple[str, ...]:
        """The picture's codecs that every slot can show and the first can send."""
        offered = [{each.name for each in self.pair(slot)[1].codings} for slot in range(self.slots)]
        return tuple(each for each in PICTURE_CODECS if all(each in names for names in offered))


@dataclass(frozen=True, slots=True)
class Candidate:
    """An address a browser may be reached at."""

    host: str
    port: int
    priority: int
    kind: str


def ssrc_of(slot: int, kind: str) -> int:
    """Return the number of one of our streams to a browser: "audio", "video", or "rtx" for a picture's resends."""
    return _OUR_SSRCS + 16 * slot + _SSRC_OF[kind]


def read_offer(text: str) -> Offer:
    """Return what `text` offers.

    Raises: BadRequest when it is not an offer of pairs of an Opus voice and a picture over one transport.
    """
    head, *parts = parts_of(text)
    session = Section(head)
    if not 1 <= len(parts) <= 2 * SLOTS_MAX:
        raise refusal(N_("A call has one voice and one picture."))
    sections = [(line, Section(lines)) for line, *lines in parts]
    lines = tuple(_media(line, section) for line, section in sections)
    media = _in_pairs(lines)
    _check_bundle(session, lines)
    _check_types(lines)
    first = sections[0][1]  # with BUNDLE the first one's transport carries all (RFC 8843 §7.2)
    offer = Offer(
        media=media,
        ufrag=matching(_UFRAG, first.first("ice-ufrag", session)),
        password=matching(_PASSWORD, first.first("ice-pwd", session)),
        fingerprints=_fingerprints(first, session),
        setup=_one_of(_SETUPS, first.first("setup", session)),
        candidates=tuple(value for _, section in sections for value in section.all("candidate")),
        allows_mixed=bool(session.all("extmap-allow-mixed")),
        lines=lines,
    )
    if not offer.codecs:
        raise _no_codec()
    return offer


def write_offer(offer: Offer) -> str:
    """Return the offer in our own words, as one voice without candidates: all that the library needs to connect."""
    mid = offer.transport_mid
    opus = offer.of("audio").coding("opus").payload_type
    lines = [
        *("v=0", "o=- 1 1 IN IP4 0.0.0.0", "s=-", "t=0 0", f"a=group:BUNDLE {mid}"),
        f"m=audio 9 UDP/TLS/RTP/SAVPF {opus}",
        *("c=IN IP4 0.0.0.0", f"a=mid:{mid}", "a=sendrecv", "a=rtcp-mux"),
        f"a=rtpmap:{opus} {RTPMAPS['opus']}",
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
    codec: str = "vp8",
    with_red: bool = False,
    stamped: bool = False,
    relayed: Sequence[tuple[str, int]] = (),
) -> str:
    """Return an answer with our addresses, Opus as the link needs it, and where the picture's encoder begins.

    `with_red` takes voices that are sent twice, and a `voice` that is `red` asks for one.

    `text` is the answer the library made to `write_offer(offer)`: of it only the transport is taken. A voice that is
    `stamped` as pictures are shows how the link queues. It costs 8 B a packet, and once some 3 KB: Chromium then pads a
    voice without a picture to try the way out (2026-11).

    Raises: BadRequest when the codec was not offered.
    """
    transport = _transport_lines(text)
    candidates = [*_candidate_lines(addresses, relayed), "a=end-of-candidates"]
    mids = " ".join(each.mid for each in offer.lines)
    lines = ["v=0", "o=- 1 1 IN IP4 0.0.0.0", "s=-", "t=0 0", f"a=group:BUNDLE {mids}", "a=msid-semantic:WMS *"]
    if offer.allows_mixed:
        lines.append("a=extmap-allow-mixed")
    for index, each in enumerate(offer.lines):
        slot = index // 2
        if each.kind == "audio":
            lines += _voice_lines(each, slot, voice, with_red=with_red, stamped=stamped and slot == 0)
        else:
            lines += _picture_lines(each, slot, each.coding(codec), connect_bps)
        lines += candidates if index == 0 else []
        lines += transport
    return "\r\n".join(lines) + "\r\n"


def usable_candidates(offer: Offer, *, near: bool) -> list[Candidate]:
    """Return the browser's addresses the box may send to: plain IPv4 over UDP, and inside ones only on the near side.

    Names (mDNS `.local`) are left out: their browser finds us first, and is then known by where it came from
    (RFC 8445 §7.3.1.3).
    """
    found = [candidate for text in offer.candidates if (candidate := _candidate(text, near=near))]
    return found[:CANDIDATES_MAX]


def _media(line: str, section: Section) -> Media:
    match = _MEDIA.match(line[2:])
    if not match:
        raise refusal(N_("A call has one voice and one picture."))
    kind, port, listed = match.groups()
    if port == "0" and not section.all("bundle-only"):  # RFC 8843 §6: a bundled one may say 0
        raise refusal(N_("A call has one voice and one picture."))
    if not section.all("rtcp-mux"):
        raise refusal(N_("Sound and picture must share one connection."))
    formats = Formats(listed.split(), section)
    names = ("opus",) if kind == "audio" else PICTURE_CODECS
    codings = tuple(coding for name in names if (coding := formats.coding(name)))
    if not codings:
        raise _no_codec()
    directions = [name for name in _DIRECTIONS if section.all(name)]
    return Media(
        kind=kind,
        mid=matching(_MID, section.first("mid", section)),
        direction=directions[0] if directions else "sendrecv",
        codings=codings,
        red_type=formats.red_of(codings[0].payload_type) if kind == "audio" else 0,
        abs_send_time_id=_extension_id(section, ABS_SEND_TIME),
        audio_level_id=_extension_id(section, AUDIO_LEVEL) if kind == "audio" else 0,
        descriptor_id=_extension_id(section, DESCRIPTOR) if kind == "video" else 0,
    )


def _in_pairs(lines: tuple[Media, ...]) -> tuple[Media, ...]:
    """Return pairs of a voice and a picture; a voice that was not offered is one that nothing is sent of.

    Raises: BadRequest.
    """
    kinds = [each.kind for each in lines]
    if kinds == ["video"]:
        return _no_voice(lines[0]), lines[0]
    if kinds == ["video", "audio"]:
        return lines[1], lines[0]
    if kinds != ["audio", "video"] * (len(kinds) // 2):
        raise refusal(N_("A call has one voice and one picture."))
    return lines


def _no_voice(picture: Media) -> Media:
    taken = {each for coding in picture.codings for each in (coding.payload_type, coding.rtx_type)}
    free = next(each for each in DYNAMIC if each not in taken)
    return Media("audio", "", "inactive", (Coding("opus", free, 0, (), ""),), 0, 0, 0, 0)


def _extension_id(section: Section, uri: str) -> int:
    for value in section.all("extmap"):
        match = _EXTMAP.match(value)
        if match and match[2] == uri and 1 <= int(match[1]) <= 14:  # RFC 8285 §4.2: the one-byte form
            return int(match[1])
    return 0


def _check_bundle(session: Section, media: Sequence[Media]) -> None:
    mids = [each.mid for each in media]
    bundled = next((value.split()[1:] for value in session.all("group") if value.startswith("BUNDLE ")), [])
    if len(set(mids)) != len(mids) or sorted(bundled) != sorted(mids):
        raise refusal(N_("Sound and picture must share one connection."))


def _check_types(media: Sequence[Media]) -> None:
    """See that a payload type means one thing in all of the bundle (RFC 8843 §10.1.2)."""
    meanings: dict[int, str] = {}
    for each in media:
        named = [(coding.payload_type, coding.name) for coding in each.codings]
        named += [(coding.rtx_type, f"rtx of {coding.payload_type}") for coding in each.codings]
        named.append((each.red_type, "red"))
        for payload_type, meaning in named:
            if payload_type and meanings.setdefault(payload_type, meaning) != meaning:
                raise refusal(N_("The voice and the picture need types of their own."))


def _fingerprints(first: Section, session: Section) -> tuple[str, ...]:
    values = tuple(first.all("fingerprint")) or tuple(session.all("fingerprint"))
    if not 0 < len(values) <= 4 or not all(map(_FINGERPRINT.match, values)):
        raise refusal(N_("The offer does not say how it is encrypted."))
    return values


def _one_of(values: Sequence[str], value: str) -> str:
    if value not in values:
        raise refusal(N_("The offer does not say how it is encrypted."))
    return value


def _candidate(text: str, *, near: bool) -> Candidate | None:
    fields = text.split()
    if len(fields) < 8 or fields[1] != "1" or fields[2].lower() != "udp" or fields[6] != "typ":
        return None
    priority, host, port, kind = fields[3], fields[4], fields[5], fields[7]
    if kind not in _CANDIDATE_KINDS or not (_is_number(priority) and _is_number(port)) or int(port) not in _PORTS:
        return None
    try:
        address = IPv4Address(host)
    except ValueError:
        return None
    public = address.is_global and not address.is_multicast and not any(address in each for each in _SPECIAL)
    if public or (near and any(address in network for network in _INSIDE)):
        return Candidate(host, int(port), int(priority), kind)
    return None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 10


def _transport_lines(text: str) -> list[str]:
    """Return the lines of the library's answer that say how to connect: of its first part, whose transport it is."""
    names = ("a=ice-ufrag:", "a=ice-pwd:", "a=fingerprint:", "a=setup:")
    found = [line for line in text.splitlines() if line.startswith(names)]
    return list(dict.fromkeys(found))


def _voice_lines(media: Media, slot: int, voice: Voice, *, with_red: bool, stamped: bool) -> list[str]:
    opus = media.coding("opus").payload_type
    red = media.red_type if with_red else 0
    packet_ms = round(voice.packet_s * 1_000)
    types = (red, opus) if voice.red else (opus, red)  # the first is what the browser sends
    lines = _head_lines(media, slot, [each for each in types if each])
    if red:
        lines += [f"a=rtpmap:{red} {RED}", f"a=fmtp:{red} {opus}/{opus}"]
    lines += [
        f"a=rtpmap:{opus} {RTPMAPS['opus']}",
        f"a=fmtp:{opus} minptime=10;useinbandfec=1;stereo=0;maxaveragebitrate={voice.rate_bps}",
        f"a=ptime:{packet_ms}",
        f"a=maxptime:{packet_ms}",
    ]
    if slot == 0 and media.audio_level_id:
        lines.append(f"a=extmap:{media.audio_level_id} {AUDIO_LEVEL}")
    if stamped and media.abs_send_time_id:
        lines.append(f"a=extmap:{media.abs_send_time_id} {ABS_SEND_TIME}")
    return [*lines, *_stream_lines(slot, "audio")] if media.is_received else lines


def _picture_lines(media: Media, slot: int, coding: Coding, connect_bps: int) -> list[str]:
    number, rtx = coding.payload_type, coding.rtx_type
    begins = [f"x-google-start-bitrate={connect_bps // 1_000}"] if slot == 0 else []
    parameters = ";".join([*([coding.parameters] if coding.parameters else []), *begins])
    lines = _head_lines(media, slot, [number, *((rtx,) if rtx else ())])
    lines.append(f"a=rtpmap:{number} {RTPMAPS[coding.name]}")
    if parameters:
        lines.append(f"a=fmtp:{number} {parameters}")
    lines += [f"a=rtcp-fb:{number} {feedback}" for feedback in coding.feedback]
    if rtx:
        lines += [f"a=rtpmap:{rtx} {RTX}", f"a=fmtp:{rtx} apt={number}"]
    if media.abs_send_time_id:
        lines.append(f"a=extmap:{media.abs_send_time_id} {ABS_SEND_TIME}")
    if media.descriptor_id and coding.name == "av1":
        lines.append(f"a=extmap:{media.descriptor_id} {DESCRIPTOR}")
    if not media.is_received:
        return lines
    if rtx:
        lines.append(f"a=ssrc-group:FID {ssrc_of(slot, 'video')} {ssrc_of(slot, 'rtx')}")
    return [*lines, *_stream_lines(slot, "video"), *(_stream_lines(slot, "rtx") if rtx else ())]


def _head_lines(media: Media, slot: int, types: Sequence[int]) -> list[str]:
    direction = _ANSWERS[media.direction]
    if slot and media.is_received:
        direction = "sendonly"  # a browser sends in its first pair alone
    elif slot:
        direction = "inactive"
    lines = [
        f"m={media.kind} 9 UDP/TLS/RTP/SAVPF {' '.join(map(str, types))}",
        *("c=IN IP4 0.0.0.0", f"a=mid:{media.mid}", f"a={direction}", "a=rtcp-mux"),
    ]
    if media.is_received:
        lines.append(f"a=msid:slot{slot} {media.kind}{slot}")  # one stream a slot: its voice and picture keep in step
    return lines


def _stream_lines(slot: int, kind: str) -> list[str]:
    return [f"a=ssrc:{ssrc_of(slot, kind)} cname:tambo{slot}"]


def _candidate_lines(addresses: Sequence[tuple[str, int]], relayed: Sequence[tuple[str, int]]) -> list[str]:
    # RFC 8445 §5.1.2.1: a host's own preference is 126, a relay's 0; the earlier is preferred, the component is 1
    hosts = [
        f"a=candidate:{index + 1} 1 udp {126 << 24 | (65_535 - index) << 8 | 255} {host} {port} typ host"
        for index, (host, port) in enumerate(addresses[:CANDIDATES_MAX])
    ]
    relays = [
        f"a=candidate:{CANDIDATES_MAX + index + 1} 1 udp {(65_535 - index) << 8 | 255} {host} {port} typ relay"
        " raddr 0.0.0.0 rport 9"
        for index, (host, port) in enumerate(relayed[:CANDIDATES_MAX])
    ]
    return [*hosts, *relays]


def _no_codec() -> Exception:
    return refusal(N_("This browser does not offer Opus and a picture that the box can pass on."))
