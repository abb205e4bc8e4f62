"""What RFC 9111 and its neighbours ask of a cache, as a table: given these messages, what must be seen.

A case is a list of steps; each step says when it is asked, what the origin would answer, and what is expected: whether
the origin was reached, and what the browser and the origin saw. `required` is MUST and MUST NOT, `recommended` SHOULD
and what a cache is for. Times in dates are relative to `NOW_S`, the wall time of the clock that is moved by hand.
"""

from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Literal

Kind = Literal["required", "recommended"]
Pairs = tuple[tuple[str, str], ...]

NOW_S = 1_800_000_000.0
OLD = (("Last-Modified", formatdate(NOW_S - 864_000, usegmt=True)),)
FRESH = (("Cache-Control", "max-age=3600"),)


def date(offset_s: float = 0) -> str:
    """A date `offset_s` from the beginning of the case."""
    return formatdate(NOW_S + offset_s, usegmt=True)


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


@dataclass(frozen=True)
class Case:
    """One rule."""

    id: str
    section: str
    kind: Kind
    steps: tuple[Step, ...] = field(default=())


def reused(
    name: str, section: str, gives: Pairs, *, kind: Kind = "recommended", status: int = 200, **second: object
) -> Case:
    """What came once serves again."""
    again = {"reached": False, "status": status, "body": 0, **second}
    return Case(name, section, kind, (Step(True, gives, status, status=status), Step(**again)))  # type: ignore[arg-type]


def not_reused(
    name: str, section: str, gives: Pairs, *, kind: Kind = "required", status: int = 200, **second: object
) -> Case:
    """What came once does not serve again unasked."""
    first = {"sends": second.pop("sends_first", ())}
    again = {"reached": True, "gives": gives, "status": status, "gives_status": status, "body": 1, **second}
    return Case(
        name,
        section,
        kind,
        (Step(True, gives, status, status=status, **first), Step(**again)),  # type: ignore[arg-type]
    )


STORING = (
    not_reused("no-store", "9111 5.2.2.5", (("Cache-Control", "no-store, max-age=100"),)),
    not_reused("no-store-in-capitals", "9111 5.2", (("Cache-Control", "NO-STORE, Max-Age=100"),)),
    not_reused("private", "9111 5.2.2.7", (("Cache-Control", "private, max-age=100"),)),
    not_reused("private-with-fields", "9111 5.2.2.7", (("Cache-Control", 'max-age=100, private="x-a"'),)),
    not_reused("request-no-store", "9111 5.2.1.5", FRESH, sends_first=(("Cache-Control", "no-store"),)),
    not_reused("authorization", "9111 3.5", FRESH, sends_first=(("Authorization", "Basic eA=="),)),
    Case(
        "authorization-public",
        "9111 3.5",
        "recommended",
        (
            Step(True, (("Cache-Control", "public, max-age=100"),), sends=(("Authorization", "Basic eA=="),)),
            Step(False, body=0),
        ),
    ),
    Case(
        "authorization-s-maxage",
        "9111 3.5",
        "recommended",
        (Step(True, (("Cache-Control", "s-maxage=100"),), sends=(("Authorization", "x"),)), Step(False, body=0)),
    ),
    not_reused("vary-star", "9111 4.1", (*FRESH, ("Vary", "*"))),
    not_reused("vary-star-in-list", "9111 4.1", (*FRESH, ("Vary", "Accept-Language, *"))),
    not_reused("set-cookie-is-not-shared", "9111 7.3", (*FRESH, ("Set-Cookie", "a=b"))),
    reused("set-cookie-public", "9111 7.3", (("Cache-Control", "public, max-age=100"), ("Set-Cookie", "a=b"))),
    reused("must-understand", "9111 5.2.2.3", (("Cache-Control", "must-understand, no-store, max-age=100"),)),
    not_reused("302-without-lifetime", "9111 3", OLD, status=302),
    not_reused("500-without-lifetime", "9111 3", OLD, status=500),
    reused("302-with-lifetime", "9111 3", FRESH, status=302),
    reused("404-with-lifetime", "9111 3", FRESH, status=404),
    reused("599-with-lifetime", "9111 3", FRESH, status=599),
    reused("410-heuristic", "9111 4.2.2", OLD, status=410),
    not_reused("206-is-not-a-whole", "9111 3.3", FRESH, status=206),
    Case(
        "post-is-not-stored",
        "9111 3",
        "required",
        (Step(True, FRESH, method="POST"), Step(True, FRESH, body=1)),
    ),
)

