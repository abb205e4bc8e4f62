"""Field values are read the same way everywhere, and no value, however broken, makes a reader raise. Pure.

Fields are a tuple of (name, value) in the order they came; a name may stand several times. What cannot be read is None
or left out, and each rule that asks says what that means for it (RFC 9111 §4.2: invalid freshness is stale).

Source: RFC 9110 §5.3 (combining), §5.6 (lists, strings, dates), §8.8.3 (entity tags), RFC 9111 §1.2.2 and §5.2.
"""

import calendar
import re
from collections.abc import Iterable
from dataclasses import dataclass
from email.utils import formatdate

from gateway.clock import clock_state

Fields = tuple[tuple[str, str], ...]

DELTA_S_MAX = 2**31  # RFC 9111 §1.2.2: what is larger counts as this
MEMBERS_MAX = 256  # of one list; no field in use has as many

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_ARGUMENT = re.compile(rf'{_TOKEN.pattern}|"([^"\\]|\\.)*"')
_ETAG = re.compile(r'(W/)?("[\x21\x23-\x7e\x80-\U0010ffff]*")')
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTH = rf"(?P<mon>{'|'.join(_MONTHS)})"
_TIME = r"(?P<h>\d\d):(?P<m>\d\d):(?P<s>\d\d)"
_DATES = (
    re.compile(rf"\w{{3}}, (?P<d>\d\d) {_MONTH} (?P<y>\d{{4}}) {_TIME} GMT", re.ASCII),
    re.compile(rf"\w{{6,9}}, (?P<d>\d\d)-{_MONTH}-(?P<y>\d\d) {_TIME} GMT", re.ASCII),
    re.compile(rf"\w{{3}} {_MONTH} (?P<d>[ \d]\d) {_TIME} (?P<y>\d{{4}})", re.ASCII),
)


@dataclass(frozen=True, slots=True)
class Etag:
    """An entity tag (RFC 9110 §8.8.3); `opaque` includes its quotes."""

    opaque: str
    weak: bool


def from_wire(raw: Iterable[tuple[bytes, bytes]]) -> Fields:
    """Return fields as text that can be sent on: bytes that are not UTF-8 are taken as Latin-1, controls as spaces.

    RFC 9110 §5.5: obs-text has no meaning of its own, and CR, LF and NUL become spaces.
    """
    return tuple((_text(name), _CONTROL.sub(" ", _text(value)).strip()) for name, value in raw)


