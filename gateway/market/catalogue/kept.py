"""The catalogue lies on disk whole or not at all, sealed by a hash; a damaged one is set aside and fetched anew.

The file is one JSON object that begins with the SHA-256 of all its bytes after that. Its own date says when the
marketplace last confirmed it, so that a renewal without news writes nothing. It belongs to one marketplace: another
one's versions mean something else.
"""

import contextlib
import hashlib
import hmac
import json
import os
from dataclasses import dataclass
from pathlib import Path

import structlog

from gateway.document import canonical
from gateway.market.catalogue.articles import from_own_fields
from gateway.market.catalogue.delta import DELTA_BYTES_MAX, whole, write_delta
from gateway.market.catalogue.model import Catalogue

FORM = 1  # of what is in the file, so that it can change

_HEAD = b'{"sha256":"%s",'
_HEAD_BYTES = len(_HEAD % (b"0" * 64))
_FILE_BYTES_MAX = DELTA_BYTES_MAX + 10_000
_log = structlog.get_logger("market.catalogue")


@dataclass(frozen=True, slots=True)
class Loaded:
    """A catalogue as it was kept, and when the marketplace last confirmed it; 0 where nobody knows."""

    catalogue: Catalogue
    confirmed_wall_s: float


class KeptCatalogue:
    """The catalogue of one marketplace in a folder; all its calls may wait for the disk."""

    def __init__(self, folder: Path, marketplace: str) -> None:
        self._path = folder / "catalogue.json"
        self._marketplace = hashlib.sha256(marketplace.encode()).hexdigest()[:16]  # its address may hold a secret

    @property
    def aside(self) -> Path:
        """Where a damaged one is found, the latest."""
        return self._path.with_name("catalogue.damaged.json")

    def load(self) -> Loaded | None:
        """Return what was kept; None where there is nothing, it is another marketplace's, or it was damaged."""
        try:
            with self._path.open("rb") as file:
                content = file.read(_FILE_BYTES_MAX + 1)
                confirmed_wall_s = os.fstat(file.fileno()).st_mtime
            catalogue = self._read(content)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as exc:
            _log.error("catalogue.damaged", reason=type(exc).__name__)
            self._set_aside()
            return None
        return None if catalogue is None else Loaded(catalogue, max(confirmed_wall_s, 0.0))

    def save(self, catalogue: Catalogue, confirmed_wall_s: float) -> None:
        """Put a catalogue in the place of the one before; a power cut leaves one of the two, whole.

        Raises: OSError, and the one before is still there.
        """
        fresh = self._path.with_suffix(".json.new")
        self._path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with fresh.open("wb") as file:
                file.write(self._written(catalogue))
                file.flush()
                os.utime(file.fileno(), (confirmed_wall_s, confirmed_wall_s))
                os.fsync(file.fileno())
            fresh.replace(self._path)
        except OSError:
            with contextlib.suppress(OSError):
                fresh.unlink(missing_ok=True)
            raise

    def confirm(self, confirmed_wall_s: float) -> None:
        """Note that the marketplace has nothing newer; where that fails, it only looks older than it is."""
        with contextlib.suppress(OSError):
            os.utime(self._path, (confirmed_wall_s, confirmed_wall_s))

    def _written(self, catalogue: Catalogue) -> bytes:
        fields = {"form": FORM, "marketplace": self._marketplace, "catalogue": write_delta(whole(catalogue))}
        rest = canonical(fields)[1:]
        return _HEAD % hashlib.sha256(rest).hexdigest().encode() + rest

    def _read(self, content: bytes) -> Catalogue | None:
        """Return the catalogue in a file; None where it is not for this marketplace or this program.

        Raises: ValueError and its like for a damaged one.
        """
        rest = content[_HEAD_BYTES:]
        head = _HEAD % hashlib.sha256(rest).hexdigest().encode()
        if len(content) > _FILE_BYTES_MAX or not hmac.compare_digest(head, content[:_HEAD_BYTES]):
            raise ValueError("not what was written")
        fields = json.loads(content)  # checked before it was written, and nothing of it has changed
        if fields["form"] != FORM or fields["marketplace"] != self._marketplace:
            return None
        said = fields["catalogue"]
        articles = tuple(from_own_fields(each, said["currency"]) for each in said["articles"])
        return Catalogue(said["version"], said["currency"], articles, said["prices_include_tax"])

    def _set_aside(self) -> None:
        with contextlib.suppress(OSError):
            self._path.replace(self.aside)
