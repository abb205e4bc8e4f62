"""Who can be called now: doctors by their hours, and those whose waiting page is open at the door.

A doctor's waiting page is known by a name that tells nobody anything. It asks every ten seconds whether somebody calls;
who has not asked for thirty is not there any more. A call waits ten minutes for its doctor.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from gateway.clock import Clock, clock_state
from gateway.hours import Hours, Local, left_s

ASKS_S = 10
SEEN_S = 30.0
CALL_S = 600.0
DESK = "turno:"  # what a waiting page's link opens begins so; a record's begins with a digit of its id


@dataclass(frozen=True, slots=True)
class Doctor:
    """A doctor whom this clinic may call."""

    name: str
    speciality: str = ""
    hours: tuple[Hours, ...] = ()
    phone: str = ""

    @property
    def desk(self) -> str:
        """What the link of this doctor's waiting page opens."""
        return DESK + hashlib.sha256(self.name.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Reachable:
    """A doctor as the nurse sees them now."""

    doctor: Doctor
    is_at_door: bool
    left_s: int  # of the hours that are open now; 0 when none are


class Doctors:
    """The clinic's doctors."""

    def __init__(self, doctors: Sequence[Doctor], clock: Clock) -> None:
        self._by_desk = {each.desk: each for each in doctors}
        self._clock = clock
        self._seen_s: dict[str, float] = {}  # by desk; at most one each
        self._calls: dict[str, tuple[str, float]] = {}  # by desk: the record, and since when

    def all(self) -> list[Reachable]:
        """Return everyone, whoever waits at the door first."""
        wall_s, now_s = self._clock.wall_s(), self._clock.now_s()
        here = _local(wall_s) if clock_state(wall_s) == "trusted" else None
        found = [
            Reachable(each, self._is_at_door(desk, now_s), left_s(each.hours, here) if here else 0)
            for desk, each in self._by_desk.items()
        ]
        return sorted(found, key=lambda each: (not each.is_at_door, not each.left_s))

    def of_desk(self, desk: str) -> Doctor | None:
        """Return whose waiting page this is."""
        return self._by_desk.get(desk)

    def named(self, name: str) -> Doctor | None:
        """Return the doctor of this name."""
        return next((each for each in self._by_desk.values() if each.name == name), None)

    def see(self, desk: str) -> None:
        """Take note that a waiting page is open."""
        self._seen_s[desk] = self._clock.now_s()

    def call(self, doctor: Doctor, record: str) -> None:
        """Let a doctor's waiting page open a record's consultation."""
        self._calls[doctor.desk] = (record, self._clock.now_s())

    def end_calls(self, record: str) -> None:
        """Let no waiting page open a record's consultation any more."""
        self._calls = {desk: call for desk, call in self._calls.items() if call[0] != record}

    def called(self, desk: str) -> str | None:
        """Return the record whose consultation waits for this doctor."""
        record, since_s = self._calls.get(desk, ("", float("-inf")))
        return record if self._clock.now_s() - since_s < CALL_S else None

    def _is_at_door(self, desk: str, now_s: float) -> bool:
        return now_s - self._seen_s.get(desk, float("-inf")) <= SEEN_S


def _local(wall_s: float) -> Local:
    here = datetime.fromtimestamp(wall_s, UTC).astimezone()
    return Local(here.toordinal(), here.hour * 3_600 + here.minute * 60 + here.second)
