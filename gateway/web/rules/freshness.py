"""How long an answer stays fresh, and how old it is: the arithmetic of RFC 9111 §4.2. Pure.

A box's clock may be wrong (no battery; years off until the link brings the time). An age is never negative, and an
answer that seems to come from the future is stale, so a clock that fell back cannot make old pages look new.
"""

from dataclasses import dataclass
from functools import lru_cache

from gateway.web.rules.fields import Fields, combined, delta_seconds, first, http_date, members
from gateway.web.rules.policy import POLICIES_MAX, Policy, policy

HEURISTIC_RATIO = 0.1  # §4.2.2: "a typical setting of this fraction might be 10%"
HEURISTIC_S_MAX = 86_400.0  # a day: nobody said that the page keeps
CLOCK_STEP_S = 60.0  # corrections of this size are ordinary

# RFC 9110 §15.1, less 206, which is not stored
HEURISTICALLY_CACHEABLE = frozenset({200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501})


@dataclass(frozen=True, slots=True)
class Times:
    """When an answer was asked for and when it came, as seconds since 1970."""

    requested_s: float
    received_s: float


@lru_cache(POLICIES_MAX)
def lifetime_s(status: int, fields: Fields, times: Times, site: str) -> float:
    """Return the freshness lifetime of an answer in a shared cache (§4.2.1); 0 where what it says cannot be read."""
    governing = policy(fields, site)
    for name in ("s-maxage", "max-age"):
        if governing.has(name):
            return float(governing.seconds(name) or 0)  # §4.2.1: invalid freshness information is stale
    date_s = http_date(first(fields, "date"))
    base_s = times.received_s if date_s is None else date_s
    if governing.expires is not None:
        expires_s = http_date(governing.expires)
        return 0.0 if expires_s is None else max(0.0, expires_s - base_s)  # §5.3: invalid means in the past
    if status in HEURISTICALLY_CACHEABLE or governing.has("public"):
        return _heuristic_s(fields, base_s)
    return 0.0


def _heuristic_s(fields: Fields, date_s: float) -> float:
    """§4.2.2: a tenth of the time for which it had not changed."""
    modified_s = http_date(first(fields, "last-modified"))
    if modified_s is None or modified_s > date_s:
        return 0.0
    return min((date_s - modified_s) * HEURISTIC_RATIO, HEURISTIC_S_MAX)


def explicit(governing: Policy) -> bool:
    """Say whether an answer states a freshness lifetime of its own (§4.2.1)."""
    return governing.has("s-maxage", "max-age") or governing.expires is not None


def keeps_a_while(governing: Policy, fields: Fields) -> bool:
    """Say whether an answer states a lifetime above 0 for a shared cache."""
    for name in ("s-maxage", "max-age"):
        if governing.has(name):
            return bool(governing.seconds(name))
    expires_s, date_s = http_date(governing.expires), http_date(first(fields, "date"))
    return expires_s is not None and date_s is not None and expires_s > date_s


def age_s(fields: Fields, times: Times, now_s: float) -> float:
    """Return how old an answer is (§4.2.3), never less than 0."""
    return _initial_age_s(fields, times) + max(0.0, now_s - times.received_s)


@lru_cache(POLICIES_MAX)
def _initial_age_s(fields: Fields, times: Times) -> float:
    """How old an answer was when it came."""
    date_s = http_date(first(fields, "date"))
    apparent_s = 0.0 if date_s is None else max(0.0, times.received_s - date_s)
    delay_s = max(0.0, times.received_s - times.requested_s)
    # §5.1: of several values the first counts, and one that is invalid is ignored
    said = next(iter(members(combined(fields, "age"))), None)
    return max(apparent_s, float(delta_seconds(said) or 0) + delay_s)


def from_the_future(times: Times, now_s: float) -> bool:
    """Say whether the clock fell back since the answer came."""
    return now_s < times.received_s - CLOCK_STEP_S
