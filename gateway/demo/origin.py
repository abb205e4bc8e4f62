"""The demo's origin: a small site such as a municipality runs, with ordinary caching rules and nothing clever.

Pages may be kept a minute and served stale for ten while they are asked for again, assets a day; strong entity tags,
one for each coding (RFC 9110 §8.8.3), dates, gzip but no brotli, 304 where nothing changed. `/cartelera` changes each
minute and must always be asked for; `/formulario` takes a POST. What can be asked for is a table made at the start, so
no path leads out of the folder.
"""

import asyncio
import gzip
import hashlib
import html
import mimetypes
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.utils import formatdate, parsedate_to_datetime
from pathlib import Path

from aiohttp import web

from gateway.clock import Clock, SystemClock
from gateway.errors import GatewayError, WrongMethod
from gateway.listener import Listener
from gateway.units import Address

PAGE_RULE = "max-age=60, stale-while-revalidate=600"  # RFC 5861 §3
ASSET_RULE = "max-age=86400"
SITE_BYTES_MAX = 50_000_000
PATHS_MAX = 1_000  # counted by name; the rest together
_TEXT = ("text/", "application/javascript", "application/json", "image/svg+xml", "application/manifest+json")
_OTHERS = "*"


@dataclass(frozen=True, slots=True)
class Document:
    """One resource as it is sent: its bytes, and what is said of them."""

    body: bytes
    zipped: bytes | None
    content_type: str
    rule: str
    modified_s: int

    @classmethod
    def of(cls, body: bytes, content_type: str, rule: str, modified_s: float) -> "Document":
        """Return a document; text has a gzip coding where that is smaller."""
        zipped = gzip.compress(body, mtime=0) if content_type.startswith(_TEXT) else None
        return cls(body, zipped if zipped and len(zipped) < len(body) else None, content_type, rule, int(modified_s))

    def coded(self, accept_encoding: str) -> tuple[bytes, dict[str, str]]:
        """Return the bytes and headers for what a client accepts."""
        zipped = self.zipped if self.zipped is not None and _accepts_gzip(accept_encoding) else None
        body = self.body if zipped is None else zipped
        headers = {
            "Content-Type": self.content_type,
            "Cache-Control": self.rule,
            "ETag": f'"{hashlib.sha256(body).hexdigest()[:20]}"',
            "Last-Modified": formatdate(self.modified_s, usegmt=True),
        }
        if self.zipped is not None:
            headers["Vary"] = "Accept-Encoding"
        if zipped is not None:
            headers["Content-Encoding"] = "gzip"
        return body, headers


