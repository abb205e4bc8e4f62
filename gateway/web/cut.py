"""A connection is cut so that the other end cannot take what it has for the whole: by a reset, not by an end."""

import asyncio
import socket
import struct

_AT_ONCE = struct.pack("ii", 1, 0)


def reset(transport: asyncio.WriteTransport | None) -> None:
    """Cut a connection; `abort` alone would send an ordinary end (RFC 9293 §3.10.5, SO_LINGER in socket(7))."""
    if transport is None:
        return
    found = transport.get_extra_info("socket")
    if found is not None and not transport.is_closing():
        found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
    transport.abort()
