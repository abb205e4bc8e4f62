"""Offers as cameras and screens without a page make them: shorter than a browser's, and in any order."""

FINGERPRINT = "sha-256 " + ":".join(["AB"] * 32)
_TRANSPORT = [
    *("c=IN IP4 0.0.0.0", "a=rtcp-mux", "a=ice-ufrag:0a1b2c3d", "a=ice-pwd:0123456789abcdef0123456789abcdef"),
    *("a=setup:actpass", f"a=fingerprint:{FINGERPRINT}"),
]
_FORMATS = {
    "audio": ["m=audio 9 UDP/TLS/RTP/SAVPF 97", "a=rtpmap:97 opus/48000/2"],
    "video": ["m=video 9 UDP/TLS/RTP/SAVPF 96", "a=rtpmap:96 VP8/90000", "a=rtcp-fb:96 nack pli"],
}


def camera(*kinds: str, direction: str = "sendonly", candidate: str = "") -> str:
    """Return an offer of these kinds in their order; a picture alone where none is named."""
    kinds = kinds or ("video",)
    mids = [f"{kind}{at}" for at, kind in enumerate(kinds)]
    lines = ["v=0", "o=- 1 1 IN IP4 0.0.0.0", "s=-", "t=0 0", f"a=group:BUNDLE {' '.join(mids)}"]
    for kind, mid in zip(kinds, mids, strict=True):
        line, *formats = _FORMATS[kind]
        lines += [line, f"a=mid:{mid}", f"a={direction}", *_TRANSPORT, *formats]
        lines += [f"a=candidate:{candidate}"] if candidate else []
    return "\r\n".join([*lines, ""])


def screen(*kinds: str) -> str:
    """Return an offer that only receives."""
    return camera(*(kinds or ("audio", "video")), direction="recvonly")
