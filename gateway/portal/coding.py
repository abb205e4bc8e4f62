"""An answer is sent in the smallest coding its browser reads, and never in one that makes it larger.

br-5 for what is rendered (61 MB/s, 17.5 % of text, 2026-11), br-11 for what is coded once.

Source: RFC 9110 §12.5.3 (Accept-Encoding), RFC 7932 (br).
"""

import gzip

import brotli
from aiohttp import web

BROTLI_RENDERED = 5
BROTLI_STORED = 11
GZIP_RENDERED = 5
SMALL_BYTES = 256  # below it a coding's own field costs more than it saves


def accepted(accept_encoding: str) -> tuple[str, ...]:
    """Return those of `br` and `gzip` a browser reads, the better first.

    >>> accepted("gzip, deflate, br;q=0.9"), accepted("br;q=0, gzip"), accepted(""), accepted("*")
    (('br', 'gzip'), ('gzip',), (), ('br', 'gzip'))
    """
    weights: dict[str, bool] = {}
    for item in accept_encoding.lower().split(",")[:20]:
        name, _, parameter = item.partition(";")
        quality = parameter.strip().removeprefix("q=")
        weights[name.strip()] = quality.strip("0.") != "" or not parameter.strip()
    otherwise = weights.get("*", False)
    return tuple(name for name in ("br", "gzip") if weights.get(name, otherwise))


def code(body: bytes, coding: str, *, once: bool = False) -> bytes:
    """Return `body` in a coding; `once` takes the time that pays when the result is kept."""
    if coding == "br":
        return bytes(brotli.compress(body, quality=BROTLI_STORED if once else BROTLI_RENDERED))
    return gzip.compress(body, 9 if once else GZIP_RENDERED, mtime=0)


def code_response(response: web.Response, accept_encoding: str) -> web.Response:
    """Code the body of a response as its browser reads it."""
    response.headers.add("Vary", "Accept-Encoding")
    body = response.body
    codings = accepted(accept_encoding)
    if not isinstance(body, bytes) or len(body) < SMALL_BYTES or not codings:
        return response
    coded = code(body, codings[0])
    if len(coded) < len(body):
        response.body = coded
        response.headers["Content-Encoding"] = codings[0]
    return response
