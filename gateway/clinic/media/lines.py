"""Commands and events as lines: one JSON object each, named by its kind, read back as the value it was. Pure.

Both ends are this program, and a line is still checked as if it were not: what has no such kind, field or type is a
`ValueError`, so that neither end breaks the other.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from enum import StrEnum
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

from gateway.clinic.media.control import Command, Event

LINE_BYTES_MAX = 262_144  # an offer of 32,768 characters, each written as \\uxxxx

COMMANDS: Mapping[str, type] = {each.__name__: each for each in get_args(Command)}
EVENTS: Mapping[str, type] = {each.__name__: each for each in get_args(Event)}


def write(message: Command | Event) -> bytes:
    """Return the line that says it.

    >>> from gateway.clinic.media.control import Close
    >>> write(Close(7))
    b'["Close", {"leg": 7}]\\n'
    """
    return json.dumps([type(message).__name__, _plain(message)]).encode() + b"\n"


def read(line: bytes, kinds: Mapping[str, type]) -> Any:
    """Return the message of one of `kinds` that a line says.

    Raises: ValueError.
    """
    try:
        kind, said = json.loads(line)
        return _made(kinds[kind], said)
    except (AttributeError, KeyError, TypeError, RecursionError) as exc:
        raise ValueError from exc


class Lines:
    """Bytes as they come, cut into lines; a line too long is a `ValueError`."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Return the lines that are whole now.

        Raises: ValueError.
        """
        *whole, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > LINE_BYTES_MAX:
            raise ValueError
        return iter(whole)


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
    return [_plain(each) for each in value] if isinstance(value, tuple) else value


def _made(wanted: Any, value: Any) -> Any:
    """Return `value` as the type it is to be.

    Raises: TypeError, ValueError, KeyError.
    """
    origin = get_origin(wanted)
    if origin is UnionType:
        return None if value is None else _made(next(each for each in get_args(wanted) if each is not NoneType), value)
    if origin is tuple:
        return _tuple(get_args(wanted), value)
    if is_dataclass(wanted):
        known = _HINTS.get(wanted) or _HINTS.setdefault(wanted, get_type_hints(wanted))
        return wanted(**{name: _made(known[name], each) for name, each in value.items()})  # type: ignore[operator]
    if issubclass(wanted, StrEnum):
        return wanted(value)
    if wanted is float and type(value) is int:
        return float(value)
    if type(value) is not wanted:
        raise TypeError
    return value


def _tuple(each: tuple[Any, ...], values: Any) -> tuple[Any, ...]:
    if type(values) is not list:
        raise TypeError
    if each[-1] is Ellipsis:
        return tuple(_made(each[0], value) for value in values)
    return tuple(_made(one, value) for one, value in zip(each, values, strict=True))


_HINTS: dict[Any, dict[str, Any]] = {}
