"""URLs whose queries differ in nothing that matters to their origin: `No-Vary-Search`. Pure.

Source: draft-ietf-httpbis-no-vary-search-05. What a stored answer says decides whether it may serve another URL; how
it is found is a hint held in memory: of each path the latest rule, and which URL stands for all that it calls alike.
The hint is learnt from each answer that is stored or served, so a restart loses no answer, only the way to it from
other URLs until it is asked for by its own.
"""

from collections import OrderedDict
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar
from urllib.parse import unquote_plus

import http_sf

from gateway.web.rules.fields import Fields, combined

PATHS_MAX = 2_000  # whose rule is remembered
URLS_MAX = 4_000
URL_CHARS_MAX = 2_000  # of one that is remembered: 16 MB for all of them, at the worst
PARAMETERS_MAX = 200  # of a query; one with more is like no other
_FIELD = "no-vary-search"
_FIELD_CHARS_MAX = 4_096

K = TypeVar("K")
V = TypeVar("V")
Parameters = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Variance:
    """Which parameters of a query matter (§3): all but `unless`, or, where that is None, `only` these."""

    unless: frozenset[str] | None = frozenset()
    only: frozenset[str] = frozenset()
    in_order: bool = True

    @property
    def all_matters(self) -> bool:
        """Whether only the same query will do."""
        return self.unless == frozenset() and self.in_order


EVERYTHING = Variance()


def variance_of(fields: Fields) -> Variance:
    """Return what an answer says about its query; that all of it matters, where it cannot be read (§4)."""
    value = combined(fields, _FIELD)
    return EVERYTHING if value is None else _variance(value)


@lru_cache(PATHS_MAX)
def _variance(value: str) -> Variance:
    if len(value) > _FIELD_CHARS_MAX:
        return EVERYTHING
    try:
        found = http_sf.parse(value.encode("ascii"), tltype="dictionary")
        said = {name: member[0] for name, member in found.items()}  # type: ignore[union-attr,index]  # a dictionary
        order, params = _flag(said.get("key-order", False)), said.get("params", False)
        if params is True:
            return Variance(None, _names(said["except"]) if "except" in said else frozenset(), not order)
        if "except" in said:
            return EVERYTHING
        return Variance(frozenset() if params is False else _names(params), frozenset(), not order)
    except ValueError:  # the library's own error, what is not ASCII, and ours
        return EVERYTHING


def _flag(said: object) -> bool:
    if not isinstance(said, bool):
        raise ValueError("not a boolean")
    return said


def _names(said: object) -> frozenset[str]:
    if not isinstance(said, list) or not all(type(each) is str for each, _ in said):
        raise ValueError("not a list of strings")
    return frozenset(unquote_plus(each, errors="replace") for each, _ in said)


def mattering(url: str, variance: Variance) -> Parameters | None:
    """Return the parameters of a URL that matter, as they compare (§5), or None for too many.

    >>> mattering("http://a.test/?b=2&a=%31&c", Variance(frozenset({"c"}), in_order=False))
    (('a', '1'), ('b', '2'))
    """
    parts = [each for each in url.partition("?")[2].split("&") if each]
    if len(parts) > PARAMETERS_MAX:
        return None
    pairs = [tuple(unquote_plus(side, errors="replace") for side in each.partition("=")[::2]) for each in parts]
    named = [(name, value) for name, value in pairs if _matters(name, variance)]
    return tuple(named if variance.in_order else sorted(named, key=lambda pair: pair[0]))


def _matters(name: str, variance: Variance) -> bool:
    return name in variance.only if variance.unless is None else name not in variance.unless


def alike(url: str, other: str, fields: Fields) -> bool:
    """Say whether an answer with these fields, stored for one URL, may serve the other (§5)."""
    variance = variance_of(fields)
    if variance.all_matters or _path(url) != _path(other):
        return url == other
    ours = mattering(url, variance)
    return ours is not None and ours == mattering(other, variance)


class Likenesses:
    """Which stored URL may stand for another; bounded, the least lately used forgotten first."""

    def __init__(self) -> None:
        self._rules: OrderedDict[tuple[str, str], Variance] = OrderedDict()
        self._urls: OrderedDict[tuple[str, str, Parameters], str] = OrderedDict()

    def learn(self, site: str, url: str, fields: Fields) -> None:
        """Take note of an answer that is stored."""
        variance = variance_of(fields)
        parameters = None if variance.all_matters else mattering(url, variance)
        if parameters is None or len(url) > URL_CHARS_MAX:
            return
        _put(self._rules, (site, _path(url)), variance, PATHS_MAX)
        _put(self._urls, (site, _path(url), parameters), url, URLS_MAX)

    def find(self, site: str, url: str) -> str | None:
        """Return the URL whose stored answer may serve this one too; `alike` has the last word."""
        variance = self._rules.get((site, _path(url)))
        parameters = mattering(url, variance) if variance is not None else None
        found = self._urls.get((site, _path(url), parameters)) if parameters is not None else None
        return found if found != url else None


def _path(url: str) -> str:
    return url.partition("?")[0]


def _put(held: OrderedDict[K, V], key: K, value: V, entries_max: int) -> None:
    held[key] = value
    held.move_to_end(key)
    if len(held) > entries_max:
        held.popitem(last=False)
