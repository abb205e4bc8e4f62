"""What becomes of a request: served from the store, validated, fetched, or refused. Pure; the heart of the cache.

The rules are RFC 9111 §4, with one departure that is this box's purpose. §4.2.4 lets a *disconnected* cache serve stale
answers unless `must-revalidate`, `proxy-revalidate`, `s-maxage` or `no-cache` forbid it; then it answers 504. In a
village whose link is down, the choice is between the page as it was and no page for hours: so while the link is known
to be down everything stored is served, whatever its directives, and marked as stale (`Cache-Status`, `Age`). What may
not be seen by others was never stored (`storing`).

While the link is *not known* to be down, no directive that forbids stale answers is passed over. What none forbids is
served where the origin fails, and where it has been silent for `patience_s` (`exchange`): an origin that is silent for
so long counts as one that the cache is disconnected from, which on a weak link it mostly is.
"""

from dataclasses import dataclass

from gateway.web.rules.asking import Ask, Wishes, wishes_of
from gateway.web.rules.fields import delta_seconds, directives
from gateway.web.rules.policy import Policy, policy
from gateway.web.rules.status import Forwarded
from gateway.web.rules.stored import StoredResponse
from gateway.web.rules.validating import has_validator
from gateway.web.rules.variants import Selection

LINK_DOWN = "link-down"
_STRICT = ("must-revalidate", "proxy-revalidate", "no-cache")  # forbid stale answers, RFC 5861's too
_FORBID_STALE = (*_STRICT, "s-maxage")  # §4.2.4, §5.2.2.10
_NO_ANSWER = frozenset(
    {502, 503, 504}
)  # an origin's own gateway that got none; RFC 5861 §4 adds 500 if it is asked for


@dataclass(frozen=True, slots=True)
class Serve:
    """The stored answer is the answer; `refresh`: and is fetched anew behind it; `detail` says why it may be stale."""

    stored: StoredResponse
    detail: str | None = None
    refresh: bool = False


@dataclass(frozen=True, slots=True)
class Validate:
    """The origin is asked whether the stored answer still holds."""

    stored: StoredResponse
    why: Forwarded


@dataclass(frozen=True, slots=True)
class Fetch:
    """The origin is asked for an answer; `stored` is what there is if it gives none."""

    why: Forwarded
    stored: StoredResponse | None = None


@dataclass(frozen=True, slots=True)
class Refuse:
    """There is no answer: the link is down, or the browser wanted only what is stored."""

    link_down: bool


Decision = Serve | Validate | Fetch | Refuse


def decide(ask: Ask, selection: Selection, *, now_s: float, link_down: bool) -> Decision:
    """Return what becomes of a request, given what is stored for it."""
    if not ask.reusable:
        why = Forwarded.METHOD if ask.method not in {"GET", "HEAD"} else Forwarded.BYPASS
        return Refuse(link_down=True) if link_down else Fetch(why)
    wishes, stored = wishes_of(ask.fields), selection.stored
    if stored is None:
        if link_down or wishes.only_if_cached:
            return Refuse(link_down=link_down)
        return Fetch(Forwarded.VARY_MISS if selection.others else Forwarded.URI_MISS)
    if _fresh_enough(stored, wishes, now_s):
        return Serve(stored)
    if link_down:
        return Serve(stored, detail=LINK_DOWN)
    if _stale_is_wished(stored, wishes, now_s):
        return Serve(stored, detail="max-stale")
    if _refreshed_behind(stored, wishes, now_s):
        return Serve(stored, detail="stale-while-revalidate", refresh=True)
    if wishes.only_if_cached:
        return Refuse(link_down=False)  # §5.2.1.7
    why = Forwarded.STALE if stored.ttl_s(now_s) <= 0 else Forwarded.REQUEST
    return Validate(stored, why) if has_validator(stored) else Fetch(why, stored)


def stale_instead(stored: StoredResponse, ask: Ask, *, now_s: float, link_down: bool, status: int | None) -> bool:
    """Say whether the stored answer is served where the origin gave none (`status` None) or an error.

    Source: RFC 9111 §4.2.4 and §4.3.3, RFC 5861 §4 (stale-if-error).
    """
    if link_down:
        return True
    if stored.status >= 500 and status is not None:
        return False  # an error of before is no better than that of now
    governing = _of(stored)
    asked_s = delta_seconds(directives(ask.fields).get("stale-if-error"))
    grace_s = max(governing.seconds("stale-if-error") or 0, asked_s or 0)
    if grace_s and -stored.ttl_s(now_s) <= grace_s and not governing.has(*_STRICT):
        return status is None or status == 500 or status in _NO_ANSWER
    return not governing.has(*_FORBID_STALE) and (status is None or status in _NO_ANSWER)


def _fresh_enough(stored: StoredResponse, wishes: Wishes, now_s: float) -> bool:
    """§4.2 and the request directives of §5.2.1 that ask for more."""
    left_s, governing = stored.ttl_s(now_s), _of(stored)
    if left_s <= 0 or wishes.no_cache or governing.has("no-cache"):  # §5.2.1.4, §5.2.2.4
        return False
    if wishes.max_age_s == 0 and governing.has("immutable"):
        # RFC 8246 §2: what a browser's plain reload asks for (max-age=0) cannot have changed, and a weak link is not
        # asked. A forced reload (no-cache) still asks the origin: it is what people do when a page looks wrong.
        return True
    if wishes.max_age_s is not None and stored.age_s(now_s) > wishes.max_age_s:  # §5.2.1.1
        return False
    return wishes.min_fresh_s is None or left_s >= wishes.min_fresh_s  # §5.2.1.3


def _stale_is_wished(stored: StoredResponse, wishes: Wishes, now_s: float) -> bool:
    """§5.2.1.2, as far as the origin allows it."""
    if wishes.max_stale_s is None or wishes.no_cache or stored.invalid:
        return False
    if _of(stored).has(*_FORBID_STALE):
        return False
    young = wishes.max_age_s is None or stored.age_s(now_s) <= wishes.max_age_s + wishes.max_stale_s
    return young and 0 <= -stored.ttl_s(now_s) <= wishes.max_stale_s


def _refreshed_behind(stored: StoredResponse, wishes: Wishes, now_s: float) -> bool:
    """RFC 5861 §3: stale-while-revalidate, where neither side wants to wait for the truth."""
    governing = _of(stored)
    window_s = governing.seconds("stale-while-revalidate")
    if window_s is None or stored.invalid or wishes.no_cache or wishes.max_age_s is not None or wishes.min_fresh_s:
        return False
    # s-maxage forbids stale answers too (§5.2.2.10), but not those that its origin allows in the same breath
    return not governing.has(*_STRICT) and 0 <= -stored.ttl_s(now_s) <= window_s


def _of(stored: StoredResponse) -> Policy:
    return policy(stored.fields, stored.site)
