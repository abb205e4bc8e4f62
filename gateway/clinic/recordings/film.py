"""A recording as one Matroska file: every voice and every picture a track of its own, nothing encoded anew.

It is a program, `python -m gateway.clinic.recordings.film < recording > film`, and never runs in the box: the library
that writes it reads what people sent.

Source: RFC 9559 (Matroska), IVF's header of 32 bytes (libvpx).
"""

import io
import struct
import sys
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, BinaryIO

import av

from gateway.clinic.media.rtp_dump import read
from gateway.clinic.recordings.depacketising import PICTURE_HZ, Frame, Track, tracks

MILLISECOND = Fraction(1, 1_000)
_FOURCC = {"vp8": b"VP80", "vp9": b"VP90"}


def write_film(tracks: Sequence[Track], file: BinaryIO) -> int:
    """Write the tracks into a file, and return how many were usable."""
    with av.open(file, "w", format="matroska") as made:
        streams = [(each, _stream(made, each)) for each in tracks]
        usable = [(each, stream) for each, stream in streams if stream is not None]
        order = sorted(
            ((frame.at_s, number, frame) for number, (each, _) in enumerate(usable) for frame in each.frames),
            key=lambda each: each[:2],
        )
        last = [-1] * len(usable)
        for at_s, number, frame in order:
            last[number] = max(round(at_s * 1_000), last[number] + 1)
            made.mux(_packet(frame, usable[number][1], last[number]))
    return len(usable)


def _packet(frame: Frame, stream: Any, at_ms: int) -> Any:
    packet: Any = av.Packet(frame.content)
    packet.stream = stream
    packet.time_base = MILLISECOND
    packet.pts = packet.dts = at_ms
    packet.is_keyframe = frame.is_key
    return packet


def _stream(made: Any, track: Track) -> Any:
    """Return the track's stream in the file; None for a picture of which nothing can be shown."""
    # an encoder of sound for its head alone: it is given none
    stream = made.add_stream("libopus", rate=48_000) if track.codec == "opus" else _picture(made, track)
    if stream is not None:
        stream.metadata["title"] = track.who
        stream.time_base = MILLISECOND
    return stream


def _picture(made: Any, track: Track) -> Any:
    begins = next((each.content for each in track.frames if each.is_key), b"")
    head = begins if track.codec == "h264" else _ivf(_FOURCC[track.codec], begins)
    try:
        with av.open(io.BytesIO(head), format="h264" if track.codec == "h264" else "ivf") as probed:
            found = probed.streams.video[0]
            return made.add_stream_from_template(found) if found.width else None
    except (av.error.FFmpegError, IndexError):
        return None


def _ivf(fourcc: bytes, frame: bytes) -> bytes:
    head = struct.pack("<4sHH4sHHIIII", b"DKIF", 0, 32, fourcc, 0, 0, PICTURE_HZ, 1, 1, 0)
    return head + struct.pack("<IQ", len(frame), 0) + frame


def main() -> int:
    """Make a film of the recording that comes in; 1 where there is nothing to show."""
    found = tracks(read(sys.stdin.buffer.read()))
    return 0 if found and write_film(found, sys.stdout.buffer) else 1


if __name__ == "__main__":
    sys.exit(main())