FRESHNESS = (
    reused("max-age", "9111 4.2.1", FRESH, after_s=3599),
    not_reused("max-age-over", "9111 4.2.1", FRESH, after_s=3600),
    reused("s-maxage-before-max-age", "9111 4.2.1", (("Cache-Control", "max-age=1, s-maxage=100"),), after_s=50),
    not_reused("s-maxage-shorter", "9111 4.2.1", (("Cache-Control", "max-age=100, s-maxage=1"),), after_s=2),
    reused("expires", "9111 5.3", (("Date", date()), ("Expires", date(100))), after_s=50),
    not_reused("expires-over", "9111 5.3", (("Date", date()), ("Expires", date(100))), after_s=101),
    not_reused("expires-zero", "9111 5.3", (("Expires", "0"), *OLD)),
    not_reused("expires-nonsense", "9111 5.3", (("Expires", "tomorrow"), *OLD)),
    not_reused(
        "max-age-before-expires", "9111 5.3", (("Cache-Control", "max-age=1"), ("Expires", date(100))), after_s=2
    ),
    reused("expires-rfc850", "9110 5.6.7", (("Expires", "Friday, 15-Jan-27 09:00:00 GMT"),), after_s=60),
    reused("expires-asctime", "9110 5.6.7", (("Expires", "Fri Jan 15 09:00:00 2027"),), after_s=60),
    not_reused("max-age-nonsense", "9111 4.2.1", (("Cache-Control", "max-age=x"),)),
    not_reused("max-age-negative", "9111 1.2.2", (("Cache-Control", "max-age=-5"),)),
    not_reused("max-age-decimal", "9111 1.2.2", (("Cache-Control", "max-age=100.5"),)),
    reused("max-age-huge", "9111 1.2.2", (("Cache-Control", "max-age=99999999999999999999"),), after_s=99_999),
    reused("max-age-quoted", "9111 5.2", (("Cache-Control", 'max-age="100"'),), after_s=50),
    reused(
        "max-age-beside-the-unknown", "9111 5.2.3", (("Cache-Control", 'foo="a, b", max-age=100, bar'),), after_s=50
    ),
    not_reused("quoted-directive-is-none", "9111 5.2", (("Cache-Control", 'foo="max-age=100"'),)),
    reused("lines-are-one-list", "9110 5.3", (("Cache-Control", "foo"), ("Cache-Control", "max-age=100")), after_s=50),
    reused("heuristic", "9111 4.2.2", OLD, after_s=3600),
    not_reused("heuristic-over", "9111 4.2.2", OLD, after_s=90_000),
    not_reused("age-counts", "9111 4.2.3", (*FRESH, ("Age", "3600"))),
    reused("age-nonsense-is-ignored", "9111 5.1", (*FRESH, ("Age", "soon")), after_s=100),
    not_reused("old-date-counts", "9111 4.2.3", (*FRESH, ("Date", date(-7200)))),
    reused("date-ahead-counts-nothing", "9111 4.2.3", (*FRESH, ("Date", date(1000))), after_s=100),
    reused(
        "age-is-told", "9111 5.1", (*FRESH, ("Date", date())), after_s=7, has=(("Age", "7"),), cache="hit; ttl=3593"
    ),
    reused("age-adds-up", "9111 4.2.3", (*FRESH, ("Date", date()), ("Age", "30")), after_s=7, has=(("Age", "37"),)),
    not_reused("no-cache", "9111 5.2.2.4", (("Cache-Control", "no-cache, max-age=100"),)),
    reused("pragma-in-an-answer-is-nothing", "9111 5.4", (*FRESH, ("Pragma", "no-cache"))),
)

