"""An origin for caches under test: it answers from a function and counts what crosses its sockets."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus

Answer = Callable[[str, dict[str, str]], Awaitable[bytes]]  # from a target and its fields, names in small letters
NOT_MODIFIED = 304


@dataclass
class WebOrigin:
    """A server, and what it has seen."""

    answer: Answer
    port: int = 0
    requests: int = 0
    bytes_read: int = 0
    bytes_written: int = 0
    _tasks: set["asyncio.Task[None] | None"] = field(default_factory=set)

    @property
    def bytes_crossed(self) -> int:
        """Return the bytes of requests and answers, heads included."""
        return self.bytes_read + self.bytes_written

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer requests until the cache hangs up."""
        self._tasks.add(asyncio.current_task())
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
                while head := await reader.readuntil(b"\r\n\r\n"):
                    await self._one(head, writer)
        finally:
            self._tasks.discard(asyncio.current_task())
            writer.close()

    async def _one(self, head: bytes, writer: asyncio.StreamWriter) -> None:
        self.requests += 1
        self.bytes_read += len(head)
        first, *lines = head.decode("latin-1").split("\r\n")[:-2]
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        data = await self.answer(first.split(" ")[1], fields)
        self.bytes_written += len(data)
        writer.write(data)
        await writer.drain()

    def hang_up(self) -> None:
        """End every connection."""
        for task in self._tasks:
            if task is not None:
                task.cancel()


@asynccontextmanager
async def web_origin(answer: Answer) -> AsyncIterator[WebOrigin]:
    """Run an origin."""
    origin = WebOrigin(answer)
    server = await asyncio.start_server(origin.serve, "127.0.0.1", 0)
    origin.port = int(server.sockets[0].getsockname()[1])
    try:
        yield origin
    finally:
        server.close()
        origin.hang_up()
        await server.wait_closed()


async def sized(target: str, _: dict[str, str]) -> bytes:
    """Answer `/N` or `/N?anything` with N bytes, as dense as a font, that stay fresh for an hour."""
    size = target[1:].partition("?")[0]
    if not size.isdigit():
        return reply(404, [], b"")
    return reply(200, [("Content-Type", "font/woff2"), ("Cache-Control", "max-age=3600")], b"x" * int(size))


def reply(status: int, fields: list[tuple[str, str]], body: bytes) -> bytes:
    """Return an answer in bytes; it has a date, without which Squid asks again each time."""
    told = [("Date", formatdate(usegmt=True)), *fields]
    if status != NOT_MODIFIED:
        told.append(("Content-Length", str(len(body))))
    head = "".join(f"{name}: {value}\r\n" for name, value in told)
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n{head}\r\n".encode() + body
