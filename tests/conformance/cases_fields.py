"""What passes and what stays: RFC 9110 §7, §9 and §15; `Via`, 1xx, and `Cache-Status` (RFC 9211)."""

from tests.conformance.table import FRESH, OLD, Case, Pairs, Step, case, control, date

_HINT: tuple[int, Pairs] = (103, (("Link", "</a.css>; rel=preload"),))


def _stays(name: str, value: str = "1") -> Case:
    """A field of an answer comes through, at once and from the store."""
    return case(
        f"answer-keeps-{name.lower()}",
        "9110 7.6",
        "required",
        Step(True, (*FRESH, (name, value)), has=((name, value),)),
        Step(False, body=0, has=((name, value),)),
    )


def _ends(name: str, value: str = "1", status: int = 200) -> Case:
    """A field of one connection does not."""
    return case(
        f"answer-drops-{name.lower()}",
        "9110 7.6.1",
        "required",
        Step(True, (*FRESH, (name, value)), status, status=status, lacks=(name,)),
        Step(False, status=status, lacks=(name,)),
    )


def _asks(name: str, value: str = "1", *, goes: bool) -> Case:
    """A field of a request."""
    return case(
        f"request-{'keeps' if goes else 'drops'}-{name.lower().replace('_', '-')}",
        "9110 7.6" if goes else "9110 7.6.1",
        "required",
        Step(
            True,
            FRESH,
            sends=((name, value),),
            origin_has=((name, value),) if goes else (),
            origin_lacks=() if goes else (name,),
        ),
    )


