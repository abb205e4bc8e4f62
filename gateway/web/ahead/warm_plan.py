"""What is fetched next to keep a site ready, given what was found so far. Pure.

Breadth first, each page with what belongs to it before the next one, so that a run that is cut short leaves whole pages
and the most important ones: first what the operator named and what is pinned, then what those pages link to, then
what the sitemaps list, the latest changed first. Everything is of the site's own origin; whoever finds it sees to that.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from gateway.hours import Hours
from gateway.web.ahead.sitemap import Listed

PIECES_MAX = 200  # of one page; the heaviest pages of news sites have about 150 of their own
PIECES_RUN_MAX = 20_000  # of one run; of a hostile site with the longest URLs 40 MB
PIECES_DEEP_MAX = 2  # a sheet of a page, a sheet that it imports, and what that draws in
LISTS_MAX = 50  # robots.txt and sitemaps of one run
LISTS_DEEP_MAX = 3  # robots.txt, an index, its sitemaps
URL_CHARS_MAX = 2_048  # longer ones are of machines, and of calendars without end


@dataclass(frozen=True, slots=True)
class WarmOrder:
    """What an operator wants of one site ready; without hours it is fetched only when somebody says so."""

    pages: tuple[str, ...] = ("/",)
    depth: int = 1
    sitemap: bool = False
    hours: tuple[Hours, ...] = ()
    bytes_max: int = 50_000_000  # over the link in one day, the box's local one
    pages_max: int = 200


class Kind(Enum):
    """What a step brings: a page, a piece that belongs to one, or a list of pages (robots.txt, a sitemap)."""

    PAGE = "page"
    PIECE = "piece"
    LIST = "list"


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to fetch; `level` is how far it is from where the plan began, of a piece from its page."""

    kind: Kind
    url: str
    level: int = 0
    follows: bool = False  # its links are pages of the plan too


@dataclass(frozen=True, slots=True)
class Found:
    """What a step brought to light, each of the same origin."""

    pages: Sequence[str] = ()
    pieces: Sequence[str] = ()
    listed: Sequence[Listed] = ()
    lists: Sequence[str] = ()
    moved_to: str | None = None  # where a redirect leads


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is; `left_s` is None while nothing can be said of it."""

    pages_done: int = 0
    pages_known: int = 0
    pieces_done: int = 0
    failed: int = 0
    moved_bytes: int = 0
    allowed_bytes: int = 0
    left_s: float | None = None


class Plan:
    """The steps of one run that are known by now."""

    def __init__(self, order: WarmOrder, url_of: Callable[[str], str], pinned: Iterable[str] = ()) -> None:
        self._order = order
        self._pieces: deque[Step] = deque()
        self._levels: list[deque[Step]] = [deque()]
        self._pages: set[str] = set()
        self._others: set[str] = set()  # pieces and lists
        self._lists = 0
        self._pages_done = self._pieces_done = self._failed = 0
        for path in order.pages:
            self._add_page(url_of(path), 0, follows=order.depth > 0)
        for url in pinned:
            self._add_page(url, 0, follows=False)
        if order.sitemap:
            self._add_list(url_of("/robots.txt"), 0)
            self._add_list(url_of("/sitemap.xml"), 0)  # where it is by custom, if nothing names one

    def next(self) -> Step | None:
        """Return the next step, and count it as taken; None when nothing is left."""
        if self._pieces:
            return self._pieces.popleft()
        return next((level.popleft() for level in self._levels if level), None)

    def put_back(self, step: Step) -> None:
        """Have a step that could not be taken now be the next one."""
        (self._pieces if step.kind is Kind.PIECE else self._levels[step.level]).appendleft(step)

    def did(self, step: Step, found: Found | None) -> None:
        """Take in what a step brought; None: it failed."""
        self._pages_done += step.kind is Kind.PAGE
        self._pieces_done += step.kind is Kind.PIECE
        self._failed += found is None and step.kind is not Kind.LIST  # many sites have no sitemap
        if found is None:
            return
        if found.moved_to is not None:
            self._follow(step, found.moved_to)
        level = step.level + 1 if step.kind is Kind.PIECE else 0
        for url in found.pieces[:PIECES_MAX] if level <= PIECES_DEEP_MAX else ():
            self._add_piece(url, level)
        for url in found.pages if step.follows else ():
            self._add_page(url, step.level + 1, follows=step.level + 1 < self._order.depth)
        if step.kind is Kind.LIST:
            for url in found.lists:
                self._add_list(url, step.level + 1)
            for each in latest_first(found.listed):
                self._add_page(each.url, step.level + 1, follows=False)

    def progress(self, *, active_s: float, moved_bytes: int, allowed_bytes: int) -> Progress:
        """Return how far the run is that took `active_s` and `moved_bytes` so far."""
        done, known = self._pages_done, len(self._pages)
        left_s = active_s / done * (known - done) if done else None
        if left_s is not None and moved_bytes:
            left_s = min(left_s, active_s / moved_bytes * max(allowed_bytes - moved_bytes, 0))
        return Progress(done, known, self._pieces_done, self._failed, moved_bytes, allowed_bytes, left_s)

    def _follow(self, step: Step, url: str) -> None:
        """Have what a redirect leads to in the step's place."""
        match step.kind:
            case Kind.PAGE:
                self._add_page(url, step.level, follows=step.follows)
            case Kind.PIECE:
                self._add_piece(url, step.level)
            case Kind.LIST:
                self._add_list(url, step.level)

    def _add_page(self, url: str, level: int, *, follows: bool) -> None:
        if url in self._pages or len(self._pages) >= self._order.pages_max or len(url) > URL_CHARS_MAX:
            return
        self._pages.add(url)
        self._at(level).append(Step(Kind.PAGE, url, level, follows))

    def _add_piece(self, url: str, level: int) -> None:
        if len(url) > URL_CHARS_MAX or len(self._others) >= PIECES_RUN_MAX:
            return
        if url not in self._pages and url not in self._others:
            self._others.add(url)
            self._pieces.append(Step(Kind.PIECE, url, level))

    def _add_list(self, url: str, level: int) -> None:
        if url in self._others or self._lists >= LISTS_MAX or level >= LISTS_DEEP_MAX or len(url) > URL_CHARS_MAX:
            return
        self._others.add(url)
        self._lists += 1
        self._at(level).append(Step(Kind.LIST, url, level))

    def _at(self, level: int) -> deque[Step]:
        while len(self._levels) <= level:
            self._levels.append(deque())
        return self._levels[level]


def latest_first(listed: Iterable[Listed]) -> list[Listed]:
    """Return pages by when they changed, the latest first; those of one date as they were."""
    return sorted(listed, key=lambda each: -(each.changed_s or 0.0))
