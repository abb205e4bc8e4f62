"""The four classes share a link in their order, and what one does not use is the next one's. Pure.

Served first: a few kb/s that orders always get, then calls up to what they want, within a cap that nobody's marking can
lift. Of the rest, orders under way take half; a page somebody waits for nearly all; bulk what is left.

Source: RFC 4594 §2 (service classes), RFC 8622 (lower effort).
"""

from dataclasses import dataclass
from typing import NamedTuple

from gateway.backhaul.sharing.filling import in_two
from gateway.backhaul.sharing.tenants import Tenant


class ByClass(NamedTuple):
    """A figure for each class, in bit/s, in the order of `TrafficClass`."""

    realtime: int = 0
    interactive: int = 0
    web: int = 0
    bulk: int = 0


NOTHING = ByClass()


@dataclass(frozen=True, slots=True)
class Policy:
    """How an operator shares the link; each figure is a setting."""

    tenants: tuple[Tenant, ...] = ()
    interactive_floor_bps: int = 8_000  # an order of 134 B in a batch each second, and its receipt (2026-11)
    interactive_ratio: float = 0.5  # of what calls leave, while a batch is under way: it is small, and soon over
    calls_ratio_max: float = 0.9  # the rest keeps signalling and acknowledgements of other flows alive
    call_bps_max: int = 2_000_000  # of one call: more than twice a 640×480 picture at 700 kb/s, voice and headers
    voice_bps: int = 20_000  # each call's voice, before anybody's picture: 12 kb/s Opus in 60 ms packets (2026-11)
    bulk_ratio: float = 0.1  # beside a page somebody waits for


def by_class(whole_bps: int, wants: ByClass, least: ByClass, policy: Policy) -> ByClass:
    """Return the bit/s of each class; never more in all than `whole_bps`, and to each at most what it `wants`.

    `least` is what has been promised to somebody within a class: it comes after calls and before the ratios, and where
    it does not fit, bulk's goes first. No class falls as the whole grows.
    """
    floor = min(whole_bps, policy.interactive_floor_bps, wants.interactive)
    realtime = min(wants.realtime, int((whole_bps - floor) * policy.calls_ratio_max))
    left = whole_bps - floor - realtime
    interactive = floor + min(max(least.interactive - floor, 0), left)
    left -= interactive - floor
    web = min(least.web, left)
    bulk = min(least.bulk, left - web)
    left -= web + bulk
    web_more, bulk_more = wants.web - web, wants.bulk - bulk
    more, left = in_two(left, policy.interactive_ratio, wants.interactive - interactive, web_more + bulk_more)
    bulk_more, web_more = in_two(left, policy.bulk_ratio, bulk_more, web_more)
    return ByClass(realtime, interactive + more, web + web_more, bulk + bulk_more)


def within(bound_bps: int, wants: ByClass, policy: Policy) -> ByClass:
    """Return what each class has of a tenant's own guarantee or ceiling, as if it were a small link of the tenant's.

    It does not depend on what the link carries, so that more of one class is never less of another.
    """
    cells = by_class(bound_bps, wants, NOTHING, policy)
    rest = min(bound_bps - sum(cells), wants.realtime - cells.realtime)
    return cells._replace(realtime=cells.realtime + rest) if rest else cells
