"""Directives that are aimed at this cache: RFC 9213. `CDN-Cache-Control` is for sites, not for the forward proxy."""

from tests.conformance.table import (
    FRESH,
    OLD,
    Case,
    Pairs,
    Step,
    case,
    control,
    date,
    not_reused,
    not_stored,
    reused,
    stale,
)
from tests.conformance.web_world import Door

_SITE: tuple[Door, ...] = ("site",)
_PROXY: tuple[Door, ...] = ("proxy",)


def _cdn(value: str) -> Pairs:
    return (("CDN-Cache-Control", value),)


def _tambo(value: str) -> Pairs:
    return (("Tambo-Cache-Control", value),)


def _kept(name: str, gives: Pairs, *, section: str = "9213 2.2", after_s: float = 50) -> Case:
    return reused(f"cdn-{name}", section, gives, doors=_SITE, after_s=after_s)


def _passed(name: str, gives: Pairs, *, section: str = "9213 2.2", after_s: float = 2) -> Case:
    return stale(f"cdn-{name}", section, gives, doors=_SITE, after_s=after_s)


def _left(name: str, gives: Pairs, *, section: str = "9213 2.2") -> Case:
    return not_stored(f"cdn-{name}", section, gives, doors=_SITE)


TARGETED = (
    _kept("max-age", _cdn("max-age=100")),
    _kept("max-age-huge", _cdn("max-age=99999999999"), after_s=99_999),
    _kept("max-age-before-shorter", (*control("max-age=1"), *_cdn("max-age=100"))),
    _kept("max-age-before-no-store", (*control("no-store"), *_cdn("max-age=100"))),
    _kept("max-age-before-private", (*control("private"), *_cdn("max-age=100"))),
    _kept("max-age-before-s-maxage", (*control("s-maxage=1"), *_cdn("max-age=100"))),
    _kept("max-age-before-no-cache", (*control("no-cache"), *_cdn("max-age=100"))),
    _kept("max-age-before-past-expires", (*_cdn("max-age=100"), ("Expires", date(-1000)))),
    _kept("max-age-before-bad-expires", (*_cdn("max-age=100"), ("Expires", "0"))),
    _kept("s-maxage", _cdn("max-age=1, s-maxage=100")),
    _kept("unknown-directive", _cdn("foobar, max-age=100"), section="9213 2.1"),
    _kept("parameters-mean-nothing", _cdn("max-age=100;x=1, foo;y"), section="9213 2.1"),
    _kept("two-lines", (*_cdn("foo"), *_cdn("max-age=100")), section="9213 2.1"),
    _kept("last-of-a-key-counts", _cdn("max-age=1, max-age=100"), section="9213 2.1"),
    _kept("false-is-not-said", _cdn("no-store=?0, max-age=100"), section="9213 2.1"),
    reused("cdn-with-authorization", "9213 2.2", (*control("private"), *_cdn("max-age=100, public")), doors=_SITE,
           sends_first=(("Authorization", "Basic eA=="),), after_s=50),
    _kept("unknown-alone-still-governs", (*control("no-store"), *_cdn("none"), *OLD), section="9213 3.1"),
    _passed("max-age-over", _cdn("max-age=1")),
    _passed("max-age-0", (*control("max-age=100"), *_cdn("max-age=0"))),
    _passed("max-age-before-longer", (*control("max-age=100"), *_cdn("max-age=1"))),
    _passed("max-age-before-later-expires", (*_cdn("max-age=0"), ("Expires", date(1000)))),
    _passed("max-age-and-age", (*_cdn("max-age=100"), ("Age", "200"))),
    _passed("max-age-negative", (*control("max-age=100"), *_cdn("max-age=-1"))),
    _left("private", (*control("max-age=100"), *_cdn("private"), ("Expires", date(1000)))),
    not_reused("cdn-no-cache", "9213 2.2", (*control("max-age=100"), *_cdn("no-cache"), *OLD), doors=_SITE),
    _left("no-store", (*control("max-age=100"), *_cdn("no-store"))),
    _left("no-store-before-max-age", _cdn("no-store, max-age=100")),
    not_reused("cdn-must-revalidate-stale", "9213 2.2", _cdn("max-age=1, must-revalidate"), doors=_SITE, after_s=2,
               sends=control("max-stale=60")),
    _left("empty-is-absent", (*control("no-store"), *_cdn("")), section="9213 2.1"),
    _left("broken-is-absent", (*control("no-store"), *_cdn("max-age=100, &&&&&")), section="9213 2.1"),
    _left("trailing-comma-is-absent", (*control("no-store"), *_cdn("max-age=100,")), section="9213 2.1"),
    _left("key-in-capitals-is-absent", (*control("no-store"), *_cdn("Max-Age=100")), section="9213 2.1"),
    _passed("space-before-equals-is-absent", (*control("max-age=1"), *_cdn("max-age =100")), section="9213 2.1"),
    _passed("space-after-equals-is-absent", (*control("max-age=1"), *_cdn("max-age= 100")), section="9213 2.1"),
    _left("too-long-is-absent", (*control("no-store"), *_cdn("max-age=9999999999999999")), section="9213 2.1"),
    _passed("max-age-of-a-string-is-none", _cdn('max-age="100"'), section="9213 2.1"),
    _passed("max-age-of-a-decimal-is-none", _cdn("max-age=100.0"), section="9213 2.1"),
    _passed("max-age-of-a-token-is-none", _cdn("max-age=a100"), section="9213 2.1"),
    _passed("max-age-of-a-list-is-none", _cdn("max-age=(100)"), section="9213 2.1"),
    _passed("max-age-without-a-value-is-none", _cdn("max-age"), section="9213 2.1"),
    case(
        "cdn-broken-falls-back",
        "9213 2.1",
        "required",
        Step(True, (*control("max-age=100"), *_cdn("max-age=1,"))),
        Step(False, after_s=50, body=0),
        doors=_SITE,
    ),
    case(
        "cdn-field-goes-on",
        "9213 3.1",
        "recommended",
        Step(True, (*FRESH, *_cdn("max-age=100")), has=_cdn("max-age=100")),
        Step(False, has=(*FRESH, *_cdn("max-age=100"))),
        doors=_SITE,
    ),
    case(
        "cdn-stale-while-revalidate",
        "9213 2.2",
        "recommended",
        Step(True, (*control("max-age=1, must-revalidate"), *_cdn("max-age=10, stale-while-revalidate=100"))),
        Step(True, FRESH, after_s=20, body=0, cache="detail=stale-while-revalidate"),
        doors=_SITE,
    ),
    case(
        "cdn-must-revalidate-on-503",
        "9213 2.2",
        "required",
        Step(True, (*control("max-age=1"), *_cdn("max-age=10, must-revalidate"))),
        Step(True, (), 503, after_s=20, status=503, body=1),
        doors=_SITE,
    ),
    case(
        "cdn-304-updates",
        "9213 2.2",
        "required",
        Step(True, (*control("no-store"), *_cdn("max-age=10"), ("ETag", '"a"'))),
        Step(True, (*_cdn("max-age=100"), ("ETag", '"a"')), 304, after_s=20, body=0),
        Step(False, after_s=90, body=0),
        doors=_SITE,
    ),
    reused("cdn-is-not-for-a-proxy", "9213 2.2", (*FRESH, *_cdn("no-store")), kind="required", doors=_PROXY),
    not_stored("cdn-frees-nothing-for-a-proxy", "9213 2.2", (*control("no-store"), *_cdn("max-age=100")), doors=_PROXY),
    reused("of-another-cache-is-not-ours", "9213 2.2", (*FRESH, ("Other-Cache-Control", "no-store")), kind="required"),
    case(
        "of-another-cache-goes-on",
        "9213 2.2",
        "required",
        Step(True, (*FRESH, ("Other-Cache-Control", "no-store")), has=(("Other-Cache-Control", "no-store"),)),
        Step(False, has=(("Other-Cache-Control", "no-store"),)),
    ),
    reused("our-own-max-age", "9213 2.2", (*control("no-store"), *_tambo("max-age=100")), after_s=50),
    not_stored("our-own-no-store", "9213 2.2", (*control("max-age=100"), *_tambo("no-store"))),
    reused("our-own-before-cdn", "9213 2.2", (*_cdn("no-store"), *_tambo("max-age=100")), after_s=50),
    stale("our-own-before-cdn-shorter", "9213 2.2", (*_cdn("max-age=100"), *_tambo("max-age=1")), after_s=2),
    reused(
        "our-own-broken-leaves-cdn", "9213 2.1", (*control("no-store"), *_cdn("max-age=100"), *_tambo("&")), doors=_SITE
    ),
)  # fmt: skip