WISHES = (
    not_reused("request-no-cache", "9111 5.2.1.4", FRESH, sends=(("Cache-Control", "no-cache"),)),
    not_reused("request-pragma", "9111 5.4", FRESH, sends=(("Pragma", "no-cache"),)),
    reused("pragma-beside-cache-control", "9111 5.4", FRESH, sends=(("Pragma", "no-cache"), ("Cache-Control", "foo"))),
    not_reused("request-max-age", "9111 5.2.1.1", FRESH, after_s=10, sends=(("Cache-Control", "max-age=5"),)),
    reused("request-max-age-young", "9111 5.2.1.1", FRESH, after_s=10, sends=(("Cache-Control", "max-age=20"),)),
    not_reused("request-max-age-0", "9111 5.2.1.1", FRESH, after_s=1, sends=(("Cache-Control", "max-age=0"),)),
    not_reused("min-fresh", "9111 5.2.1.3", FRESH, after_s=3000, sends=(("Cache-Control", "min-fresh=1000"),)),
    reused("min-fresh-enough", "9111 5.2.1.3", FRESH, after_s=100, sends=(("Cache-Control", "min-fresh=1000"),)),
    reused("max-stale", "9111 5.2.1.2", FRESH, after_s=3700, sends=(("Cache-Control", "max-stale=200"),)),
    reused("max-stale-any", "9111 5.2.1.2", FRESH, after_s=9999, sends=(("Cache-Control", "max-stale"),)),
    not_reused("max-stale-over", "9111 5.2.1.2", FRESH, after_s=3700, sends=(("Cache-Control", "max-stale=50"),)),
    not_reused(
        "max-stale-and-must-revalidate",
        "9111 5.2.2.2",
        (("Cache-Control", "max-age=10, must-revalidate"),),
        after_s=20,
        sends=(("Cache-Control", "max-stale"),),
    ),
    Case(
        "only-if-cached",
        "9111 5.2.1.7",
        "required",
        (Step(False, sends=(("Cache-Control", "only-if-cached"),), status=504),),
    ),
    reused("only-if-cached-stored", "9111 5.2.1.7", FRESH, sends=(("Cache-Control", "only-if-cached"),)),
)

_ES, _QU = ("Accept-Language", "es"), ("Accept-Language", "qu")
_BY_LANGUAGE = (*FRESH, ("Vary", "Accept-Language"))

VARIANTS = (
    not_reused("vary-differs", "9111 4.1", _BY_LANGUAGE, sends_first=(_ES,), sends=(_QU,), cache="fwd=vary-miss"),
    not_reused("vary-absent-differs", "9111 4.1", _BY_LANGUAGE, sends_first=(_ES,)),
    Case(
        "vary-matches",
        "9111 4.1",
        "recommended",
        (Step(True, _BY_LANGUAGE, sends=(_ES,)), Step(False, sends=(_ES,), body=0)),
    ),
    Case(
        "vary-keeps-several",
        "9111 4.1",
        "recommended",
        (
            Step(True, _BY_LANGUAGE, sends=(_ES,)),
            Step(True, _BY_LANGUAGE, sends=(_QU,)),
            Step(False, sends=(_ES,), body=0),
            Step(False, sends=(_QU,), body=1),
        ),
    ),
    Case(
        "vary-ignores-spaces",
        "9111 4.1",
        "recommended",
        (
            Step(True, _BY_LANGUAGE, sends=(("Accept-Language", "es, qu"),)),
            Step(False, sends=(("Accept-Language", "es"), ("accept-language", "qu")), body=0),
        ),
    ),
    Case(
        "vary-of-two",
        "9111 4.1",
        "required",
        (
            Step(True, (*FRESH, ("Vary", "Accept-Language, X-A")), sends=(_ES, ("X-A", "1"))),
            Step(True, (*FRESH, ("Vary", "Accept-Language, X-A")), sends=(_ES, ("X-A", "2")), body=1),
            Step(False, sends=(_ES, ("X-A", "1")), body=0),
        ),
    ),
    reused(
        "vary-encoding-is-ours", "9111 4.1", (*FRESH, ("Vary", "Accept-Encoding")), sends=(("Accept-Encoding", "gzip"),)
    ),
)

