"""When a datagram came, by the kernel's own note of it: a loop that is busy must not look like a queue in the link.

Delays between two machines are told by `CLOCK_MONOTONIC_RAW`: NTP may slew the other clocks by 500 ppm and more, which
would pass for a queue that grows. The kernel's note is in wall time, so it is turned into an age at once, before that
clock can be set. Source: clock_gettime(2), Linux Documentation/networking/timestamping.rst §1.2.
"""

import socket
import struct
import time
from collections.abc import Iterable

SO_TIMESTAMPNS = 35  # asm-generic/socket.h; not in Python's `socket`
_NOTE = struct.Struct("@ll")  # struct timespec
ANCILLARY_BYTES = socket.CMSG_SPACE(_NOTE.size)
AGE_NS_MAX = 10_000_000_000
LATE_NS = 20_000_000  # by which what was there at the last look may have been missed

Ancillary = Iterable[tuple[int, int, bytes]]


def note_arrivals(sock: socket.socket) -> None:
    """Let the kernel note when each datagram came."""
    sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)


def wall_ns() -> int:
    """Return the clock of the kernel's notes."""
    return time.clock_gettime_ns(time.CLOCK_REALTIME)


def age_ns(ancillary: Ancillary, now_ns: int, most_ns: int = AGE_NS_MAX) -> int:
    """Return how long ago a datagram came, 0 where that was not noted; `now_ns` is `wall_ns()`.

    Who last looked `most_ns` ago and left nothing finds nothing older: it is a clock that was set in between.
    """
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS and len(data) >= _NOTE.size:
            seconds, nanoseconds = _NOTE.unpack_from(data)
            aged: int = now_ns - seconds * 1_000_000_000 - nanoseconds
            return aged if 0 <= aged <= most_ns else 0
    return 0


def raw_us() -> int:
    """Return the clock that echoes are stamped with."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW) // 1000
