"""The photos on disk. What is said to be there is on disk for certain; what is there is what was sent, or is not shown.

A file's name ends with its standing, and one rename, made durable, is what changes it. So whenever the power goes,
every photo is in one standing or the next, and a part has as many bytes as its file. All of this runs in one thread.

Source: rename(2), fsync(2) ("does not necessarily ensure that the entry in the directory … has also reached disk").
"""

import hashlib
import os
import shutil
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import structlog

from gateway.clock import Clock
from gateway.durable.sealed_file import FileSeal, Head, NotOpened, read_at
from gateway.market.photos.keeping import Photo, PhotoLimits, Standing, is_credible, room_for
from gateway.market.photos.kinds import HEAD_BYTES, Kind, kind_of
from gateway.market.photos.refusals import Gap, OtherContent, WrongKind, no_room, too_large

PIECE_BYTES = 65_536
_NEW = "new"  # a file that has no head yet
_log = structlog.get_logger("market.photos")


@dataclass(slots=True)
class _File:
    photo: Photo
    head: Head
    written_bytes: int  # in the file; on disk for certain are `photo.offset_bytes`


class Shelf:
    """A folder of photos."""

    def __init__(self, folder: Path, key: bytes, clock: Clock, limits: PhotoLimits) -> None:
        self._folder = folder
        self._seal = FileSeal(key)
        self._clock = clock
        self._limits = limits
        self._files: dict[str, _File] = {}

    def open(self) -> None:
        """Know again what is there; what a part has is on disk from now on.

        Raises: OSError.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in sorted(self._folder.iterdir()):
            ending = path.suffix.removeprefix(".")
            if ending == _NEW:
                path.unlink()
            elif ending in set(Standing):
                self._know(path, Standing(ending))
                with suppress(OtherContent, WrongKind):  # the end came between its last byte and the check
                    self.settle(path.stem)
        _sync_folder(self._folder)

    def all(self) -> list[Photo]:
        """Return every photo."""
        return [each.photo for each in self._files.values()]

    def find(self, merchant: str, sha256: str) -> Photo | None:
        """Return a merchant's photo, or what there is of it."""
        found = self._files.get(self._seal.name(merchant, sha256))
        return found.photo if found is not None and found.photo.standing is not Standing.DAMAGED else None

    def begin(self, merchant: str, sha256: str, size_bytes: int, made_from: str = "") -> Photo:
        """Return a photo of which nothing is there yet; a part of it that was there is gone.

        Raises: TooLarge, NoCapacity, OSError.
        """
        name = self._seal.name(merchant, sha256)
        self.remove(name)
        if size_bytes > self._limits.photo_bytes_max:
            raise too_large(self._limits.photo_bytes_max)
        self._make_room(merchant, size_bytes)
        fresh, path = self._path(name, _NEW), self._path(name, Standing.PART)
        with fresh.open("wb") as file:
            file.write(self._seal.new_head(name, merchant, sha256, size_bytes, made_from))
            file.flush()
            os.fsync(file.fileno())
        self._stamp(fresh)
        fresh.rename(path)
        _sync_folder(self._folder)
        self._know(path, Standing.PART)
        return self._files[name].photo

    def write(self, name: str, at: int, content: bytes) -> None:
        """Add what is new in `content`, which begins at `at`; bytes that are there already are passed over.

        Raises: Gap when it does not go on where the part ends; WrongKind, OSError.
        """
        file = self._files.get(name)
        if file is None or file.photo.standing is not Standing.PART:
            raise Gap(file.photo.offset_bytes if file else 0)
        if at > file.written_bytes:
            raise Gap(file.photo.offset_bytes)
        fresh = content[file.written_bytes - at : file.photo.size_bytes - at]
        if file.written_bytes == 0 and len(fresh) >= HEAD_BYTES and kind_of(fresh[:HEAD_BYTES]) is None:
            self.remove(name)
            raise WrongKind
        if fresh:
            self._append(file, fresh)

    def settle(self, name: str) -> Photo:
        """Return how far a photo is, all of it on disk; a whole one has been checked.

        Raises: OtherContent, WrongKind when it is not what its name says, and it is gone; OSError.
        """
        file = self._files.get(name)
        if file is None:
            raise Gap(0)
        if file.photo.standing is Standing.PART:
            if file.photo.offset_bytes < file.written_bytes:
                self._sync(file)
            if file.photo.offset_bytes == file.photo.size_bytes:
                self._finish(file)
        return file.photo

    def read(self, name: str, at: int, length: int = PIECE_BYTES) -> bytes:
        """Return a photo's bytes from `at` on; none behind its end, or when it is gone.

        Raises: OSError.
        """
        file = self._files.get(name)
        if file is None:
            return b""
        sealed = read_at(self._path(name, file.photo.standing), file.head, at, length)
        return self._seal.turned(file.head, at, sealed)

    def kind(self, name: str) -> Kind | None:
        """Return what kind of photo it is.

        Raises: OSError.
        """
        return kind_of(self.read(name, 0, HEAD_BYTES))

    def is_sound(self, name: str) -> bool:
        """Say whether a photo is still what its name says; one that is not is set aside and not shown again.

        Raises: OSError.
        """
        file = self._files.get(name)
        if file is None:
            return False
        if self._matches(file):
            return True
        _log.error("photo.damaged", size_bytes=file.photo.size_bytes)
        self.mark(name, Standing.DAMAGED)
        return False

    def mark(self, name: str, standing: Standing) -> None:
        """Let a photo have come to this standing now, for certain.

        Raises: OSError.
        """
        file = self._files.get(name)
        if file is None:
            return
        path, target = self._path(name, file.photo.standing), self._path(name, standing)
        self._stamp(path)
        path.rename(target)
        file.photo = replace(file.photo, standing=standing, stamp_wall_s=target.stat().st_mtime)
        _sync_folder(self._folder)

    def restamp(self) -> None:
        """Let ages that cannot be believed begin now.

        Raises: OSError.
        """
        wall_s = self._clock.wall_s()
        for name, file in self._files.items():
            if not is_credible(file.photo.stamp_wall_s, wall_s) and is_credible(wall_s, wall_s):
                self._stamp(self._path(name, file.photo.standing))
                file.photo = replace(file.photo, stamp_wall_s=wall_s)

    def remove(self, name: str) -> None:
        """Let there be nothing of a photo.

        Raises: OSError.
        """
        file = self._files.pop(name, None)
        if file is not None:
            self._path(name, file.photo.standing).unlink(missing_ok=True)
            _sync_folder(self._folder)

    def _make_room(self, merchant: str, size_bytes: int) -> None:
        """Let a new photo fit, at the cost of those that have been sent, the oldest first."""
        going = room_for(self.all(), merchant, size_bytes, self._limits)
        free_bytes = shutil.disk_usage(self._folder).free
        if going is None or free_bytes - size_bytes < self._limits.free_bytes_min:
            raise no_room()
        for sent in going:
            self.remove(sent.name)

    def _append(self, file: _File, content: bytes) -> None:
        sealed = self._seal.turned(file.head, file.written_bytes, content)
        with self._path(file.photo.name, Standing.PART).open("r+b") as opened:
            while sealed:
                count = os.pwrite(opened.fileno(), sealed, file.head.bytes_before + file.written_bytes)
                file.written_bytes += count
                sealed = sealed[count:]

    def _sync(self, file: _File) -> None:
        path = self._path(file.photo.name, Standing.PART)
        with path.open("r+b") as opened:
            try:
                os.fsync(opened.fileno())
            except OSError:  # what was not on disk before may never be, and look as if it were
                file.written_bytes = file.photo.offset_bytes
                opened.truncate(file.head.bytes_before + file.photo.offset_bytes)
                raise
        self._stamp(path)
        file.photo = replace(file.photo, offset_bytes=file.written_bytes, stamp_wall_s=self._clock.wall_s())

    def _finish(self, file: _File) -> None:
        name = file.photo.name
        if not self._matches(file):
            self.remove(name)
            raise OtherContent
        if self.kind(name) is None:
            self.remove(name)
            raise WrongKind
        self.mark(name, Standing.WHOLE)

    def _matches(self, file: _File) -> bool:
        digest, at = hashlib.sha256(), 0
        while at < file.photo.size_bytes and (piece := self.read(file.photo.name, at)):
            digest.update(piece)
            at += len(piece)
        return at == file.photo.size_bytes and digest.hexdigest() == file.photo.sha256

    def _know(self, path: Path, standing: Standing) -> None:
        """Take a file that is there for what it says it is; one that says nothing is set aside."""
        name = path.stem
        try:
            head = self._seal.head(path)
        except NotOpened:
            if standing is not Standing.DAMAGED:
                _log.error("photo.damaged", size_bytes=path.stat().st_size)
                path = path.rename(self._path(name, Standing.DAMAGED))
            head, standing = Head("", "", 0, "", 0, 0), Standing.DAMAGED
        written_bytes = max(path.stat().st_size - head.bytes_before, 0)
        if standing is Standing.PART:
            with path.open("r+b") as opened:
                if written_bytes > head.size_bytes:
                    opened.truncate(head.bytes_before + head.size_bytes)
                os.fsync(opened.fileno())
            written_bytes = min(written_bytes, head.size_bytes)
        stamp_wall_s = path.stat().st_mtime
        photo = Photo(
            name, head.owner, head.sha256, head.size_bytes, standing, written_bytes, stamp_wall_s, head.made_from
        )
        self._files[name] = _File(photo, head, written_bytes)

    def _stamp(self, path: Path) -> None:
        wall_s = self._clock.wall_s()
        os.utime(path, (wall_s, wall_s))

    def _path(self, name: str, ending: str) -> Path:
        return self._folder / f"{name}.{ending}"


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
