"""What an origin says before its answer (1xx) reaches the browser whose request it is: RFC 9110 §15.2, RFC 8297.

Only the browser that began a fetch is told. Those who joined it are not: whether the answer is for them too is known
only from its head. Nothing of a 1xx is stored, and none of its fields becomes one of the answer's.

aiohttp reads these messages and drops them; `Response` looks at them first. It puts the answer back where it was
(`DataQueue._buffer`, held by `tests/contract/test_aiohttp_contract.py`).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any

import aiohttp
from aiohttp import HttpVersion11, web

from gateway.web.rules.fields import Fields, from_wire
from gateway.web.rules.forwarding import end_to_end, with_via

Tell = Callable[[int, Fields], None]

INTERIM_MAX = 16  # before one answer; servers send one or two
_SWITCHING = 101  # never asked for: `Upgrade` ends here
_REASONS = {100: "Continue", 102: "Processing", 103: "Early Hints", 104: "Upload Resumption Supported"}  # IANA
_told: ContextVar[Tell | None] = ContextVar("interim", default=None)


def to_browser(request: web.BaseRequest, name: str) -> Tell:
    """Return what passes an interim answer on to a browser, as long as its answer has not begun."""
    return partial(_pass_on, request, name)


def _pass_on(request: web.BaseRequest, name: str, status: int, fields: Fields) -> None:
    transport = request.transport
    if request.version < HttpVersion11:
        return  # §15.2: not to HTTP/1.0
    if transport is None or transport.is_closing() or request.writer.output_size > 0:
        return
    lines = [f"HTTP/1.1 {status} {_REASONS.get(status, 'Interim')}"]
    lines += [f"{field}: {value}" for field, value in with_via(end_to_end(fields), name)]
    transport.write(("\r\n".join(lines) + "\r\n\r\n").encode())


@contextmanager
def telling(tell: Tell | None) -> Iterator[None]:
    """Have the interim answers to a request that is sent inside told."""
    token = _told.set(tell)
    try:
        yield
    finally:
        _told.reset(token)


class Response(aiohttp.ClientResponse):
    """An answer whose forerunners are told."""

    async def start(self, connection: Any) -> aiohttp.ClientResponse:
        """Read the head.

        Raises: ClientPayloadError for more forerunners than any server sends.
        """
        protocol, tell = connection.protocol, _told.get()
        for _ in range(INTERIM_MAX):
            message, content = await protocol.read()
            if not 100 <= message.code < 200 or message.code == _SWITCHING:
                protocol._buffer.appendleft(((message, content), 0))
                return await super().start(connection)
            if tell is not None:
                tell(message.code, from_wire(message.raw_headers))
        raise aiohttp.ClientPayloadError("too many interim answers")