_TAGGED = (("Cache-Control", "max-age=10"), ("ETag", '"a"'))
_MODIFIED = (("Cache-Control", "max-age=10"), ("Last-Modified", date(-1000)))

VALIDATION = (
    Case(
        "validated-by-etag",
        "9111 4.3.1",
        "recommended",
        (
            Step(True, _TAGGED),
            Step(
                True,
                (("ETag", '"a"'),),
                304,
                after_s=20,
                body=0,
                origin_has=(("If-None-Match", '"a"'),),
                cache="fwd-status=304",
            ),
        ),
    ),
    Case(
        "validated-by-date",
        "9111 4.3.1",
        "recommended",
        (
            Step(True, _MODIFIED),
            Step(True, (), 304, after_s=20, body=0, origin_has=(("If-Modified-Since", date(-1000)),)),
        ),
    ),
    Case(
        "304-updates-fields",
        "9111 3.2",
        "required",
        (
            Step(True, (*_TAGGED, ("X-A", "1"), ("X-B", "1"), ("Content-Type", "text/plain"))),
            Step(True, (*_TAGGED, ("X-A", "2")), 304, after_s=20, body=0, has=(("X-A", "2"), ("X-B", "1"))),
            Step(False, after_s=5, body=0, has=(("X-A", "2"), ("Content-Type", "text/plain"))),
        ),
    ),
    Case(
        "304-does-not-update-the-length",
        "9111 3.2",
        "required",
        (Step(True, _TAGGED), Step(True, (*_TAGGED, ("Content-Length", "3")), 304, after_s=20, body=0)),
    ),
    Case(
        "304-sets-no-cookie-for-others",
        "9111 7.3",
        "required",
        (
            Step(True, _TAGGED),
            Step(True, (*_TAGGED, ("Set-Cookie", "a=b")), 304, after_s=20, body=0),
            Step(False, after_s=5, body=0, lacks=("Set-Cookie",)),
        ),
    ),
    Case(
        "304-takes-the-leave-to-store-back",
        "9111 3.2",
        "required",
        (
            Step(True, _TAGGED),
            Step(True, (("Cache-Control", "private, max-age=10"),), 304, after_s=20, body=0),
            Step(True, (), 304, after_s=5, body=0),
        ),
    ),
    Case(
        "304-of-another-etag",
        "9111 4.3.4",
        "required",
        (
            Step(True, (("Cache-Control", "max-age=10, must-revalidate"), ("ETag", '"a"'))),
            Step(True, (("ETag", '"b"'), *FRESH), 304, after_s=20, status=502),
        ),
    ),
    Case(
        "changed",
        "9111 4.3.3",
        "required",
        (
            Step(True, _TAGGED),
            Step(True, (("Cache-Control", "max-age=10"), ("ETag", '"b"')), after_s=20, body=1),
            Step(False, body=1),
        ),
    ),
    reused(
        "browsers-etag-holds", "9111 4.3.2", _TAGGED, kind="required", sends=(("If-None-Match", '"a"'),), status=200
    ),
    reused("browsers-etag-is-weak", "9110 13.1.2", _TAGGED, sends=(("If-None-Match", 'W/"a"'),)),
    reused("browsers-etag-of-many", "9110 13.1.2", _TAGGED, sends=(("If-None-Match", '"x", "a"'),)),
    reused("browsers-star", "9110 13.1.2", _TAGGED, sends=(("If-None-Match", "*"),)),
    reused("browsers-etag-differs", "9111 4.3.2", _TAGGED, kind="required", sends=(("If-None-Match", '"x"'),)),
    reused("browsers-date-holds", "9111 4.3.2", _MODIFIED, sends=(("If-Modified-Since", date(-1000)),)),
    reused(
        "browsers-date-too-old", "9111 4.3.2", _MODIFIED, kind="required", sends=(("If-Modified-Since", date(-1001)),)
    ),
    reused(
        "etag-before-date",
        "9110 13.2.2",
        (*_TAGGED, ("Last-Modified", date(-1000))),
        kind="required",
        sends=(("If-None-Match", '"x"'), ("If-Modified-Since", date())),
    ),
    reused("head-from-get", "9111 4", FRESH, method="HEAD", body=None),
    Case(
        "head-of-stale",
        "9110 9.3.2",
        "recommended",
        (Step(True, FRESH), Step(True, FRESH, method="HEAD", after_s=4000), Step(False, body=1)),
    ),
    Case("head-miss", "9110 9.3.2", "required", (Step(True, FRESH, method="HEAD"), Step(True, FRESH, body=1))),
)
_ANSWERED_304 = {
    "browsers-etag-holds",
    "browsers-etag-is-weak",
    "browsers-etag-of-many",
    "browsers-star",
    "browsers-date-holds",
}

