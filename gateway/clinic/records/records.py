"""A record's entries are on disk before anybody is told they are kept; asked for from the event loop, done by one thread."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from gateway.clinic.records.states import Stage
from gateway.clinic.records.views import (
    Access,
    Actor,
    Entry,
    HandoverItem,
    NewEntry,
    Outcome,
    RecordLimits,
    RecordStatistics,
    RecordView,
)
from gateway.clock import Clock


class Records:
    """The records on disk."""

    def __init__(
        self, *, folder: Path, key: bytes, clock: Clock, boot: str, limits: RecordLimits, recipient: str = ""
    ) -> None:
        raise NotImplementedError

    async def start(self) -> None:
        """Open the file, and know again what is there. Raises: CannotStart."""
        raise NotImplementedError

    async def run(self) -> None:
        """Let go of what was kept long enough, in small steps."""
        raise NotImplementedError

    async def stop(self) -> None:
        """Finish what was asked, and close the file."""
        raise NotImplementedError

    async def begin(
        self,
        record: str,
        stage: Stage,
        *,
        by: Actor,
        due_wall_s: float | None = None,
        doctor: str = "",
        entries: Sequence[NewEntry] = (),
    ) -> RecordView:
        """Return a record that is on disk."""
        raise NotImplementedError

    async def move(self, record: str, stage: Stage, *, by: Actor) -> RecordView:
        """Return a record in another stage. Raises: Conflict, NotFound."""
        raise NotImplementedError

    async def keep(self, record: str, entry: NewEntry, *, by: Actor) -> Entry:
        """Return an entry that is on disk."""
        raise NotImplementedError

    async def entries(self, record: str, after: int = 0, *, by: Actor) -> list[Entry]:
        """Return what a record holds."""
        raise NotImplementedError

    async def view(self, record: str, *, by: Actor) -> RecordView | None:
        """Return how a record stands."""
        raise NotImplementedError

    async def views(self, stages: frozenset[Stage] | None = None, *, limit: int = 50, by: Actor) -> list[RecordView]:
        """Return how records stand."""
        raise NotImplementedError

    async def blob_offset(self, record: str, sha256: str) -> int:
        """Return how many bytes of a file are here."""
        raise NotImplementedError

    async def put_blob(
        self, record: str, sha256: str, offset: int, size_bytes: int, pieces: AsyncIterator[bytes], *, by: Actor
    ) -> int:
        """Return how many bytes of a file are on disk."""
        raise NotImplementedError

    async def blob(self, record: str, sha256: str, *, by: Actor) -> bytes | None:
        """Return a file that is here whole."""
        raise NotImplementedError

    async def hand_over(self, record: str, *, by: Actor) -> RecordView:
        """Return a record that waits for the link."""
        raise NotImplementedError

    async def due(self) -> HandoverItem | None:
        """Return what goes next."""
        raise NotImplementedError

    async def settle(self, record: str, outcome: Outcome) -> None:
        """Write what came of it."""
        raise NotImplementedError

    async def audit(self, record: str | None = None, limit: int = 200) -> list[Access]:
        """Return who read and wrote, the newest first."""
        raise NotImplementedError

    def watch(self) -> AsyncIterator[tuple[str, Entry]]:
        """Yield entries as they are kept."""
        raise NotImplementedError

    def statistics(self) -> RecordStatistics:
        """Return counts."""
        raise NotImplementedError
