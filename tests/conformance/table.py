"""What a case is: given these messages, what must be seen.

A case is a list of steps; each step says when it is asked, what the origin would answer, and what is expected: whether
the origin was reached, and what the browser and the origin saw. `required` is MUST and MUST NOT, `recommended` SHOULD
and what a cache is for. Times in dates are relative to `NOW_S`, the wall time at which every case begins. Each case
has a path of its own, so all can run in one world.
"""

from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Literal

from tests.conformance.web_world import DOORS, Door

Kind = Literal["required", "recommended"]
Pairs = tuple[tuple[str, str], ...]

NOW_S = 1_800_000_000.0
OLD = (("Last-Modified", formatdate(NOW_S - 864_000, usegmt=True)),)
FRESH = (("Cache-Control", "max-age=3600"),)
STORED_ALONE = (("Cache-Control", "only-if-cached, max-stale"),)  # a request that looks at the store, and no further


def date(offset_s: float = 0) -> str:
    """A date `offset_s` from the beginning of the case."""
    return formatdate(NOW_S + offset_s, usegmt=True)


def control(value: str) -> Pairs:
    """An answer's or a request's Cache-Control."""
    return (("Cache-Control", value),)


@dataclass(frozen=True)
class Step:
    """One request."""

    reached: bool  # the origin saw it
    gives: Pairs = ()  # the origin's answer
    gives_status: int = 200
    sends: Pairs = ()  # the browser's request
    method: str = "GET"
    after_s: float = 0.0
    status: int = 200  # what the browser saw
    body: int | None = None  # whose body: that of the step with this number; None: not looked at
    has: Pairs = ()
    lacks: tuple[str, ...] = ()
    cache: str = ""  # a part of Cache-Status
    origin_has: Pairs = ()
    origin_lacks: tuple[str, ...] = ()
    path: str = ""  # what is added to the case's path: "/other", "?a=1"
    origin_path: str | None = None  # what the origin saw in its place, where it is not the same
    origin_method: str = ""
    breaks: bool = False  # the origin closes the connection instead of answering
    interim: tuple[tuple[int, Pairs], ...] = ()  # what the origin says before its answer
    hears: tuple[tuple[int, Pairs], ...] = ()  # what the browser hears before its answer
    version: str = "1.1"  # of the browser's HTTP
    origin_version: str = "1.1"  # of the origin's
    gives_body: bytes | None = None  # instead of the step's own
    content: bytes | None = None  # what the browser got, to the byte


@dataclass(frozen=True)
class Case:
    """One rule."""

    id: str
    section: str
    kind: Kind
    steps: tuple[Step, ...] = field(default=())
    doors: tuple[Door, ...] = DOORS


def case(name: str, section: str, kind: Kind, *steps: Step, doors: tuple[Door, ...] = DOORS) -> Case:
    """A case."""
    return Case(name, section, kind, steps, doors)


def reused(
    name: str,
    section: str,
    gives: Pairs,
    *,
    kind: Kind = "recommended",
    status: int = 200,
    sends_first: Pairs = (),
    doors: tuple[Door, ...] = DOORS,
    **second: object,
) -> Case:
    """What came once serves again."""
    again = {"reached": False, "status": status, "body": 0, "cache": "hit", **second}
    first = Step(True, gives, status, status=status, body=0, sends=sends_first)
    return Case(name, section, kind, (first, Step(**again)), doors)  # type: ignore[arg-type]


def not_reused(
    name: str,
    section: str,
    gives: Pairs,
    *,
    kind: Kind = "required",
    status: int = 200,
    sends_first: Pairs = (),
    doors: tuple[Door, ...] = DOORS,
    **second: object,
) -> Case:
    """What came once does not serve again unasked."""
    again = {"reached": True, "gives": gives, "status": status, "gives_status": status, "body": 1, **second}
    first = Step(True, gives, status, status=status, body=0, sends=sends_first)
    return Case(name, section, kind, (first, Step(**again)), doors)  # type: ignore[arg-type]


def not_stored(
    name: str,
    section: str,
    gives: Pairs,
    *,
    kind: Kind = "required",
    status: int = 200,
    sends_first: Pairs = (),
    doors: tuple[Door, ...] = DOORS,
) -> Case:
    """What came once is not there, not even stale."""
    first = Step(True, gives, status, status=status, body=0, sends=sends_first)
    look = Step(False, sends=STORED_ALONE, status=504)
    return Case(name, section, kind, (first, look, Step(True, gives, status, status=status, body=2)), doors)


def stale(
    name: str,
    section: str,
    gives: Pairs,
    *,
    kind: Kind = "required",
    status: int = 200,
    after_s: float = 0.0,
    doors: tuple[Door, ...] = DOORS,
) -> Case:
    """What came once is there, and does not serve again unasked."""
    first = Step(True, gives, status, status=status, body=0)
    look = Step(False, sends=STORED_ALONE, after_s=after_s, status=status, body=0)
    return Case(name, section, kind, (first, look, Step(True, gives, status, status=status, body=2)), doors)