class DemoOrigin:
    """Serves the site in a folder; `requests` counts what was asked for, by path."""

    def __init__(self, folder: Path, clock: Clock | None = None) -> None:
        self.requests: Counter[str] = Counter()
        self.messages = 0
        self._folder = folder
        self._clock = clock or SystemClock()
        self._documents: Mapping[str, Document] = {}
        self._styles = ""
        self._listener: Listener | None = None

    async def start(self, host: str, port: int) -> Address:
        """Read the folder and serve it; return where.

        Raises: CannotStart.
        """
        self._documents = await asyncio.to_thread(lambda: dict(_read(self._folder)))
        self._styles = "".join(
            f'<link rel="stylesheet" href="{html.escape(path)}">' for path in self._documents if path.endswith(".css")
        )
        self._listener = Listener("origin", Address(host, port), self._answer, self._refuse)
        await self._listener.start()
        return self._listener.address

    async def stop(self) -> None:
        """Stop serving."""
        if self._listener is not None:
            await self._listener.stop()
            self._listener = None

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.path
        self.requests[path if path in self.requests or len(self.requests) < PATHS_MAX else _OTHERS] += 1
        if path == "/formulario":
            return await self._form(request)
        if request.method not in {"GET", "HEAD"}:
            raise WrongMethod
        if path == "/cartelera":
            return _send(request, self._board())
        document = self._documents.get(path)
        if document is None:
            return _send(request, self._missing(), status=404)
        return _send(request, document)

    def _board(self) -> Document:
        minute_s = int(self._clock.wall_s() // 60) * 60
        said = formatdate(minute_s, usegmt=True)
        text = f"<p>Turnos de hoy en la posta. Actualizado: <time>{said}</time></p><p>Turno {minute_s // 60 % 100}</p>"
        return self._page("Cartelera", text, "no-cache", minute_s)

    def _missing(self) -> Document:
        own = self._documents.get("/404.html")
        if own is not None:
            return own
        text = '<p>Esta página no existe. <a href="/">Ir al inicio</a></p>'
        return self._page("No encontrado", text, "max-age=10", self._clock.wall_s())

    async def _form(self, request: web.BaseRequest) -> web.Response:
        if request.method in {"GET", "HEAD"}:
            return _send(request, self._page("Escríbanos", _FORM, PAGE_RULE, 0))
        if request.method != "POST":
            raise WrongMethod
        await request.read()  # at most 1 MiB, aiohttp's own limit; nothing of it is kept
        self.messages += 1
        text = f'<p>Gracias. Mensajes recibidos: {self.messages}.</p><p><a href="/">Ir al inicio</a></p>'
        return _send(request, self._page("Mensaje recibido", text, "no-store", self._clock.wall_s()))

    def _page(self, title: str, text: str, rule: str, modified_s: float) -> Document:
        body = _PAGE.format(title=title, styles=self._styles, text=text)
        return Document.of(body.encode(), "text/html; charset=utf-8", rule, modified_s)

    def _refuse(self, request: web.BaseRequest, error: GatewayError) -> web.Response:
        del request
        document = self._page("Error", "<p>No se pudo atender este pedido.</p>", "no-store", self._clock.wall_s())
        headers = {"Allow": "GET, HEAD"} if error.status == WrongMethod.status else {}
        return web.Response(
            status=error.status, body=document.body, headers=headers, content_type="text/html", charset="utf-8"
        )


_FORM = """\
<form method="post" action="/formulario">
<p><label>Nombre <input name="nombre" required maxlength="80"></label></p>
<p><label>Mensaje <textarea name="mensaje" required maxlength="2000"></textarea></label></p>
<p><button>Enviar</button></p>
</form>"""
_PAGE = """\
<!doctype html>
<html lang="es"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title>{styles}</head>
<body><main><h1>{title}</h1>
{text}
</main></body></html>
"""


def _read(folder: Path) -> Iterator[tuple[str, Document]]:
    """Yield every document of a folder under its paths: `/x.html` also as `/x`, an index also as its folder."""
    total_bytes = 0
    for file in sorted(folder.rglob("*")):
        if not file.is_file() or file.name.startswith(".") or file.is_symlink():
            continue
        body = file.read_bytes()
        total_bytes += len(body)
        if total_bytes > SITE_BYTES_MAX:
            raise ValueError("the demo's site is too large")
        path = "/" + file.relative_to(folder).as_posix()
        guessed = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        page = guessed == "text/html"
        content_type = f"{guessed}; charset=utf-8" if guessed.startswith("text/") else guessed
        document = Document.of(body, content_type, PAGE_RULE if page else ASSET_RULE, file.stat().st_mtime)
        yield path, document
        if file.name == "index.html":
            yield path.removesuffix("index.html"), document
        elif page:
            yield path.removesuffix(".html"), document


def _send(request: web.BaseRequest, document: Document, status: int = 200) -> web.Response:
    """Answer with a document, or 304 when the client has it (RFC 9110 §13.2.2)."""
    body, headers = document.coded(request.headers.get("Accept-Encoding", ""))
    if status == 200 and request.method in {"GET", "HEAD"} and _has_it(request, headers["ETag"], document.modified_s):
        kept = ("Cache-Control", "ETag", "Last-Modified", "Vary")  # §15.4.5
        return web.Response(status=304, headers={name: headers[name] for name in kept if name in headers})
    return web.Response(status=status, body=body, headers=headers)


def _has_it(request: web.BaseRequest, tag: str, modified_s: int) -> bool:
    if (tags := request.headers.get("If-None-Match")) is not None:  # §13.1.2: compared weakly, and before the date
        known = {each.strip().removeprefix("W/") for each in tags.split(",")}
        return tag in known or "*" in known
    since = request.headers.get("If-Modified-Since")
    if since is None:
        return False
    try:
        return modified_s <= parsedate_to_datetime(since).timestamp()
    except (ValueError, OverflowError):
        return False


def _accepts_gzip(accept_encoding: str) -> bool:
    for item in accept_encoding.lower().split(","):
        name, _, weight = item.partition(";")
        if name.strip() in {"gzip", "*"}:
            return weight.replace(" ", "") not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}
    return False
