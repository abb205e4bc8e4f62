"""Files that no row names take no room for long.

A power cut may leave a body that was adopted and never indexed, and an index set aside leaves all of its bodies. They
are looked for a few at a time, so that nothing waits for it.
"""

import os
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from gateway.web.store.rows import FILE

FILES_AT_ONCE = 64


class Sweep:
    """One walk through the files of the store."""

    def __init__(self, index: Path, aside: Path, *, is_known: Callable[[str], bool]) -> None:
        self._is_known = is_known
        self._index = index
        self._files = _files(aside, index)

    def step(self) -> bool:
        """Look at some more files; says whether there are more."""
        found = list(islice(self._files, FILES_AT_ONCE))
        for root, name in found:
            if root != self._index or not self._is_known(name):
                _remove(root, name)
        return bool(found)


def _files(*roots: Path) -> Iterator[tuple[Path, str]]:
    for root in roots:
        for place, _, names in os.walk(root):
            for name in names:
                path = (Path(place) / name).relative_to(root).as_posix()
                if FILE.fullmatch(path):
                    yield root, path


def _remove(root: Path, name: str) -> None:
    path = root / name
    try:
        path.unlink()
        while (path := path.parent) != root:
            path.rmdir()
    except OSError:
        return  # gone already, or a folder with more in it
