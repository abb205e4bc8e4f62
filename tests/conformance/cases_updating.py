"""What a 304 and an answer to HEAD change of a stored answer: RFC 9111 §3.2, §4.3.4 and §4.3.5."""

from tests.conformance.table import FRESH, Case, Step, case, control, date, reused

_TAG = (("ETag", '"a"'),)
_SHORT = control("max-age=10")
_LENGTH = ("Content-Length", "26")
_TAGGED = (*_SHORT, *_TAG)
_MODIFIED = (*_SHORT, ("Last-Modified", date(-1000)))


def _updates(name: str, before: str, after: str) -> Case:
    return case(
        f"304-updates-{name.lower()}",
        "9111 3.2",
        "required",
        Step(True, (*_TAGGED, (name, before)), has=((name, before),)),
        Step(True, (*_TAGGED, (name, after)), 304, after_s=20, body=0, has=((name, after),)),
        Step(False, after_s=5, body=0, has=((name, after),)),
    )


def _leaves(name: str, before: str, after: str, section: str = "9111 3.2") -> Case:
    return case(
        f"304-leaves-{name.lower()}",
        section,
        "required",
        Step(True, (*_TAGGED, (name, before))),
        Step(True, (*_TAGGED, (name, after)), 304, after_s=20, body=0, has=((name, before),)),
        Step(False, after_s=5, body=0, has=((name, before),)),
    )


NOT_MODIFIED = (
    _updates("X-A", "1", "2"),
    _updates("Content-Foo", "1", "2"),
    _updates("Content-Type", "text/plain", "text/plain;charset=utf-8"),
    _updates("Content-Location", "/a", "/b"),
    _updates("Content-Language", "es", "qu"),
    _updates("Content-MD5", "rL0Y20zC+Fzt72VPzMSk2A==", "N7UdGUp1E+RbVvZSTy1R8g=="),
    _updates("Content-Security-Policy", "default-src 'self'", "default-src 'none'"),
    _updates("X-Frame-Options", "deny", "sameorigin"),
    _updates("Link", "</a>; rel=next", "</b>; rel=next"),
    _updates("Expires", date(10), date(3600)),
    _updates("Date", date(), date(20)),
    _updates("Last-Modified", date(-1000), date(-1000)),
    case(
        "304-leaves-the-length",
        "9111 3.2",
        "required",
        Step(True, _TAGGED, has=(_LENGTH,)),
        Step(True, (*_TAGGED, ("Content-Length", "3")), 304, after_s=20, body=0, has=(_LENGTH,)),
        Step(False, after_s=5, body=0, has=(_LENGTH,)),
    ),
    _leaves("Content-Encoding", "identity", "x-other"),
    case(
        "304-updates-cache-control",
        "9111 3.2",
        "required",
        Step(True, _TAGGED),
        Step(True, (*control("max-age=100"), *_TAG), 304, after_s=20, body=0, has=control("max-age=100")),
        Step(False, after_s=90, body=0, has=control("max-age=100")),
    ),
    case(
        "304-without-a-field-keeps-it",
        "9111 3.2",
        "required",
        Step(True, (*_TAGGED, ("X-A", "1"), ("Content-Type", "text/plain"))),
        Step(True, _TAGGED, 304, after_s=20, body=0, has=(("X-A", "1"), ("Content-Type", "text/plain"))),
        Step(False, after_s=5, body=0, has=(("X-A", "1"), ("Content-Type", "text/plain"))),
    ),
    case(
        "304-by-date-updates",
        "9111 3.2",
        "required",
        Step(True, (*_MODIFIED, ("X-A", "1"), ("X-B", "1"))),
        Step(True, (*_MODIFIED, ("X-A", "2")), 304, after_s=20, body=0, has=(("X-A", "2"), ("X-B", "1"))),
        Step(False, after_s=5, body=0, has=(("X-A", "2"), ("X-B", "1"))),
    ),
    case(
        "304-of-several-lines-replaces-all",
        "9111 3.2",
        "required",
        Step(True, (*_TAGGED, ("X-A", "1"), ("X-A", "2"))),
        Step(True, (*_TAGGED, ("X-A", "3")), 304, after_s=20, body=0, has=(("X-A", "3"),)),
        Step(False, after_s=5, has=(("X-A", "3"),)),
    ),
    case(
        "304-drops-an-old-age",
        "9111 4.2.3",
        "required",
        Step(True, (*control("max-age=40"), *_TAG, ("Age", "30"), ("Date", date()))),
        Step(True, (*_TAG, ("Date", date(20))), 304, after_s=20, body=0, has=(("Age", "0"),)),
        Step(False, after_s=39, body=0, has=(("Age", "39"),)),
    ),
    case(
        "304-sets-no-cookie-for-others",
        "9111 7.3",
        "required",
        Step(True, _TAGGED),
        Step(True, (*_TAGGED, ("Set-Cookie", "a=b")), 304, after_s=20, body=0),
        Step(False, after_s=5, body=0, lacks=("Set-Cookie",)),
    ),
    case(
        "304-takes-the-leave-to-store-back",
        "9111 3.2",
        "required",
        Step(True, _TAGGED),
        Step(True, control("private, max-age=10"), 304, after_s=20, body=0),
        Step(True, (), 304, after_s=5, body=0),
    ),
    case(
        "304-hop-by-hop-is-not-stored",
        "9110 7.6.1",
        "required",
        Step(True, _TAGGED),
        Step(True, (*_TAGGED, ("Connection", "X-Mine"), ("X-Mine", "1")), 304, after_s=20, lacks=("X-Mine",)),
        Step(False, after_s=5, lacks=("X-Mine",)),
    ),
    case(
        "304-changes-vary",
        "9111 4.1",
        "required",
        Step(True, _TAGGED, sends=(("A", "1"),)),
        Step(True, (*_TAGGED, ("Vary", "A")), 304, after_s=20, sends=(("A", "1"),), body=0),
        Step(False, sends=(("A", "1"),), body=0),
    ),
    case(
        "304-keeps-a-weak-etag-weak",
        "9110 8.8.3",
        "recommended",
        Step(True, (*_SHORT, ("ETag", 'W/"a"'))),
        Step(True, _TAGGED, 304, after_s=20, body=0, has=(("ETag", 'W/"a"'),)),
        Step(False, after_s=5, has=(("ETag", 'W/"a"'),)),
    ),
    case(
        "304-updates-only-its-variant",
        "9111 4.3.4",
        "required",
        Step(True, (*_TAGGED, ("Vary", "A"), ("X-A", "1")), sends=(("A", "1"),)),
        Step(True, (*_SHORT, ("ETag", '"b"'), ("Vary", "A"), ("X-A", "2")), sends=(("A", "2"),)),
        Step(True, (*control("max-age=99"), *_TAG, ("X-A", "3")), 304, after_s=20, sends=(("A", "1"),), body=0),
        Step(True, (("ETag", '"b"'),), 304, sends=(("A", "2"),), body=1, has=(("X-A", "2"),)),
    ),
)

