"""Files that pages need are held in memory, coded once, under addresses that name their content, and never change.

The address holds the first 12 digits of the content's SHA-256, so a browser keeps a file for a year and asks anew when
it changed. Nothing outside this table is ever served: no path is looked up on disk.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

from aiohttp import web

from gateway.errors import NotFound
from gateway.portal.coding import accepted, code
from gateway.resources import content

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".webp": "image/webp",
    ".ogg": "audio/ogg",
}
_CODED = frozenset({".css", ".js", ".svg"})
_FILE_BYTES_MAX = 1_000_000
_FOREVER = "public, max-age=31536000, immutable"
_A_DAY = "public, max-age=86400"


@dataclass(frozen=True, slots=True)
class Asset:
    """One file: its address, its type, and its bytes in every coding that pays."""

    url: str
    content_type: str
    bodies: Mapping[str, bytes]  # by coding; "" is as it is


class Statics:
    """The files of `content/assets`, by their names."""

    def __init__(self) -> None:
        self._assets: Mapping[str, Asset] = {}

    def load(self) -> None:
        """Read and code every file, the first time in this process; blocks for some tenths of a second."""
        self._assets = _read()

    def url(self, name: str) -> str:
        """Return the address of a file; raises KeyError when there is none, so that a page never links nothing."""
        return self._assets[name].url

    def text(self, name: str) -> str:
        """Return the text of a file, for pages that carry it in themselves."""
        return self._assets[name].bodies[""].decode()

    def size_bytes(self, name: str, coding: str) -> int:
        """Return what a file costs on the wire without its headers."""
        bodies = self._assets[name].bodies
        return len(bodies.get(coding, bodies[""]))

    def routes(self) -> list[web.RouteDef]:
        """Return the routes that serve the files."""
        return [
            web.get("/static/{digest}/{name}", self._serve),
            web.get("/favicon.ico", self._serve_icon),
            web.get("/robots.txt", _serve_robots),
        ]

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        asset = self._assets.get(request.match_info["name"])
        if asset is None or asset.url != request.path:
            raise NotFound
        return _answer(request, asset, _FOREVER)

    async def _serve_icon(self, request: web.Request) -> web.StreamResponse:
        asset = self._assets.get("tambo.svg")
        if asset is None:
            raise NotFound
        return _answer(request, asset, _A_DAY)


async def _serve_robots(request: web.Request) -> web.StreamResponse:
    del request
    return web.Response(text="User-agent: *\nDisallow: /\n", headers={"Cache-Control": _A_DAY})


@cache
def _read() -> Mapping[str, Asset]:
    """Return what every listener of this process serves, by name."""
    files = sorted(path for path in (content() / "assets").iterdir() if path.suffix in _TYPES and path.is_file())
    return MappingProxyType({path.name: _asset(path) for path in files if path.stat().st_size <= _FILE_BYTES_MAX})


def _asset(path: Path) -> Asset:
    body = path.read_bytes()
    bodies = {"": body}
    for coding in ("br", "gzip") if path.suffix in _CODED else ():
        coded = code(body, coding, once=True)
        if len(coded) < len(body):
            bodies[coding] = coded
    digest = hashlib.sha256(body).hexdigest()[:12]
    return Asset(f"/static/{digest}/{path.name}", _TYPES[path.suffix], bodies)


def _answer(request: web.Request, asset: Asset, cache_control: str) -> web.Response:
    coding = next((each for each in accepted(request.headers.get("Accept-Encoding", "")) if each in asset.bodies), "")
    headers = {"Content-Type": asset.content_type, "Cache-Control": cache_control, "Vary": "Accept-Encoding"}
    if coding:
        headers["Content-Encoding"] = coding
    return web.Response(body=asset.bodies[coding], headers=headers)