STALENESS = (
    Case(
        "stale-if-error",
        "5861 4",
        "recommended",
        (
            Step(True, (("Cache-Control", "max-age=10, stale-if-error=100"),)),
            Step(True, (), 500, after_s=20, body=0, cache="detail=origin-500"),
        ),
    ),
    Case(
        "stale-if-error-over",
        "5861 4",
        "required",
        (
            Step(True, (("Cache-Control", "max-age=10, stale-if-error=100"),)),
            Step(True, (), 500, after_s=200, status=500, body=1),
        ),
    ),
    Case("stale-on-503", "9111 4.3.3", "recommended", (Step(True, FRESH), Step(True, (), 503, after_s=4000, body=0))),
    Case(
        "must-revalidate-on-503",
        "9111 5.2.2.2",
        "required",
        (
            Step(True, (("Cache-Control", "max-age=10, must-revalidate"),)),
            Step(True, (), 503, after_s=20, status=503, body=1),
        ),
    ),
    Case(
        "proxy-revalidate-on-503",
        "9111 5.2.2.8",
        "required",
        (
            Step(True, (("Cache-Control", "max-age=10, proxy-revalidate"),)),
            Step(True, (), 503, after_s=20, status=503, body=1),
        ),
    ),
    Case(
        "s-maxage-on-503",
        "9111 5.2.2.10",
        "required",
        (Step(True, (("Cache-Control", "s-maxage=10"),)), Step(True, (), 503, after_s=20, status=503, body=1)),
    ),
    Case(
        "stale-while-revalidate",
        "5861 3",
        "recommended",
        (
            Step(True, (("Cache-Control", "max-age=10, stale-while-revalidate=100"),)),
            Step(True, FRESH, after_s=20, body=0, cache="detail=stale-while-revalidate"),
            Step(False, body=1),
        ),
    ),
    Case(
        "stale-while-revalidate-over",
        "5861 3",
        "required",
        (
            Step(True, (("Cache-Control", "max-age=10, stale-while-revalidate=5"),)),
            Step(True, FRESH, after_s=20, body=1),
        ),
    ),
)


def _after(method: str, status: int, *, reached: bool, location: Pairs = (), asks: str = "required") -> Case:
    kind: Kind = "required" if asks == "required" else "recommended"
    return Case(
        f"invalidated-by-{method.lower()}-{status}" if reached else f"kept-after-{method.lower()}-{status}",
        "9111 4.4",
        kind,
        (
            Step(True, FRESH),
            Step(True, location, status, method=method, status=status),
            Step(reached, FRESH, body=2 if reached else 0),
        ),
    )


INVALIDATION = (
    _after("POST", 200, reached=True),
    _after("PUT", 204, reached=True),
    _after("DELETE", 200, reached=True),
    _after("PATCH", 303, reached=True),
    _after("POST", 500, reached=False, asks="recommended"),
    _after("POST", 404, reached=False, asks="recommended"),
    _after("OPTIONS", 200, reached=False, asks="recommended"),
)

