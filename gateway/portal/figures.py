"""A room's statistics become figures: names and numbers, in the units that Prometheus asks for. Pure.

A room keeps its own frozen record; nobody writes its figures down twice. A number only grows unless its name is among
those that may fall. Nothing of a person is ever in a record, so nothing is in a figure.

Source: https://prometheus.io/docs/practices/naming/.
"""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

# what may fall: how things are now; all else counts since the start
_NOW_OF_ROOMS = """
answered asked calls connections consultations damaged disk_is_full ended_s failures_in_a_row fetches_open
files_waiting is_taking legs memory_bytes missing needs_person open tunnels_open kept_waiting
kept_arrived kept_personal kept_given_up people put_aside running sockets stored_bytes stored_objects under_way waiting
"""
NOW = frozenset(_NOW_OF_ROOMS.split())
_UNITS = (("_bytes", "_bytes", 1.0), ("_bps", "_bytes_per_second", 1 / 8), ("_ratio", "_ratio", 1.0))


@dataclass(frozen=True, slots=True)
class Figure:
    """One number: its name without `_total`, whether it only grows, and its value in base units."""

    name: str
    grows: bool
    value: float


def figures(room: str, record: object | None) -> Iterator[Figure]:
    """Yield the figures of a room's record, those of records within it too.

    >>> @dataclass(frozen=True)
    ... class Statistics:
    ...     recorded: int = 3
    ...     waiting: int = 2
    >>> [(each.name, each.grows, each.value) for each in figures("market", Statistics())]
    [('tambo_market_recorded', True, 3.0), ('tambo_market_waiting', False, 2.0)]
    """
    if record is None or isinstance(record, type) or not dataclasses.is_dataclass(record):
        return
    for field in dataclasses.fields(record):
        value = getattr(record, field.name)
        if isinstance(value, bool | int | float) and not isinstance(value, Enum):
            name, factor = _base_unit(field.name)
            yield Figure(f"tambo_{room}_{name}", field.name not in NOW and not name.endswith("_ratio"), value * factor)
        else:
            yield from figures(f"{room}_{field.name}", value)


def plain(value: object) -> object:
    """Return a record as what JSON can write.

    >>> plain((1, None, {"a": 2.0}))
    [1, None, {'a': 2.0}]
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(each) for each in value]
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)


def _base_unit(name: str) -> tuple[str, float]:
    if name.startswith("bytes_"):
        name = f"{name.removeprefix('bytes_')}_bytes"
    if name.endswith("_s"):
        return f"{name.removesuffix('_s')}_seconds", 1.0
    for ending, unit, factor in _UNITS:
        if name.endswith(ending):
            return name.removesuffix(ending) + unit, factor
    return name, 1.0
