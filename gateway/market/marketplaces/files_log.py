"""A line of the folder's order files is whole or it is not there; each revision of an order stands in them once.

Lines are appended under a lock and on disk before anything is said of them. What a crash left of a line that was never
acknowledged is cut off before the next is written. Which revisions are there is read from the files, and read again
whenever they are not as they were left: another box writes to the same folder, or another stick is in its place.
"""

import errno
import fcntl
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import BinaryIO

from gateway.document import read_document
from gateway.errors import GatewayError
from gateway.market.marketplaces.port import NotDelivered
from gateway.market.order import ORDER_BYTES_MAX, is_order_id

LINE_BYTES_MAX = ORDER_BYTES_MAX + 10_000  # an order, its receipt and its hash
KNOWN_MAX = 1_000_000  # orders in a folder: 200 MB of memory; then it must be emptied
_NAME = re.compile(r"orders-[0-9a-z-]{4,12}\.jsonl")
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class FolderLog:
    """The order files of a folder. What it does blocks: it belongs in a thread, one call at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._revisions: dict[str, int] = {}
        self._left: dict[str, tuple[int, int]] = {}  # each file's inode and size as they were left

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Keep other writers out, with the revisions as they are in the files.

        Raises: NotDelivered with a plain reason.
        """
        with disk_reasons(), (self._folder / ".lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # let go of when the file is closed
            if self._left != self._files():
                self._read_all()
            yield

    def revision(self, order_id: str) -> int:
        """Return the highest revision of an order that is there; 0 for none."""
        return self._revisions.get(order_id, 0)

    def append(self, name: str, entries: Sequence[tuple[str, int, bytes]]) -> None:
        """Put entries (id, revision, line) on disk, all or none.

        Raises: OSError.
        """
        path = self._folder / name
        is_new = not path.exists()
        with path.open("ab", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            try:
                write_whole(file, b"".join(line + b"\n" for _, _, line in entries))
                os.fsync(file.fileno())
            except OSError:
                self._left = {}  # read again what is there
                file.truncate(size)
                raise
        if is_new:
            sync_folder(self._folder)
        self._revisions |= {order_id: revision for order_id, revision, _ in entries}
        self._left = self._files()

    def _files(self) -> dict[str, tuple[int, int]]:
        with os.scandir(self._folder) as entries:
            stats = {each.name: each.stat() for each in entries if _NAME.fullmatch(each.name)}
        return {name: (stat.st_ino, stat.st_size) for name, stat in stats.items()}

    def _read_all(self) -> None:
        self._left, self._revisions = {}, {}
        for name in sorted(self._files()):
            with (self._folder / name).open("r+b") as file:
                self._read(file)
        self._left = self._files()

    def _read(self, file: BinaryIO) -> None:
        """Learn a file's revisions; what stands after its last whole line goes."""
        place = whole = 0
        torn = b""
        while piece := file.readline(LINE_BYTES_MAX):
            place += len(piece)
            if piece.endswith(b"\n"):
                self._learn(b"" if torn else piece)
                whole, torn = place, b""
            else:
                torn = piece  # the end, or part of a line longer than any of ours
        if torn:
            is_whole = place - whole == len(torn) and self._learn(torn)
            _mend(file, whole, is_whole=is_whole)
        if len(self._revisions) > KNOWN_MAX:
            raise NotDelivered(is_silent=False, reason="too many orders in the folder")

    def _learn(self, line: bytes) -> bool:
        """Note the revision in a line; say whether there is one."""
        found = _read_line(line)
        if found is None:
            return False
        order_id, revision = found
        self._revisions[order_id] = max(revision, self.revision(order_id))
        return True


@contextmanager
def disk_reasons() -> Iterator[None]:
    """Turn what a disk says into `NotDelivered` with a plain reason."""
    try:
        yield
    except FileNotFoundError as exc:
        raise NotDelivered(is_silent=False, reason="folder missing") from exc
    except OSError as exc:
        reason = "disk full" if exc.errno in _FULL else "folder not usable"
        raise NotDelivered(is_silent=False, reason=reason) from exc


def write_whole(file: FileIO, content: bytes) -> None:
    """Write all of it, however little the disk takes at once.

    Raises: OSError.
    """
    rest = memoryview(content)
    while rest:
        rest = rest[file.write(rest) :]


def sync_folder(folder: Path) -> None:
    """Put a folder's own entries on disk, so that a new name in it stays."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _mend(file: BinaryIO, whole: int, *, is_whole: bool) -> None:
    """Cut off a torn line; a whole one that only lacks its end, as an editor leaves it, gets that."""
    if is_whole:
        file.seek(0, os.SEEK_END)
        file.write(b"\n")
    else:
        file.truncate(whole)
    file.flush()
    os.fsync(file.fileno())


def _read_line(line: bytes) -> tuple[str, int] | None:
    try:
        entry = read_document(line.rstrip(b"\r\n"), LINE_BYTES_MAX)
    except GatewayError:
        return None
    if not isinstance(entry, dict):
        return None
    order_id, revision = entry.get("id"), entry.get("revision", 1)
    if not isinstance(order_id, str) or not is_order_id(order_id) or type(revision) is not int or revision < 1:
        return None
    return order_id, revision