PASSING = (
    *(_stays(name) for name in ("X-A", "Content-Foo", "X-Frame-Options", "Server-Timing", "Strict-Transport-Security",
                                "Clear-Site-Data", "Public-Key-Pins", "Content-Disposition", "WWW-Authenticate")),
    _stays("Content-Type", "text/plain"),
    _stays("Content-Location", "/elsewhere"),
    _stays("Link", "</a>; rel=next"),
    _stays("ETag", '"a"'),
    _stays("Server", "origin/1"),
    _stays("Expires", date(100)),
    _ends("Keep-Alive", "timeout=5"),
    _ends("Proxy-Connection", "keep-alive"),
    _ends("Upgrade", "h2c"),
    _ends("Proxy-Authentication-Info", "x"),
    *(_asks(name, value, goes=True) for name, value in (
        ("X-A", "1"), ("User-Agent", "x/1"), ("Accept", "text/html;q=0.9, */*"), ("Accept-Language", "es"),
        ("Authorization", "Basic eA=="), ("Save-Data", "on"), ("DNT", "1"), ("If-Foo", "1"), ("Priority", "u=1"))),
    *(_asks(name, value, goes=False) for name, value in (
        ("TE", "trailers"), ("Keep-Alive", "5"), ("Proxy-Connection", "close"), ("Proxy-Authorization", "Basic eA=="),
        ("Trailer", "X-A"),
        # no part of the key, though some origins answer by them
        ("X-Forwarded-Host", "evil.test"), ("X_Forwarded_Proto", "https"), ("X-Forwarded-Path", "/x"),
        ("Forwarded", "host=evil.test"), ("X-Original-URL", "/x"), ("X-Scheme", "https"), ("A-IM", "diffe"))),
    case(
        "connection-lists-fields",
        "9110 7.6.1",
        "required",
        Step(
            True,
            (*FRESH, ("Connection", "X-Mine, X-Other"), ("X-Mine", "1"), ("X-Stays", "1")),
            lacks=("X-Mine",),
            has=(("X-Stays", "1"),),
        ),
        Step(False, lacks=("X-Mine",), has=(("X-Stays", "1"),)),
    ),
    case(
        "connection-lists-fields-over-lines",
        "9110 7.6.1",
        "required",
        Step(
            True,
            (*FRESH, ("Connection", "X-A"), ("Connection", ",x-b"), ("X-A", "1"), ("X-B", "1")),
            lacks=("X-A", "X-B"),
        ),
        Step(False, lacks=("X-A", "X-B")),
    ),
    case(
        "connection-lists-fields-of-a-request",
        "9110 7.6.1",
        "required",
        Step(
            True,
            FRESH,
            sends=(("Connection", "X-Mine, close"), ("X-Mine", "1"), ("X-Stays", "1")),
            origin_lacks=("X-Mine",),
            origin_has=(("X-Stays", "1"),),
        ),
    ),
    case(
        "connection-cannot-hide-private",
        "9110 7.6.1",
        "required",
        Step(True, (*control("private"), *OLD, ("Connection", "cache-control"))),
        Step(True, FRESH, body=1),
    ),
    case(
        "fields-stay-in-order",
        "9110 5.3",
        "required",
        Step(True, (*FRESH, ("X-A", "1"), ("X-B", "2"), ("X-A", "3")), has=(("X-A", "1"), ("X-A", "3"))),
        Step(False, has=(("X-A", "1"), ("X-B", "2"), ("X-A", "3"))),
    ),
    case("via-on-the-way", "9110 7.6.3", "required", Step(True, FRESH, origin_has=(("Via", "1.1 tambo-prueba"),))),
    case("via-of-an-answer", "9110 7.6.3", "required", Step(True, FRESH, has=(("Via", "1.1 tambo-prueba"),))),
    case(
        "via-is-a-list",
        "9110 7.6.3",
        "required",
        Step(True, FRESH, sends=(("Via", "1.0 other"),), origin_has=(("Via", "1.0 other, 1.1 tambo-prueba"),)),
    ),
    case(
        "via-names-the-browsers-version",
        "9110 7.6.3",
        "required",
        Step(True, FRESH, version="1.0", origin_has=(("Via", "1.0 tambo-prueba"),)),
    ),
    case(
        "via-names-the-origins-version",
        "9110 7.6.3",
        "required",
        Step(True, FRESH, origin_version="1.0", has=(("Via", "1.0 tambo-prueba"),)),
    ),
    case("loop", "9110 7.6.3", "required", Step(False, sends=(("Via", "1.1 tambo-prueba"),), status=508)),
    case("trace", "9110 9.3.8", "recommended", Step(False, method="TRACE", status=405)),
    case(
        "max-forwards",
        "9110 7.6.2",
        "required",
        Step(False, method="OPTIONS", sends=(("Max-Forwards", "0"),), status=200),
        Step(True, method="OPTIONS", sends=(("Max-Forwards", "3"),), origin_has=(("Max-Forwards", "2"),)),
    ),
    case(
        "date-is-added",
        "9110 6.6.1",
        "required",
        Step(True, FRESH, has=(("Date", date()),)),
        Step(False, after_s=9, has=(("Date", date()),)),
    ),
    case(
        "head-has-no-body-and-the-fields-of-get",
        "9110 9.3.2",
        "required",
        Step(True, (*FRESH, ("X-A", "1"))),
        Step(False, method="HEAD", content=b"", has=(("X-A", "1"), ("Content-Length", "26"))),
    ),
    case(
        "204-has-no-length",
        "9110 8.6",
        "required",
        Step(True, FRESH, 204, status=204, lacks=("Content-Length", "Transfer-Encoding")),
        Step(False, status=204, lacks=("Content-Length", "Transfer-Encoding")),
    ),
    case(
        "unknown-status-passes",
        "9110 15",
        "required",
        Step(True, FRESH, 277, status=277, body=0),
        Step(False, status=277, body=0),
    ),
)  # fmt: skip

