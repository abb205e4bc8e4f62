"""How each record stands is known in memory, from the last whole row of its states; it is written before it is so."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from gateway.clinic.records.rows import RecordRow, StateRow
from gateway.clinic.records.states import Handover, Stage
from gateway.clinic.records.tables import RecordTables
from gateway.clock import clock_state
from gateway.durable.seal import is_whole


@dataclass(frozen=True, slots=True)
class Standing:
    """How a record stands."""

    number: int
    id: str
    began_wall_s: float
    stage: Stage
    handover: Handover = Handover.NONE
    ticket: int = 0
    day: str = ""
    due_wall_s: float | None = None
    urgency: str = ""
    tries: int = 0
    next_wall_s: float = 0.0
    queued_wall_s: float = 0.0
    sent_key: int = 0
    wall_s: float = 0.0
    sequence: int = 0


class Standings:
    """How all records stand; owned by the thread of the file."""

    def __init__(self, tables: RecordTables) -> None:
        self._tables = tables
        self._found: dict[str, Standing] = {}
        self.damaged: set[object] = set()  # what was found that is not what was written
        self.highest = 0  # number of a record
        self._before: dict[str, Standing | None] = {}  # as they stood at the mark
        self._highest_before = 0

    def recover(self) -> None:
        """Know again how they stand."""
        states: dict[int, StateRow] = {}
        for row in self._tables.states():
            if is_whole(row):
                states[row.record_number] = row
            else:
                self.damaged.add(("state", row.record_number, row.sequence))
        self._found = {}
        for record in self._tables.records():
            state = states.get(record.number)
            if not is_whole(record) or state is None:
                self.damaged.add(("record", record.number))
                continue
            self._found[record.id] = _standing(record, state)
        self.highest = self._tables.highest("records")

    def mark(self) -> None:
        """Let `undo` come back to here."""
        self._before.clear()
        self._highest_before = self.highest

    def undo(self) -> None:
        """Forget what was known since the mark."""
        for record, standing in self._before.items():
            if standing is None:
                self._found.pop(record, None)
            else:
                self._found[record] = standing
        self._before.clear()
        self.highest = self._highest_before

    def get(self, record: str) -> Standing | None:
        """Return how a record stands."""
        return self._found.get(record)

    def all(self) -> Iterator[Standing]:
        """Yield how each record stands."""
        return iter(self._found.values())

    def __len__(self) -> int:
        return len(self._found)

    def begin(self, standing: Standing) -> Standing:
        """Write that a record began; its first state twice, so that no damaged row takes the record away."""
        self._tables.put_sealed("records", (standing.number, standing.id, standing.began_wall_s))
        self.highest = standing.number
        self.put(standing, standing.wall_s)
        return self.put(self._found[standing.id], standing.wall_s)

    def put(self, standing: Standing, wall_s: float) -> Standing:
        """Write how a record stands from now on."""
        new = replace(standing, sequence=standing.sequence + 1, wall_s=wall_s)
        self._tables.put_sealed(
            "states",
            (
                new.number,
                new.sequence,
                new.stage.value,
                new.handover.value,
                new.ticket,
                new.day,
                new.due_wall_s,
                new.urgency,
                new.tries,
                new.next_wall_s,
                new.queued_wall_s,
                new.sent_key,
                new.wall_s,
            ),
        )
        self._tables.trim_states(new.number, new.sequence)
        self._before.setdefault(new.id, self._found.get(new.id))
        self._found[new.id] = new
        return new

    def remove(self, standing: Standing) -> None:
        """Delete all of a record."""
        self._tables.remove_record(standing.number)
        self._before.setdefault(standing.id, standing)
        self._found.pop(standing.id, None)

    def next_ticket(self, day: str) -> int:
        """Return the next ticket of a day."""
        return 1 + max((each.ticket for each in self._found.values() if each.day == day), default=0)


def is_credible(stamp_wall_s: float, wall_s: float) -> bool:
    """Say whether an age can be counted from this stamp."""
    return clock_state(stamp_wall_s) == "trusted" and stamp_wall_s <= wall_s


def _standing(record: RecordRow, row: StateRow) -> Standing:
    return Standing(
        number=record.number,
        id=record.id,
        began_wall_s=record.began_wall_s,
        stage=Stage(row.stage),
        handover=Handover(row.handover),
        ticket=row.ticket,
        day=row.day,
        due_wall_s=row.due_wall_s,
        urgency=row.urgency,
        tries=row.tries,
        next_wall_s=row.next_wall_s,
        queued_wall_s=row.queued_wall_s,
        sent_key=row.sent_key,
        wall_s=row.wall_s,
        sequence=row.sequence,
    )