def _text(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def values(fields: Fields, name: str) -> list[str]:
    """Return every value of a field, in order."""
    wanted = name.lower()
    return [value for each, value in fields if each.lower() == wanted]


def first(fields: Fields, name: str) -> str | None:
    """Return the first value of a field."""
    return next(iter(values(fields, name)), None)


def combined(fields: Fields, name: str) -> str | None:
    """Return all values of a field as one (RFC 9110 §5.3)."""
    found = values(fields, name)
    return ", ".join(found) if found else None


def without(fields: Fields, names: Iterable[str]) -> Fields:
    """Return the fields less those named, in any letter case."""
    gone = {name.lower() for name in names}
    return tuple(each for each in fields if each[0].lower() not in gone)


def members(value: str | None) -> list[str]:
    """Return the members of a comma-separated list; a comma in a quoted string parts nothing (RFC 9110 §5.6.1).

    >>> members('a, "b, c" ,, d=1')
    ['a', '"b, c"', 'd=1']
    """
    return [part for each in _parts(value or "", ",") if (part := each.strip(" \t"))][:MEMBERS_MAX]


def is_too_long(value: str | None) -> bool:
    """Say whether a list has more members than are read."""
    return value is not None and value.count(",") >= MEMBERS_MAX and len(_parts(value, ",")) > MEMBERS_MAX


def _parts(text: str, separator: str) -> list[str]:
    if '"' not in text:
        return text.split(separator)
    parts: list[str] = []
    begun, quoted, escaped = 0, False, False
    for at, char in enumerate(text):
        if escaped:
            escaped = False
        elif char == "\\":
            escaped = quoted
        elif char == '"':
            quoted = not quoted
        elif char == separator and not quoted:
            parts.append(text[begun:at])
            begun = at + 1
    return [*parts, text[begun:]]


def directives(fields: Fields, name: str = "cache-control") -> dict[str, str | None]:
    """Return the directives of a field with their arguments, unquoted; of a double, the first (RFC 9111 §4.2.1).

    >>> directives((("Cache-Control", 'Max-Age="10", private'), ("cache-control", "max-age=0")))
    {'max-age': '10', 'private': None}
    """
    found: dict[str, str | None] = {}
    for member in members(combined(fields, name)):
        key, equals, argument = member.partition("=")
        if _TOKEN.fullmatch(key):
            found.setdefault(key.lower(), _unquoted(argument) if equals else None)
    return found


def directive(member: str) -> tuple[str, str | None] | None:
    """Return the name of one directive and its argument, unquoted; None for what is not written as one (§5.2).

    >>> directive('private="X-A"'), directive("private; max-age=1"), directive('a="b')
    (('private', 'X-A'), None, None)
    """
    key, equals, argument = member.partition("=")
    if not _TOKEN.fullmatch(key) or (equals and not _ARGUMENT.fullmatch(argument)):
        return None
    return key.lower(), _unquoted(argument) if equals else None


def _unquoted(text: str) -> str:
    if len(text) >= 2 and text[0] == text[-1] == '"':
        return re.sub(r"\\(.)", r"\1", text[1:-1])
    return text


def delta_seconds(text: str | None) -> int | None:
    """Return whole seconds, or None for anything else (RFC 9111 §1.2.2).

    >>> delta_seconds("10"), delta_seconds("99999999999999"), delta_seconds("-1"), delta_seconds("1.5")
    (10, 2147483648, None, None)
    """
    if text is None or not text.isascii() or not text.isdigit():
        return None
    return min(int(text), DELTA_S_MAX) if len(text) <= 10 else DELTA_S_MAX


def http_date(text: str | None) -> float | None:
    """Return seconds since 1970, or None for what is none of the three forms of a date (RFC 9110 §5.6.7).

    >>> http_date("Sun, 06 Nov 1994 08:49:37 GMT") == http_date("Sunday, 06-Nov-94 08:49:37 GMT") == 784111777.0
    True
    """
    for form in _DATES:
        if found := form.fullmatch(text or ""):
            day, year = int(found["d"]), int(found["y"])
            hour, minute, second = int(found["h"]), int(found["m"]), int(found["s"])
            if len(found["y"]) == 2:
                year += 2000 if year < 70 else 1900  # §5.6.7: no date is more than 50 years ahead, until 2070 − 50
            if not (hour < 24 and minute < 60 and second <= 60 and year >= 1970):
                return None
            month = _MONTHS.index(found["mon"]) + 1
            if not 1 <= day <= calendar.monthrange(year, month)[1]:
                return None
            return float(calendar.timegm((year, month, day, hour, minute, second)))
    return None


def dated(fields: Fields, wall_s: float) -> Fields:
    """Return an answer's fields with the date it came on, where it had none (RFC 9110 §6.6.1)."""
    if first(fields, "date") is not None or clock_state(wall_s) != "trusted":
        return fields
    return (*fields, ("Date", formatdate(wall_s, usegmt=True)))


def etag_of(fields: Fields) -> Etag | None:
    """Return the entity tag of a message."""
    found = _ETAG.fullmatch(first(fields, "etag") or "")
    return Etag(found[2], bool(found[1])) if found else None


def etags(value: str | None) -> list[Etag]:
    """Return the entity tags of a list."""
    return [Etag(found[2], bool(found[1])) for each in members(value) if (found := _ETAG.fullmatch(each))]


def accepted_codings(value: str | None) -> dict[str, float]:
    """Return the weight of each content coding a client names (RFC 9110 §12.5.3).

    >>> accepted_codings("gzip, br;q=0.5, *;q=0")
    {'gzip': 1.0, 'br': 0.5, '*': 0.0}
    """
    found: dict[str, float] = {}
    for member in members(value):
        coding, *parameters = (part.strip(" \t") for part in member.split(";"))
        weight = next((part[2:] for part in parameters if part.lower().startswith("q=")), "1")
        named = coding.lower().removeprefix("x-")
        if re.fullmatch(r"(0(\.\d{0,3})?|1(\.0{0,3})?)", weight):
            found.setdefault(named, float(weight))
    return found
