"""Every reading and writing of a record leaves a line, each covered by a hash with the one before it.

Only the box's key makes the hash: a line that was changed, left out or put in shows. Readings of one record by the same
person within a minute are one line. Where a line cannot be written now it waits in memory and goes with the next
commit; when too many wait, nothing is read any more. Nothing clinical stands here.
"""

from dataclasses import dataclass

from gateway.clinic.records.entries import Writer
from gateway.clinic.records.rows import AuditRow, audit_hash
from gateway.clinic.records.tables import RecordTables
from gateway.clinic.records.views import Access, Actor
from gateway.errors import N_, NoCapacity

MERGED_S = 60.0
WAITING_MAX = 10_000
LINES_MAX = 500_000  # then the oldest go
_NAME_CHARS_MAX = 120
_END = "trail"  # the note that holds the last line's number and hash
_FIRST = bytes(32)


@dataclass(frozen=True, slots=True)
class Line:
    """What goes into the trail."""

    record: str
    wall_s: float
    by: Actor
    what: str


class Waiting:
    """Lines about readings that are not written yet; outlives the file's being opened again."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self._seen: dict[tuple[str, Actor, str], float] = {}

    def add(self, line: Line, now_s: float) -> None:
        """Let a reading be written with the next commit.

        Raises: NoCapacity.
        """
        key = (line.record, line.by, line.what)
        if now_s - self._seen.get(key, -MERGED_S) < MERGED_S:
            return
        if len(self.lines) >= WAITING_MAX:
            raise NoCapacity(
                N_("The box cannot record who reads now: its storage is full or fails."),
                N_("Tell the technician. What is kept is safe."),
            )
        if len(self._seen) >= WAITING_MAX:
            self._seen.clear()
        self._seen[key] = now_s
        self.lines.append(line)


class Trail:
    """The lines on disk; owned by the thread of the file."""

    def __init__(self, tables: RecordTables, key: bytes, boot: str) -> None:
        self._tables = tables
        self._key = key
        self._boot = boot
        self._number = 0
        self._hash = _FIRST
        self._marked = (0, _FIRST)

    def mark(self) -> None:
        """Let `undo` come back to here."""
        self._marked = (self._number, self._hash)

    def undo(self) -> None:
        """Forget the lines since the mark."""
        self._number, self._hash = self._marked

    def recover(self) -> None:
        """Know again where it ends."""
        last = next(iter(self._tables.audit(None, 1)), None)
        self._number, self._hash = (last.number, bytes(last.hash)) if last is not None else (0, _FIRST)

    def write(self, line: Line) -> None:
        """Add a line."""
        name = line.by.name[:_NAME_CHARS_MAX]
        values = (self._number + 1, line.record, line.wall_s, self._boot, line.by.writer.value, name, line.what)
        row = AuditRow(*values, self._hash, b"")
        row = row._replace(hash=audit_hash(self._key, row))
        self._tables.put("audit", row)
        self._number, self._hash = row.number, row.hash
        self._tables.write_note(_END, f"{row.number} {row.hash.hex()}")

    def write_all(self, lines: list[Line]) -> None:
        """Add lines."""
        for line in lines:
            self.write(line)

    def read(self, record: str | None, limit: int) -> list[Access]:
        """Return the newest lines, newest first, each checked with its place in the chain."""
        return [self._access(row) for row in self._tables.audit(record, limit)]

    def is_whole(self) -> bool:
        """Say whether no line is missing at the end."""
        return self._tables.note(_END) in {"", f"{self._number} {self._hash.hex()}"}

    def trim(self, at_once: int) -> int:
        """Delete the oldest lines where there are too many; return how many."""
        return self._tables.trim_audit(self._number - LINES_MAX + 1, at_once)

    def _access(self, row: AuditRow) -> Access:
        try:
            is_sound = row.hash == audit_hash(self._key, row) and self._follows(row)
            writer = Writer(row.writer)
        except (ValueError, TypeError):
            is_sound, writer = False, None
        if not is_sound:
            return Access(row.number, 0.0, "", None, "", "", is_sound=False)
        return Access(row.number, row.wall_s, row.record, writer, row.name, row.what)

    def _follows(self, row: AuditRow) -> bool:
        """Say whether a line follows the one that is before it; the oldest follows what was deleted."""
        before = self._tables.connection.execute(
            "SELECT number, hash FROM audit WHERE number<? ORDER BY number DESC LIMIT 1", (row.number,)
        ).fetchone()
        if before is None:
            return row.number > 1 or row.previous == _FIRST
        return bool(before[0] == row.number - 1 and before[1] == row.previous)
