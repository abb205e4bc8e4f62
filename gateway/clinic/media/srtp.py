"""A datagram is protected and unprotected in one buffer, for all of a connection: every name of pylibsrtp's inside.

pylibsrtp's own methods make a buffer's length anew for each packet, raise where a packet was forged, and take none over
1,356 bytes; a camera behind GStreamer sends 1,400 (its payloaders' mtu).

Source: RFC 3711 §3.3 (SRTP), §3.4 (SRTCP), §3.3.2 (replays).
"""

from collections.abc import Callable
from typing import Any

from pylibsrtp import _binding

PACKET_BYTES_MAX = 1_472  # of UDP in an Ethernet frame
TAIL_BYTES_MAX = 148  # libsrtp.h: SRTP_MAX_TRAILER_LEN, and SRTCP's index of 4


class Keys:
    """What protects one connection, both ways; each function returns None where it cannot be done."""

    __slots__ = ("protect", "protect_rtcp", "unprotect", "unprotect_rtcp")

    def __init__(self, received: Any, sent: Any) -> None:
        """Use the sessions that the DTLS handshake made (RFC 5764)."""
        self.protect = _process(sent, _binding.lib.srtp_protect)
        self.protect_rtcp = _process(sent, _binding.lib.srtp_protect_rtcp)
        self.unprotect = _process(received, _binding.lib.srtp_unprotect)
        self.unprotect_rtcp = _process(received, _binding.lib.srtp_unprotect_rtcp)


def _process(session: Any, function: Any) -> Callable[[bytes], bytes | None]:
    memory = _binding.ffi.new("unsigned char[]", PACKET_BYTES_MAX + TAIL_BYTES_MAX)
    length = _binding.ffi.new("int *")
    buffer = _binding.ffi.buffer(memory)
    owner = session._srtp  # freed with the session, which lives as long as this function
    handle = owner[0]

    def process(data: bytes, _owner: Any = owner) -> bytes | None:
        size = len(data)
        if size > PACKET_BYTES_MAX:
            return None
        buffer[0:size] = data
        length[0] = size
        if function(handle, memory, length):
            return None
        found: bytes = buffer[0 : length[0]]
        return found

    return process
