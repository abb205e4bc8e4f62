"""Files that a technician names: a new one is made whole and on disk or it is gone again, none is written over."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from gateway.errors import N_, CannotStart, Conflict

SECRET_BYTES_MAX = 4_096


@contextmanager
def made_new(path: Path) -> Iterator[BinaryIO]:
    """Yield a new file that is on disk when this ends well, and not there any more when it does not.

    Raises: Conflict when there is one of this name, CannotStart.
    """
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError as exc:
        raise Conflict(N_("There is a file of this name already."), N_("It was left as it is. Name another.")) from exc
    except OSError as exc:
        raise _unusable(path, exc) from exc
    try:
        with open(handle, "w+b") as file:
            yield file
            settle(file)
        _sync_name(path)
    except BaseException as exc:
        with suppress(OSError):
            path.unlink(missing_ok=True)
        if isinstance(exc, OSError):
            raise _unusable(path, exc) from exc
        raise


def settle(file: BinaryIO) -> None:
    """Make what was written durable; what is read of it next comes from the disk.

    Raises: OSError.
    """
    file.flush()
    os.fsync(file.fileno())
    with suppress(OSError):
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Yield a file to read.

    Raises: CannotStart.
    """
    try:
        with path.open("rb") as file:
            yield file
    except OSError as exc:
        raise _unusable(path, exc) from exc


def secret_in(path: Path) -> str:
    """Return the line that a small file holds.

    Raises: CannotStart.
    """
    with opened(path) as file:
        return file.read(SECRET_BYTES_MAX).decode("utf-8", "replace").strip()


def write_secret(path: Path, secret: str) -> None:
    """Write a secret into a new file that its owner alone may read.

    Raises: Conflict, CannotStart.
    """
    with made_new(path) as file:
        file.write(f"{secret}\n".encode())


def _sync_name(path: Path) -> None:
    handle = os.open(path.absolute().parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _unusable(path: Path, exc: OSError) -> CannotStart:
    return CannotStart(
        N_("The file cannot be used: %(path)s (%(reason)s)."),
        N_("Check its path, its rights and the room on the disk."),
        path=path,
        reason=exc.strerror,
    )
