"""The event loop of every command: uvloop's where it is installed, a third more requests a second (2026-11)."""

import asyncio
import os
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from uvloop import Loop
else:
    try:
        from uvloop import Loop
    except ImportError:
        Loop = None


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Return the best event loop there is on this machine."""
    return asyncio.new_event_loop() if Loop is None else _Uvloop()


if Loop is not None:

    class _Uvloop(Loop):
        """uvloop's, which lets go of a socket that was handed to it.

        uvloop 0.23 hands the number of `sock` to libuv, and ties the two together only once the protocol's first
        callbacks have run. A connection that ends in one of these (reset by its peer, aborted in `connection_made`) is
        closed by libuv alone: the socket keeps a number that is soon another file's, and closes that one when it is
        collected. `tests/contract/test_event_loop_contract.py` holds it.
        """

        async def create_connection(
            self,
            protocol_factory: Callable[[], asyncio.BaseProtocol],
            host: Any = None,
            port: Any = None,
            *,
            sock: socket.socket | None = None,
            **options: Any,
        ) -> Any:
            """Return a transport and its protocol; a `sock` that is closed by then has no number.

            Raises: OSError, and what `asyncio.loop.create_connection` does.
            """
            inode = None if sock is None else os.fstat(sock.fileno()).st_ino
            try:
                return await super().create_connection(protocol_factory, host, port, sock=sock, **options)
            finally:
                if sock is not None and _inode(sock) != inode:
                    sock.detach()


def _inode(sock: socket.socket) -> int | None:
    """Return the inode of what has the socket's number now, None where nothing has."""
    try:
        return os.fstat(sock.fileno()).st_ino
    except OSError:
        return None