FIELDS = (
    Case(
        "hop-by-hop-of-an-answer",
        "9110 7.6.1",
        "required",
        (
            Step(
                True,
                (*FRESH, ("Keep-Alive", "timeout=5"), ("Proxy-Connection", "x")),
                lacks=("Keep-Alive", "Proxy-Connection"),
            ),
        ),
    ),
    Case(
        "connection-lists-fields",
        "9110 7.6.1",
        "required",
        (
            Step(
                True,
                (*FRESH, ("Connection", "X-Mine, X-Other"), ("X-Mine", "1"), ("X-Stays", "1")),
                lacks=("X-Mine",),
                has=(("X-Stays", "1"),),
            ),
            Step(False, lacks=("X-Mine",), has=(("X-Stays", "1"),)),
        ),
    ),
    Case(
        "connection-cannot-hide-private",
        "9110 7.6.1",
        "required",
        (
            Step(True, (("Cache-Control", "private, max-age=9"), ("Connection", "cache-control"))),
            Step(True, FRESH, body=1),
        ),
    ),
    Case(
        "hop-by-hop-of-a-request",
        "9110 7.6.1",
        "required",
        (
            Step(
                True,
                FRESH,
                sends=(
                    ("Connection", "X-Mine"),
                    ("X-Mine", "1"),
                    ("TE", "trailers"),
                    ("Proxy-Authorization", "Basic eA=="),
                    ("Upgrade", "h2c"),
                    ("X-Stays", "1"),
                ),
                origin_lacks=("X-Mine", "TE", "Proxy-Authorization", "Upgrade"),
                origin_has=(("X-Stays", "1"),),
            ),
        ),
    ),
    Case(
        "all-others-stay-in-order",
        "9110 5.3",
        "required",
        (
            Step(True, (*FRESH, ("X-A", "1"), ("X-B", "2"), ("X-A", "3")), has=(("X-A", "1"), ("X-A", "3"))),
            Step(False, has=(("X-A", "1"), ("X-B", "2"), ("X-A", "3"))),
        ),
    ),
    Case("via-on-the-way", "9110 7.6.3", "required", (Step(True, FRESH, origin_has=(("Via", "1.1 tambo-prueba"),)),)),
    Case(
        "via-is-a-list",
        "9110 7.6.3",
        "required",
        (Step(True, FRESH, sends=(("Via", "1.0 other"),), origin_has=(("Via", "1.0 other, 1.1 tambo-prueba"),)),),
    ),
    Case("loop", "9110 7.6.3", "required", (Step(False, sends=(("Via", "1.1 tambo-prueba"),), status=508),)),
    Case(
        "range-is-ignored",
        "9110 14.2",
        "recommended",
        (Step(True, FRESH, sends=(("Range", "bytes=0-1"),), body=0, origin_lacks=("Range",)),),
    ),
    Case("trace", "9110 9.3.8", "recommended", (Step(False, method="TRACE", status=405),)),
    Case(
        "max-forwards",
        "9110 7.6.2",
        "required",
        (
            Step(False, method="OPTIONS", sends=(("Max-Forwards", "0"),), status=200),
            Step(True, method="OPTIONS", sends=(("Max-Forwards", "3"),), origin_has=(("Max-Forwards", "2"),)),
        ),
    ),
    Case(
        "cache-status-of-a-miss",
        "9211 2",
        "recommended",
        (
            Step(True, FRESH, cache="tambo; fwd=uri-miss; fwd-status=200; stored"),
            Step(False, cache="tambo; hit; ttl=3600"),
        ),
    ),
    Case(
        "cache-status-is-a-list",
        "9211 2",
        "required",
        (Step(True, (*FRESH, ("Cache-Status", "far; hit")), cache="far; hit, tambo; fwd=uri-miss"),),
    ),
    Case(
        "date-is-added",
        "9110 6.6.1",
        "required",
        (Step(True, FRESH, has=(("Date", date()),)), Step(False, after_s=9, has=(("Date", date()),))),
    ),
)

CASES = (*STORING, *FRESHNESS, *WISHES, *VARIANTS, *VALIDATION, *STALENESS, *INVALIDATION, *FIELDS)


def answered_304(case: Case) -> bool:
    """Whether the browser's own condition ends the case with 304."""
    return case.id in _ANSWERED_304
