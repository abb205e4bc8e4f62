"""Thumbnails lie in a folder, each pair in a file of its own that begins with the SHA-256 of the rest.

A file is named by the hash of its picture's address, so another picture is another file, and nothing needs an index.
One that is not what was written is deleted when it is read. The folder never holds more than its budget: pictures that
no article has any longer make room, and otherwise no more are put in. All calls but `holds` may wait for the disk, and
may come from several threads.
"""

import hashlib
import re
import shutil
import threading
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from gateway.market.catalogue.pair import PAIR_BYTES_MAX, parted

_NAME = re.compile(r"[0-9a-f]{32}\Z")
_HASH_BYTES = hashlib.sha256().digest_size


def name_of(address: str) -> str:
    """Return the name under which a picture's thumbnails are kept."""
    return hashlib.sha256(address.encode()).hexdigest()[:32]


class Shelf:
    """The thumbnails of a catalogue's pictures."""

    def __init__(self, folder: Path, *, bytes_max: int, free_bytes_min: int) -> None:
        self.folder = folder
        self._bytes_max = bytes_max
        self._free_bytes_min = free_bytes_min
        self._sizes_bytes: dict[str, int] = {}
        self.size_bytes = 0
        self._lock = threading.RLock()  # over what is known of the folder

    def __len__(self) -> int:
        return len(self._sizes_bytes)

    def holds(self, name: str) -> bool:
        """Say whether a picture's thumbnails are here."""
        return name in self._sizes_bytes

    def open(self) -> None:
        """Know what the folder has; what is no thumbnail of ours in it goes.

        Raises: OSError.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        sizes_bytes = {}
        for path in self.folder.iterdir():
            if _NAME.match(path.name):
                sizes_bytes[path.name] = path.stat().st_size
            elif path.is_file():
                path.unlink(missing_ok=True)
        self._sizes_bytes = sizes_bytes
        self.size_bytes = sum(sizes_bytes.values())

    def has_room(self, wanted: Collection[str]) -> bool:
        """Say whether another pair fits, after those that are not wanted any longer have made room for it."""
        with self._lock:
            for name in [each for each in self._sizes_bytes if each not in wanted]:
                if self.size_bytes + PAIR_BYTES_MAX <= self._bytes_max:
                    break
                self._drop(name)
            fits = self.size_bytes + PAIR_BYTES_MAX <= self._bytes_max
        return fits and shutil.disk_usage(self.folder).free >= self._free_bytes_min

    def put(self, name: str, pair: bytes) -> None:
        """Keep a picture's thumbnails.

        Raises: OSError.
        """
        fresh = self.folder / f"{name}.new"
        content = hashlib.sha256(pair).digest() + pair
        try:
            fresh.write_bytes(content)
            fresh.replace(self.folder / name)
        except OSError:
            with suppress(OSError):
                fresh.unlink(missing_ok=True)
            raise
        with self._lock:
            self.size_bytes += len(content) - self._sizes_bytes.get(name, 0)
            self._sizes_bytes[name] = len(content)

    def take(self, name: str) -> tuple[bytes, bytes] | None:
        """Return a picture's small and large thumbnail; None where they are not here, or damaged and gone now."""
        if not self.holds(name):
            return None
        try:
            with (self.folder / name).open("rb") as file:
                content = file.read(_HASH_BYTES + PAIR_BYTES_MAX + 1)
        except OSError:
            content = b""
        pair = content[_HASH_BYTES:]
        found = parted(pair) if hashlib.sha256(pair).digest() == content[:_HASH_BYTES] else None
        if found is None:
            self._drop(name)
        return found

    def _drop(self, name: str) -> None:
        with suppress(OSError):
            (self.folder / name).unlink(missing_ok=True)
        with self._lock:
            self.size_bytes -= self._sizes_bytes.pop(name, 0)
