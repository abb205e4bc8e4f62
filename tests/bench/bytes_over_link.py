"""What crosses the link when a village reads a corpus of pages: counted at the origin's sockets, heads included.

The visits: the first of one villager; the same again, and another villager with an older phone, while all is fresh; one
later, when all is stale and nothing has changed; and one when all is stale again, and every page that has a newer
version has got it. The origin is an ordinary one: gzip for text, an entity tag, a lifetime. The browser without a cache
asks it every time; the caches stand between, and get what the browser sends.
"""

import asyncio
import csv
import gzip
import hashlib
import os
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

import aiohttp

from tests.bench.machine import table
from tests.bench.peers import BROWSER, PACKAGED, PEERS, TAMBO, TUNED, Server, every_server
from tests.bench.web_origin import NOT_MODIFIED, WebOrigin, reply, web_origin
from tests.village import ROOT

CORPUS = Path(os.environ.get("TAMBO_CORPUS", ROOT.parent / "shared" / "corpus"))
LIFETIME_S = 20  # longer than the three visits take that find all fresh
VISITS = ("first visit", "second visit", "another villager, older phone", "stale but unchanged", "after a change")
OLDER_PHONE = {**BROWSER, "Accept-Encoding": "gzip, deflate, br"}  # Chromium before 123; one more coding since
FRESH_VISITS = 3
DIRECT = "browser without a cache"
SHOWN = (DIRECT, PACKAGED, TUNED, TAMBO)
GZIP_LEVEL = 6  # zlib's default, and Apache's
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css",
    ".js": "text/javascript",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
}
_DENSE = {".jpg", ".jpeg", ".png"}


@dataclass(frozen=True)
class Page:
    """One version of one resource, as the origin holds it."""

    kind: str
    etag: str
    plain: bytes
    gzipped: bytes | None


@dataclass(frozen=True)
class Corpus:
    """Resources by path, as they were and as they are."""

    before: Mapping[str, Page]
    after: Mapping[str, Page]


def read_corpus(folder: Path) -> Corpus:
    """Read the resources; those without versions are the same before and after."""
    versions: dict[str, dict[str, Path]] = {}
    with (folder / "manifest.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            name = row["group"] if row["version"] else row["file"]
            versions.setdefault(name, {})[row["version"]] = folder / row["file"]
    before: dict[str, Page] = {}
    after: dict[str, Page] = {}
    for name, found in versions.items():
        newest = found.get("-0") or next(iter(found.values()))
        path = "/" + quote(name.replace(":", "/"))
        after[path] = _page(newest)
        before[path] = _page(found.get("-1", newest))
    return Corpus(before, after)


def _page(file: Path) -> Page:
    data = file.read_bytes()
    suffix = next(suffix for suffix in reversed(file.suffixes) if suffix in _TYPES)
    gzipped = None if suffix in _DENSE else gzip.compress(data, GZIP_LEVEL, mtime=0)
    return Page(_TYPES[suffix], hashlib.sha256(data).hexdigest()[:16], data, gzipped)


class Sites:
    """The origin's answers: what there is now, coded as asked, or that it has not changed."""

    def __init__(self, corpus: Corpus) -> None:
        self.now = corpus.before

    async def answer(self, target: str, asked: dict[str, str]) -> bytes:
        """Answer one request."""
        page = self.now.get(quote(unquote(target)))
        if page is None:
            return reply(404, [], b"")
        coded = page.gzipped if "gzip" in asked.get("accept-encoding", "") else None
        etag = f'"{page.etag}-gzip"' if coded else f'"{page.etag}"'
        told = [("ETag", etag), ("Cache-Control", f"max-age={LIFETIME_S}")]
        if page.gzipped is not None:
            told.append(("Vary", "Accept-Encoding"))
        if etag in asked.get("if-none-match", ""):
            return reply(NOT_MODIFIED, told, b"")
        told.append(("Content-Type", page.kind))
        if coded:
            told.append(("Content-Encoding", "gzip"))
        return reply(200, told, coded or page.plain)


async def bytes_over_link(folder: Path) -> str:
    """Return the table."""
    if not (CORPUS / "manifest.csv").is_file():
        return f"Bytes over the link: not measured, there is no corpus at {CORPUS} (set TAMBO_CORPUS)."
    corpus = await asyncio.to_thread(read_corpus, CORPUS)
    sites = Sites(corpus)
    async with AsyncExitStack() as running:
        origins = [await running.enter_async_context(web_origin(sites.answer)) for _ in range(2 + len(PEERS))]
        with ExitStack() as stack:
            servers = await every_server(folder, [origin.port for origin in origins[1:]], stack)
            direct = Server(DIRECT, origins[0].port, origins[0].port, 0, lambda: None)
            shown = [server for server in (direct, *servers) if server.name in SHOWN]
            crossed = await visits(corpus, sites, shown, {origin.port: origin for origin in origins})
    title = f"Kilobytes over the link: {len(corpus.after)} pages, styles, scripts, data and pictures"
    rows = [[visit, *(f"{crossed[name][at] / 1e3:.1f}" for name in crossed)] for at, visit in enumerate(VISITS)]
    changed = sum(corpus.before[path] != page for path, page in corpus.after.items())
    caption = f"Heads included, both ways; {changed} of them change. The origin codes text with gzip -{GZIP_LEVEL}."
    return f"{table(title, ['visit', *crossed], rows)}\n\n{caption}"


async def visits(
    corpus: Corpus, sites: Sites, servers: Sequence[Server], origins: Mapping[int, WebOrigin]
) -> dict[str, list[int]]:
    """Return what each visit made cross the link, for each server."""
    crossed: dict[str, list[int]] = {server.name: [] for server in servers}
    loop = asyncio.get_running_loop()
    begun = loop.time()
    for at in range(len(VISITS)):
        if at == FRESH_VISITS and loop.time() - begun > LIFETIME_S:
            raise RuntimeError("this machine is too slow for the visits that are to find all fresh")
        if at >= FRESH_VISITS:
            await asyncio.sleep(LIFETIME_S + 1.5)  # ages are whole seconds
        if at == len(VISITS) - 1:
            sites.now = corpus.after
        for server in servers:
            origin = origins[server.origin_port]
            before = origin.bytes_crossed
            await _visit(server, sites.now, OLDER_PHONE if "older" in VISITS[at] else BROWSER)
            crossed[server.name].append(origin.bytes_crossed - before)
    return crossed


async def _visit(server: Server, pages: Mapping[str, Page], browser: Mapping[str, str]) -> None:
    """Load every resource as a browser that has none of them; each must be what the origin has."""
    async with aiohttp.ClientSession(headers=browser) as session:
        for path, page in pages.items():
            async with session.get(f"http://127.0.0.1:{server.port}{path}") as answer:
                if await answer.read() != page.plain:
                    raise RuntimeError(f"{server.name}: {path}: {answer.status}")
