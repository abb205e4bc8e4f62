"""How much of the disk the journal has, and how much is left beside it."""

import shutil
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Disk:
    """Room on the disk of a journal's folder."""

    used_bytes: int  # by the journal, its log, and what was put aside
    free_bytes: int


def disk_of(folder: Path, journal: str) -> Disk:
    """Return the room on the disk; `journal` is the name of the file.

    Raises: OSError.
    """
    name = Path(journal)
    used = sum(each.stat().st_size for each in folder.glob(f"{name.stem}*{name.suffix}*"))
    return Disk(used, shutil.disk_usage(folder).free)
