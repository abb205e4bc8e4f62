"""Changes are gathered, and what is gathered is read as if it were written. Pure.

A memory card wears with every write, and a page is a score of small answers: what a visit changes is one transaction a
few seconds later. Rows are named `shelf KEY`, `body KEY DIGEST` and `body KEY DIGEST NAME` (a rendition of that body);
KEY stands for a URL, whose rows come and go together.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from gateway.web.rules.stored import Shelf

ANSWER_BYTES = 1_024  # what an answer on a shelf costs beside its fields: objects, times, a part (2026-11)
PART_BYTES = 300  # what a further part costs


@dataclass(frozen=True, slots=True)
class Filed:
    """A row's content in a file of the store."""

    name: str
    size_bytes: int


Row = bytes | Filed
Rows = dict[str, Row | None]  # None: it goes, with its renditions


@dataclass(slots=True)
class Change:
    """What is to become of a URL's rows."""

    emptied: bool = False  # what was written of it before goes
    shelf: Shelf | None = None  # None: as it was
    bonus_s: float | None = None  # None: as it was
    rows: Rows = field(default_factory=dict)
    more: int = 0  # answers, by it
    takes: bool = False  # what was written of it may not be served as it was

    @property
    def size_bytes(self) -> int:
        """Return what it takes in memory."""
        return cost_bytes(self.shelf or ()) + sum(len(row) for row in self.rows.values() if isinstance(row, bytes))

    @property
    def filed_bytes(self) -> int:
        """Return what it takes in files."""
        return sum(row.size_bytes for row in self.rows.values() if isinstance(row, Filed))

    @property
    def overdue(self) -> bool:
        """Whether it takes away something that is written: after a power cut that would be back."""
        return self.takes and (not self.shelf or len(self.shelf) > self.more)

    def taking(self, *, shelf_too: bool) -> "Change":
        """Return what of it takes away, without bodies: the shelf as it is doubted, or nothing of the URL."""
        bodied = self.emptied or any(row is not None for row in self.rows.values())
        if self.shelf and shelf_too and not bodied:
            return self
        return Change(emptied=True, shelf=(), more=self.more - len(self.shelf or ()), takes=True)


def key_of(name: str) -> str:
    """Return the KEY in a row's name."""
    return name.split(" ", 2)[1]


def cost_bytes(shelf: Shelf) -> int:
    """Return roughly what a shelf takes in memory."""
    fields = sum(len(name) + len(value) for each in shelf for name, value in each.fields)
    parts = sum(len(each.parts) for each in shelf)
    return fields + ANSWER_BYTES * len(shelf) + PART_BYTES * parts


class Batch:
    """Changes by KEY, the last word on each row."""

    def __init__(self) -> None:
        self.changes: dict[str, Change] = {}
        self.used: set[str] = set()
        self.orphans: list[Filed] = []  # files that no row will name
        self.size_bytes = 0  # held in memory by it
        self.filed_bytes = 0  # in files, that the index does not know of yet
        self.more_answers = 0  # by it

    def __bool__(self) -> bool:
        return bool(self.changes or self.used)

    def shelf(self, key: str) -> Shelf | None:
        """Return a shelf as it is to be; None: as it was."""
        change = self.changes.get(key)
        return None if change is None else change.shelf

    def knows(self, name: str) -> bool:
        """Say whether a body's row has changed, or is gone."""
        change = self.changes.get(key_of(name))
        if change is None:
            return False
        return change.emptied or name in change.rows or change.rows.get(_body(name), b"") is None

    def row(self, name: str) -> Row | None:
        """Return a row that is to be written."""
        change = self.changes.get(key_of(name))
        return None if change is None else change.rows.get(name)

    def put_shelf(self, key: str, shelf: Shelf, bonus_s: float | None = None, *, more: int = 0) -> None:
        """Have a shelf so, with so many answers more than before."""
        change = self._change(key)
        self.size_bytes += cost_bytes(shelf) - cost_bytes(change.shelf or ())
        change.shelf = shelf
        change.takes = change.takes or any(each.invalid for each in shelf)
        change.more += more
        self.more_answers += more
        change.bonus_s = change.bonus_s if bonus_s is None else bonus_s

    def put_row(self, name: str, row: Row) -> None:
        """Have a body, or a rendition of one."""
        rows = self._change(key_of(name)).rows
        self._forgo(rows.get(name))
        rows[name] = row
        self._count(row, 1)

    def drop_row(self, name: str) -> None:
        """Have no such body, and no rendition of it."""
        rows = self._change(key_of(name)).rows
        for each in [each for each in rows if each == name or each.startswith(f"{name} ")]:
            self._forgo(rows.pop(each))
        rows[name] = None

    def empty(self, key: str) -> None:
        """Have nothing of a URL that was written before."""
        self._change(key).emptied = True

    def drop(self, key: str, *, more: int = 0) -> None:
        """Have nothing of a URL."""
        change = self._change(key)
        for row in change.rows.values():
            self._forgo(row)
        self.size_bytes -= cost_bytes(change.shelf or ())
        self.changes[key] = Change(emptied=True, shelf=(), more=change.more + more, takes=True)
        self.more_answers += more

    def split(self, keys: Iterable[str]) -> "Batch":
        """Move what becomes of some URLs into a batch of its own, and the files that go."""
        apart = Batch()
        apart.orphans, self.orphans = self.orphans, []
        for key in keys:
            change = self.changes.pop(key)
            self._add(change, -1)
            apart.put(key, change)
        return apart

    def put(self, key: str, change: Change) -> None:
        """Have a change of a URL that has none."""
        self.changes[key] = change
        self._add(change, 1)

    def taking(self, bytes_max: int) -> "Batch":
        """Return what of it takes away, without bodies and uses, in so many bytes; then it is less that stays."""
        left = Batch()
        for key, change in self.changes.items():
            if change.takes:
                left.put(key, change.taking(shelf_too=left.size_bytes < bytes_max))
        return left

    def _add(self, change: Change, sign: int) -> None:
        self.size_bytes += sign * change.size_bytes
        self.filed_bytes += sign * change.filed_bytes
        self.more_answers += sign * change.more

    def _change(self, key: str) -> Change:
        return self.changes.setdefault(key, Change())

    def _forgo(self, row: Row | None) -> None:
        self._count(row, -1)
        if isinstance(row, Filed):
            self.orphans.append(row)

    def _count(self, row: Row | None, sign: int) -> None:
        if isinstance(row, Filed):
            self.filed_bytes += sign * row.size_bytes
        elif row is not None:
            self.size_bytes += sign * len(row)


def _body(name: str) -> str:
    """Return the name of the body that a rendition is of.

    >>> _body("body KEY DIGEST br"), _body("body KEY DIGEST")
    ('body KEY DIGEST', 'body KEY DIGEST')
    """
    return " ".join(name.split(" ", 3)[:3])
