"""What an operator pinned stays pinned, whatever becomes of the index: it lies in a file of its own."""

import json
import os
from contextlib import suppress
from pathlib import Path

from gateway.web.rules.stored import sealed, unsealed

PINS_MAX = 2_000
_SEAL = "pins"


class Pins:
    """URLs that are never evicted, in the order in which they were pinned."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.all: dict[tuple[str, str], None] = {}

    def load(self) -> None:
        """Read them; a file that is missing or broken is none."""
        try:
            found = json.loads(unsealed(self._path.read_bytes(), _SEAL) or b"[]")
            self.all = {(str(site), str(url)): None for site, url in found[:PINS_MAX]}
        except (OSError, ValueError, TypeError):
            self.all = {}

    def put(self, site: str, url: str, *, on: bool) -> bool:
        """Pin a URL or let go of it; says whether it is so now. On disk when this returns.

        Raises: OSError.
        """
        before = dict(self.all)
        if on and len(self.all) < PINS_MAX:
            self.all[site, url] = None
        elif not on:
            self.all.pop((site, url), None)
        if self.all != before:
            try:
                self._write()
            except OSError:
                self.all = before
                raise
        return ((site, url) in self.all) == on

    def _write(self) -> None:
        fresh = self._path.with_suffix(".new")
        try:
            with fresh.open("wb") as file:
                file.write(sealed(json.dumps(list(self.all)).encode(), _SEAL))
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self._path)
        except OSError:
            with suppress(OSError):
                fresh.unlink()
            raise