INTERIM = (
    *(
        case(
            f"{status}-passes",
            "9110 15.2",
            "required",
            Step(True, FRESH, interim=((status, fields),), hears=((status, fields),), body=0),
            Step(False, body=0),
        )
        for status, fields in ((102, ()), _HINT, (199, (("X-A", "1"),)))
    ),
    case(
        "several-pass-in-order",
        "9110 15.2",
        "required",
        Step(True, FRESH, interim=((102, ()), _HINT, (103, ())), hears=((102, ()), _HINT, (103, ())), body=0),
    ),
    case(
        "fields-of-1xx-are-not-the-answers",
        "8297 2",
        "required",
        Step(True, FRESH, interim=((103, (("X-A", "1"),)),), hears=((103, (("X-A", "1"),)),), lacks=("X-A",)),
        Step(False, lacks=("X-A",)),
    ),
    case(
        "1xx-is-not-for-http-1-0",
        "9110 15.2",
        "required",
        Step(True, FRESH, version="1.0", interim=(_HINT,), body=0),
    ),
    case(
        "1xx-passes-before-what-is-not-stored",
        "9110 15.2",
        "required",
        Step(True, control("private"), interim=(_HINT,), hears=(_HINT,), body=0),
    ),
    case(
        "1xx-passes-on-post",
        "9110 15.2",
        "required",
        Step(True, method="POST", interim=(_HINT,), hears=(_HINT,), body=0),
    ),
    case(
        "1xx-passes-on-validation",
        "9110 15.2",
        "required",
        Step(True, (*control("max-age=10"), ("ETag", '"a"'))),
        Step(True, (), 304, after_s=20, interim=(_HINT,), hears=(_HINT,), body=0),
    ),
    case(
        "1xx-loses-what-is-of-one-connection",
        "9110 7.6.1",
        "required",
        Step(
            True,
            FRESH,
            interim=((103, (("Connection", "X-Mine"), ("X-Mine", "1"), ("X-A", "1"))),),
            hears=((103, (("X-A", "1"), ("Via", "1.1 tambo-prueba"))),),
        ),
    ),
)

_TAG = ("ETag", '"a"')

STATUS = (
    case(
        "status-of-a-miss-and-a-hit",
        "9211 2",
        "recommended",
        Step(True, FRESH, cache="tambo; fwd=uri-miss; fwd-status=200; stored"),
        Step(False, cache="tambo; hit; ttl=3600"),
    ),
    case(
        "status-of-what-is-not-stored",
        "9211 2.5",
        "required",
        Step(True, control("no-store"), has=(("Cache-Status", "tambo; fwd=uri-miss; fwd-status=200"),)),
    ),
    case(
        "status-ttl",
        "9211 2.4",
        "recommended",
        Step(True, (*FRESH, ("Age", "600"))),
        Step(False, after_s=100, cache="hit; ttl=2900"),
    ),
    case(
        "status-of-a-validation",
        "9211 2.2",
        "recommended",
        Step(True, (*control("max-age=10"), _TAG)),
        Step(True, (_TAG,), 304, after_s=20, cache="tambo; fwd=stale; fwd-status=304"),
    ),
    case(
        "status-of-a-reload",
        "9211 2.2",
        "recommended",
        Step(True, FRESH),
        Step(True, FRESH, sends=control("no-cache"), cache="tambo; fwd=request; fwd-status=200; stored"),
    ),
    case("status-of-a-method", "9211 2.2", "recommended", Step(True, method="POST", cache="tambo; fwd=method")),
    case(
        "status-of-another-variant",
        "9211 2.2",
        "recommended",
        Step(True, (*FRESH, ("Vary", "A")), sends=(("A", "1"),)),
        Step(True, (*FRESH, ("Vary", "A")), sends=(("A", "2"),), cache="tambo; fwd=vary-miss"),
    ),
    case(
        "status-of-a-bypass",
        "9211 2.2",
        "recommended",
        Step(True, FRESH, sends=(("If-Match", '"a"'),), cache="tambo; fwd=bypass"),
    ),
    case(
        "status-of-a-refusal",
        "9211 2",
        "recommended",
        Step(False, sends=control("only-if-cached"), status=504, cache="tambo; detail="),
    ),
    case(
        "status-is-a-list",
        "9211 2",
        "required",
        Step(True, (*FRESH, ("Cache-Status", "far; hit")), cache="far; hit, tambo; fwd=uri-miss"),
        Step(False, cache="far; hit, tambo; hit"),
    ),
    case(
        "status-before-ours-is-broken",
        "9211 2",
        "required",
        Step(True, (*FRESH, ("Cache-Status", "far; hit,"))),
        Step(False, has=(("Cache-Status", "tambo; hit; ttl=3600"),)),
    ),
)  # fmt: skip

FIELDS = (*PASSING, *INTERIM, *STATUS)
