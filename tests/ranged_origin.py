"""An origin of one large content that serves ranges of it, as told: slowly, partly, changed on the way."""

import asyncio
import re
from dataclasses import dataclass, field

from tests.conformance.web_world import Seen

PIECE_BYTES = 16_384


def made(size_bytes: int, seed: int = 0) -> bytes:
    """A content in which every stretch of 8 bytes says where it lies."""
    return b"".join((seed << 40 | at).to_bytes(8, "big") for at in range(size_bytes // 8 + 1))[:size_bytes]


@dataclass
class RangedOrigin:
    """A script for `web_world.Origin`."""

    content: bytes
    etag: str | None = '"a"'
    control: str = "max-age=3600"
    more: tuple[tuple[str, str], ...] = ()
    ranges: bool = True  # it honours Range
    length: bool = True  # it says how long it is
    gate: asyncio.Event | None = None  # each answer's body waits for it after `before_gate` bytes
    before_gate: int = 0
    cut_after: int | None = None  # bytes of a body, and then the connection goes
    short: int | None = None  # a 206 has no more bytes than this
    seen: list[str] = field(default_factory=list)  # the ranges asked for, "" for none
    sent_bytes: int = 0

    async def __call__(self, seen: Seen, writer: asyncio.StreamWriter) -> None:
        asked = seen.get("range") if self.ranges else None
        self.seen.append(asked or "")
        if self.etag is not None and seen.get("if-none-match") == self.etag:
            writer.write(self._head(304))
            await writer.drain()
            return
        begin, end = self._span(asked)
        if asked and begin >= end:
            writer.write(self._head(416, ("Content-Range", f"bytes */{len(self.content)}"), ("Content-Length", "0")))
            await writer.drain()
            return
        await self._send(writer, begin, end, partial=bool(asked))

    def _span(self, asked: str | None) -> tuple[int, int]:
        found = re.fullmatch(r"bytes=(\d*)-(\d*)", asked or "")
        size = len(self.content)
        if found is None:
            return 0, size
        if not found[1]:
            return max(size - int(found[2]), 0), size
        begin, end = int(found[1]), min(int(found[2]) + 1, size) if found[2] else size
        return begin, end if self.short is None else min(end, begin + self.short)

    def _head(self, status: int, *fields: tuple[str, str]) -> bytes:
        own = [("Cache-Control", self.control), *self.more, *((("ETag", self.etag),) if self.etag else ())]
        lines = [f"HTTP/1.1 {status} Whatever", *(f"{name}: {value}" for name, value in (*own, *fields))]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    async def _send(self, writer: asyncio.StreamWriter, begin: int, end: int, *, partial: bool) -> None:
        said = [("Content-Range", f"bytes {begin}-{end - 1}/{len(self.content)}")] if partial else []
        framing = ("Content-Length", str(end - begin)) if self.length else ("Connection", "close")
        writer.write(self._head(206 if partial else 200, *said, framing))
        gate, cut_after, content, at = self.gate, self.cut_after, self.content, begin
        while at < end:
            if gate is not None and at - begin >= self.before_gate:
                await writer.drain()
                await gate.wait()
            if cut_after is not None and at - begin >= cut_after:
                writer.close()
                return
            piece = content[at : min(at + PIECE_BYTES, end)]
            writer.write(piece)
            await writer.drain()
            at += len(piece)
            self.sent_bytes += len(piece)
        if not self.length:
            writer.close()
