"""An answer of which a browser wants only ranges: 206 with one of them, 206 in several parts, or 416.

Every field that the whole would have had goes with a 206 (RFC 9110 §15.3.7). Under `If-Range` it need not, but players
and readers of documents look at `Content-Type` there too, and between a phone and the box a field costs nothing.
"""

import secrets
from collections.abc import AsyncIterator

from gateway.web.fetching.body import SpanSource
from gateway.web.rules.fields import Fields, first, without
from gateway.web.rules.spans import Span

_OF_THE_WHOLE_MESSAGE = frozenset({"content-length", "content-md5", "content-digest"})  # RFC 9530 §2
# What describes a content, or lets it be stored, is not said of a refusal.
_OF_THE_CONTENT = _OF_THE_WHOLE_MESSAGE | frozenset(
    {"age", "cache-control", "cdn-cache-control", "content-disposition", "content-encoding", "content-language",
     "content-type", "digest", "etag", "expires", "last-modified", "link", "repr-digest", "set-cookie"}
)  # fmt: skip


class Ranged:
    """Spans of a body, each behind what is said of it."""

    def __init__(self, source: SpanSource, layout: tuple[bytes | Span, ...]) -> None:
        self.live = source.live
        self._source = source
        self._layout = layout
        self.size_bytes = sum(len(each) if isinstance(each, bytes) else each.size_bytes for each in layout)

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield them.

        Raises: BodyBroken.
        """
        for each in self._layout:
            if isinstance(each, bytes):
                yield each
                continue
            async for piece in self._source.span(each.at, each.end):
                yield piece

    def close(self) -> None:
        """Let go of the body."""
        self._source.close()


def with_ranges(fields: Fields) -> Fields:
    """Return an answer's fields saying that ranges of it are to be had (RFC 9110 §14.3)."""
    return (*without(fields, {"accept-ranges"}), ("Accept-Ranges", "bytes"))


def cut_out(fields: Fields, source: SpanSource, size_bytes: int, spans: tuple[Span, ...]) -> tuple[int, Fields, Ranged]:
    """Return status, fields and body of the answer that has these spans of a content of this size."""
    told = without(fields, _OF_THE_WHOLE_MESSAGE)
    match spans:
        case ():  # RFC 9110 §15.5.17
            refusal = (*without(told, _OF_THE_CONTENT), ("Content-Range", f"bytes */{size_bytes}"))
            return 416, refusal, Ranged(source, ())
        case (span,):
            return 206, (*told, ("Content-Range", _content_range(span, size_bytes))), Ranged(source, (span,))
    boundary = secrets.token_hex(16)  # no content can hold it by chance or on purpose
    kind = ("Content-Type", f"multipart/byteranges; boundary={boundary}")
    layout = _parted(spans, size_bytes, boundary, first(told, "content-type"))
    return 206, (*without(told, {"content-type"}), kind), Ranged(source, layout)


def _parted(spans: tuple[Span, ...], size_bytes: int, boundary: str, kind: str | None) -> tuple[bytes | Span, ...]:
    """RFC 9110 §14.6."""
    layout: list[bytes | Span] = []
    for span in spans:
        said = f"Content-Type: {kind}\r\n" if kind else ""
        head = f"\r\n--{boundary}\r\n{said}Content-Range: {_content_range(span, size_bytes)}\r\n\r\n"
        layout += [head.encode(), span]
    return (*layout, f"\r\n--{boundary}--\r\n".encode())


def _content_range(span: Span, size_bytes: int) -> str:
    return f"bytes {span.at}-{span.end - 1}/{size_bytes}"
