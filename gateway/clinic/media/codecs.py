"""Which codecs cross the box, how an offer names them, and what an answer says of them. Pure.

The box never decodes, so a codec is a name, its parameters, and where its keyframes begin (`payloads`). A parameter is
said in our own words: it is the one form of the codec that is passed on.

Source: RFC 7587 §7 (Opus), RFC 7741 §6 (VP8), RFC 6184 §8.1 (H264), RFC 9628 §7 (VP9), AV1 RTP payload 1.0 §7,
RFC 4588 §8 (rtx), RFC 2198 §5 (red).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.clinic.media.sdp_text import Section

RTPMAPS = {
    "opus": "opus/48000/2",
    "vp8": "VP8/90000",
    "h264": "H264/90000",
    "vp9": "VP9/90000",
    "av1": "AV1/90000",
}
RED = "red/48000/2"
RTX = "rtx/90000"
PICTURE_CODECS = ("vp8", "h264", "vp9", "av1")

_FEEDBACK = ("nack", "nack pli", "goog-remb")  # transport-cc, unanswered, starves the picture: 325 to 30 kb/s in 12 s
DYNAMIC = range(96, 128)  # RFC 3551 §6
_ALSO_DYNAMIC = range(35, 64)  # browsers go on here when those are used up (RFC 5761 §4 keeps 64 to 95 for RTCP)
_RTPMAP = re.compile(r"(\d{1,3}) ([A-Za-z0-9/-]{1,40})\Z", re.ASCII)
_FMTP = re.compile(r"(\d{1,3}) (\S.*)\Z", re.ASCII)
_H264_PROFILES = ("42e01f", "42001f")  # constrained baseline first: every browser has it


@dataclass(frozen=True, slots=True)
class Coding:
    """One codec as a browser offers it; a type of 0 was not offered."""

    name: str
    payload_type: int
    rtx_type: int
    feedback: tuple[str, ...]
    parameters: str


class Formats:
    """The payload types one part of an offer lists, with their names and parameters."""

    def __init__(self, listed: Sequence[str], section: Section) -> None:
        usable = {int(each) for each in listed if int(each) in DYNAMIC or int(each) in _ALSO_DYNAMIC}
        self._names: dict[int, str] = {}
        for value in section.all("rtpmap"):
            match = _RTPMAP.match(value)
            if match and int(match[1]) in usable:
                self._names.setdefault(int(match[1]), match[2].lower())
        self._parameters: dict[int, str] = {}
        for value in section.all("fmtp"):
            match = _FMTP.match(value)
            if match and int(match[1]) in self._names:
                self._parameters.setdefault(int(match[1]), match[2].lower())
        self._feedback = section.all("rtcp-fb")

    def coding(self, name: str) -> Coding | None:
        """Return a codec as it is offered, if it is, in a form that the box passes on."""
        for payload_type, parameters in self._forms_of(name):
            return Coding(
                name=name,
                payload_type=payload_type,
                rtx_type=self._rtx_of(payload_type) if name != "opus" else 0,
                feedback=self._feedback_of(payload_type) if name != "opus" else (),
                parameters=parameters,
            )
        return None

    def red_of(self, opus_type: int) -> int:
        """Return the type under which this Opus is sent twice, or 0."""
        wanted = f"{opus_type}/{opus_type}"
        return next((each for each in self._named(RED) if self._parameters.get(each, "").startswith(wanted)), 0)

    def _named(self, rtpmap: str) -> list[int]:
        return [payload_type for payload_type, name in self._names.items() if name == rtpmap.lower()]

    def _forms_of(self, name: str) -> list[tuple[int, str]]:
        """Return the types of a codec in a form the box passes on, the best first, each with what it says of it."""
        types = self._named(RTPMAPS[name])
        if name == "h264":
            return [
                (each, f"level-asymmetry-allowed=1;packetization-mode=1;profile-level-id={profile}")
                for profile in _H264_PROFILES
                for each in types
                if self._says(each, "packetization-mode") == "1"
                and self._says(each, "profile-level-id")[:4] == profile[:4]
            ]
        if name == "vp9":
            return [(each, "profile-id=0") for each in types if self._says(each, "profile-id") in {"", "0"}]
        if name == "av1":
            return [
                (each, "level-idx=5;profile=0;tier=0") for each in types if self._says(each, "profile") in {"", "0"}
            ]
        return [(each, "") for each in types]

    def _says(self, payload_type: int, name: str) -> str:
        for each in self._parameters.get(payload_type, "").split(";"):
            key, _, value = each.strip().partition("=")
            if key == name:
                return value
        return ""

    def _rtx_of(self, payload_type: int) -> int:
        return next((each for each in self._named(RTX) if self._says(each, "apt") == str(payload_type)), 0)

    def _feedback_of(self, payload_type: int) -> tuple[str, ...]:
        offered = {value.partition(" ")[2] for value in self._feedback if value.startswith((f"{payload_type} ", "* "))}
        return tuple(each for each in _FEEDBACK if each in offered)
