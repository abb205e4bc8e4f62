"""A nurse's PIN opens the clinic's pages again on a device that was left alone; it signs nobody in.

Of a PIN only its argon2id hash is kept. Tries are counted before they are looked at, on disk, so that a power cut gives
no new ones.
"""

import re

from gateway.errors import N_, BadRequest
from gateway.portal.credentials import fingerprint
from gateway.portal.database import Database

TRIES_MAX = 5
_PIN = re.compile(r"[0-9]{4,8}")
_KEEP = "INSERT INTO pin VALUES (?, ?, 0) ON CONFLICT (name) DO UPDATE SET hash = excluded.hash, tries = 0"


def check_pin(pin: str) -> str:
    """Return a PIN when it may be one.

    Raises: BadRequest.
    """
    if not _PIN.fullmatch(pin) or len(set(pin)) == 1:
        raise BadRequest(N_("A PIN has 4 to 8 digits, not all of them the same."), N_("Choose another one."))
    return pin


class Pins:
    """The PINs of the accounts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def keep(self, name: str, stored: str) -> None:
        """Keep the hash of an account's PIN in place of the former one."""
        with self._database.writing() as connection:
            connection.execute(_KEEP, (name, stored))

    def find(self, name: str) -> str | None:
        """Return what is stored of an account's PIN."""
        with self._database.reading() as connection:
            row = connection.execute("SELECT hash FROM pin WHERE name = ?", (name,)).fetchone()
        return str(row[0]) if row else None

    def count_try(self, name: str) -> int:
        """Count one more try, and return how many there were since the last right one."""
        with self._database.writing() as connection:
            connection.execute("UPDATE pin SET tries = tries + 1 WHERE name = ?", (name,))
            row = connection.execute("SELECT tries FROM pin WHERE name = ?", (name,)).fetchone()
        return int(row[0]) if row else TRIES_MAX + 1

    def forgive(self, name: str) -> None:
        """Begin to count anew."""
        with self._database.writing() as connection:
            connection.execute("UPDATE pin SET tries = 0 WHERE name = ?", (name,))

    def signed_in_wall_s(self, session: str) -> float:
        """Return when a session began; long ago where it is not known."""
        with self._database.reading() as connection:
            row = connection.execute("SELECT made_s FROM session WHERE hash = ?", (fingerprint(session),)).fetchone()
        return float(row[0]) if row else float("-inf")
