"""The demo's photos on disk: a photo is whole once its bytes have the hash that is its name; till then, it goes on."""

import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from aiohttp import hdrs, web

from gateway.errors import NotFound
from gateway.market.photos.refusals import Gap, OtherContent
from gateway.market.photos.stretch import stretch_of

PHOTO_BYTES_MAX = 20_000_000
PIECE_BYTES = 65_536


class PhotoFiles:
    """The photos of a folder. All of it runs in one thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def offset(self, sha256: str) -> int | None:
        """Return how many bytes of a photo are there; None for nothing."""
        for file in (self._folder / sha256, self._part(sha256)):
            if file.is_file():
                return file.stat().st_size
        return None

    def is_whole(self, sha256: str) -> bool:
        """Say whether all of it is there."""
        return (self._folder / sha256).is_file()

    def read(self, sha256: str) -> bytes:
        """Return a whole photo."""
        return (self._folder / sha256).read_bytes()

    def append(self, sha256: str, at: int, piece: bytes) -> None:
        """Write what comes after the first `at` bytes; what is there of it already stays.

        Raises: Gap.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        here = self.offset(sha256) or 0
        if at > here:
            raise Gap(here)
        with self._part(sha256).open("ab") as file:
            file.write(piece[here - at :])

    def finish(self, sha256: str, size_bytes: int) -> bool:
        """Make a photo whole when all of it came; say whether it did.

        Raises: OtherContent.
        """
        part = self._part(sha256)
        if self.offset(sha256) != size_bytes:
            return False
        if hashlib.sha256(part.read_bytes()).hexdigest() != sha256:
            part.unlink()
            raise OtherContent
        part.rename(self._folder / sha256)
        return True

    def _part(self, sha256: str) -> Path:
        return self._folder / f"{sha256}.part"


def photo_routes(path: str, files: PhotoFiles, in_thread: Callable[..., Awaitable[Any]]) -> list[web.RouteDef]:
    """Return the requests about photos below a path; `in_thread` runs what touches their files."""

    async def tell(request: web.Request) -> web.Response:
        offset = await in_thread(files.offset, request.match_info["sha256"])
        if offset is None:
            raise NotFound
        return web.Response(headers={"Upload-Offset": str(offset)})

    async def show(request: web.Request) -> web.Response:
        sha256 = request.match_info["sha256"]
        if not await in_thread(files.is_whole, sha256):
            raise NotFound
        return web.Response(body=await in_thread(files.read, sha256), content_type="application/octet-stream")

    async def take(request: web.Request) -> web.Response:
        sha256 = request.match_info["sha256"]
        stretch = stretch_of(request.headers.get(hdrs.CONTENT_RANGE), request.content_length, PHOTO_BYTES_MAX)
        if await in_thread(files.is_whole, sha256):
            return web.Response(headers={"Upload-Offset": str(stretch.size_bytes)})
        at = stretch.first
        async for piece in request.content.iter_chunked(PIECE_BYTES):
            await in_thread(files.append, sha256, at, piece)
            at += len(piece)
        is_whole = await in_thread(files.finish, sha256, stretch.size_bytes)
        offset = await in_thread(files.offset, sha256) or 0
        return web.Response(status=201 if is_whole else 204, headers={"Upload-Offset": str(offset)})

    one = f"{path}/{{sha256:[0-9a-f]{{64}}}}"
    return [web.head(one, tell), web.get(one, show, allow_head=False), web.put(one, take)]