HEADS = (
    reused("head-from-get", "9110 9.3.2", FRESH, method="HEAD", body=None),
    reused("head-from-get-tells-the-length", "9110 8.6", FRESH, method="HEAD", body=None, has=(_LENGTH,)),
    case(
        "head-miss-goes-as-head",
        "9110 9.3.2",
        "required",
        Step(True, FRESH, method="HEAD"),
        Step(True, FRESH, body=1),
    ),
    case(
        "head-of-stale-goes-as-head",
        "9110 9.3.2",
        "recommended",
        Step(True, FRESH),
        Step(True, FRESH, method="HEAD", after_s=4000, cache="fwd=stale; fwd-status=200"),
    ),
    case(
        "head-freshens",
        "9111 4.3.5",
        "recommended",
        Step(True, FRESH),
        Step(True, FRESH, method="HEAD", after_s=4000),
        Step(False, after_s=3000, body=0),
    ),
    case(
        "head-updates-fields",
        "9111 4.3.5",
        "recommended",
        Step(True, (*_SHORT, ("X-A", "1"), ("X-B", "1"))),
        Step(True, (*FRESH, ("X-A", "2")), method="HEAD", after_s=20, has=(("X-A", "2"),)),
        Step(False, body=0, has=(("X-A", "2"), ("X-B", "1"))),
    ),
    case(
        "head-of-another-length-makes-stale",
        "9111 4.3.5",
        "recommended",
        Step(True, FRESH),
        Step(True, FRESH, method="HEAD", sends=control("no-cache"), gives_body=b"of another length"),
        Step(True, FRESH, body=2),
    ),
    case(
        "head-of-another-etag-makes-stale",
        "9111 4.3.5",
        "recommended",
        Step(True, _SHORT),
        Step(True, (*FRESH, ("ETag", '"b"')), method="HEAD", after_s=20),
        Step(True, FRESH, body=2),
    ),
    case(
        "head-that-is-private-makes-stale",
        "9111 4.3.5",
        "recommended",
        Step(True, FRESH),
        Step(True, control("private, max-age=100"), method="HEAD", sends=control("no-cache")),
        Step(True, FRESH, body=2),
    ),
    case(
        "head-with-a-validator-validates",
        "9111 4.3.1",
        "recommended",
        Step(True, _TAGGED),
        Step(
            True, _TAGGED, 304, method="HEAD", after_s=20, origin_method="GET", origin_has=(("If-None-Match", '"a"'),)
        ),
        Step(False, after_s=5, body=0),
    ),
    case(
        "head-error-changes-nothing",
        "9111 4.3.5",
        "recommended",
        Step(True, FRESH),
        Step(True, (), 500, method="HEAD", sends=control("no-cache"), status=500),
        Step(False, body=0),
    ),
)

UPDATING = (*NOT_MODIFIED, *HEADS)
