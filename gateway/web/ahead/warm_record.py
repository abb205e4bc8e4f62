"""What is remembered of warm-up over a restart: the day's data, the window that was served, the last run. Pure.

Without it a box that restarts at night would spend the day's data again. What cannot be read is forgotten: the price is
one run more.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from enum import StrEnum

from gateway.hours import Local
from gateway.web.ahead.warm_plan import Progress

_FORMAT = 1
RECORD_BYTES_MAX = 4_000_000  # of all sites; a site's record is 300 bytes and its pages to pin


class State(StrEnum):
    """How a run stands: the first three are under way."""

    WAITING = "waiting"  # for the run of another site: there is one at a time
    RUNNING = "running"
    HELD = "held"  # the link does not carry
    DONE = "done"
    STOPPED = "stopped"  # somebody said so
    SPENT = "spent"  # the day's data is used up
    CLOSED = "closed"  # its hours are over
    FAILED = "failed"  # by a fault of ours

    @property
    def is_open(self) -> bool:
        """Whether the run is not over."""
        return self in {State.WAITING, State.RUNNING, State.HELD}


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one site, under way or the last; dates are wall time."""

    site: str
    state: State
    progress: Progress
    began_s: float
    ended_s: float | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """What is remembered of a site."""

    day: int = 0  # the local day that the data was spent on
    spent_bytes: int = 0
    served: Local | None = None  # the opening of the window whose run came to its end
    to_pin: tuple[str, ...] = ()  # URLs that are to be pinned once they are stored
    last: Run | None = None

    def spent_on(self, day: int) -> int:
        """Return the data used on a day."""
        return self.spent_bytes if day == self.day else 0


def write_records(records: Mapping[str, Record]) -> bytes:
    """Return records as bytes for the disk."""
    sites = {site: _as_json(record) for site, record in records.items()}
    return json.dumps({"format": _FORMAT, "sites": sites}).encode()


def read_records(data: bytes) -> dict[str, Record]:
    """Return the records in a file; what is not one is left out."""
    try:
        found = json.loads(data)
        sites = found["sites"].items() if found["format"] == _FORMAT else ()
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return {}
    return {site: record for site, each in sites if (record := _from_json(site, each)) is not None}


def _as_json(record: Record) -> dict[str, object]:
    last = record.last
    return {
        "day": record.day,
        "spent_bytes": record.spent_bytes,
        "served": record.served,
        "to_pin": record.to_pin,
        "last": last and [last.state.value, asdict(last.progress), last.began_s, last.ended_s],
    }


def _from_json(site: str, found: object) -> Record | None:
    try:
        if not isinstance(found, dict):
            return None
        served, last = found["served"], found["last"]
        return Record(
            day=int(found["day"]),
            spent_bytes=max(int(found["spent_bytes"]), 0),
            served=Local(int(served[0]), int(served[1])) if served else None,
            to_pin=tuple(str(each) for each in found["to_pin"]),
            last=_run(site, last) if last else None,
        )
    except (ValueError, LookupError, TypeError, OverflowError):
        return None


def _run(site: str, found: list[object]) -> Run:
    state, progress, began_s, ended_s = found
    if not isinstance(progress, dict):
        raise TypeError
    counts = {each.name: int(progress[each.name]) for each in fields(Progress) if each.name != "left_s"}
    ended = None if ended_s is None else float(str(ended_s))
    return Run(site, State(str(state)), Progress(**counts), float(str(began_s)), ended)
