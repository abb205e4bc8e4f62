"""One directory holds all state of a box, is readable by it alone, and is used by one copy of it at a time.

The box's key is made once, from the system's randomness; every purpose gets a key of its own derived from it, so that
a link's signature can never pass for a form's token.

Source: RFC 5869 (HKDF).
"""

import fcntl
import os
import secrets
from pathlib import Path
from typing import Self

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from gateway.errors import N_, CannotStart

KEY_BYTES = 32
INVITATION_KEY = "clinic invitation"  # signs consultations' links
CLINIC_RECORDS_KEY = "clinic records"  # locks what is written of patients
CLINIC_LOCK_KEY = "clinic lock"  # checks the PINs of devices that were left alone
ORDERS_KEY = "market orders"  # locks what people told us with their orders
PHOTOS_KEY = "market photos"  # locks the photos of orders
RECEIPTS_KEY = "market receipts"  # the seed of the key that signs receipts
FORMS_KEY = "portal forms"  # signs the tokens of forms


class DataFolder:
    """The directory, and the lock on it while the box runs (a context manager)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: int | None = None

    def make(self) -> Self:
        """Make the directory, mode 0700, where it is not there.

        Raises: CannotStart.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.path.chmod(0o700)
        except OSError as exc:
            raise CannotStart(
                N_("The data directory cannot be used: %(path)s (%(reason)s)."),
                N_("Give the box a directory that it may write to, in [box] data."),
                path=self.path,
                reason=exc.strerror,
            ) from exc
        return self

    def __enter__(self) -> Self:
        self.take()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def take(self) -> None:
        """Take the directory for this copy of the box.

        Raises: CannotStart when another copy has it.
        """
        self.make()
        lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            os.close(lock)
            raise CannotStart(
                N_("Another copy of the box runs on this data directory: %(path)s."),
                N_("Stop that one first, or give this one its own [box] data."),
                path=self.path,
            ) from exc
        self._lock = lock  # the kernel lets go of it when the process ends, however it ends

    def release(self) -> None:
        """Let go of the directory."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def key_for(self, purpose: str) -> bytes:
        """Return the key of this box for one purpose, 32 bytes, the same each time."""
        return HKDF(SHA256(), KEY_BYTES, salt=None, info=purpose.encode()).derive(self._key())

    def _key(self) -> bytes:
        path = self.path / "key"
        try:
            return path.read_bytes()
        except FileNotFoundError:
            self._make_key(path)
            return path.read_bytes()

    def _make_key(self, path: Path) -> None:
        fresh = path.with_suffix(f".{os.getpid()}")
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(fresh, path)  # whoever is first decides; a command and the box may start together
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
