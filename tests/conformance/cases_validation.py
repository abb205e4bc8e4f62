"""Conditional requests both ways: RFC 9111 §4.3, RFC 9110 §13."""

from tests.conformance.table import FRESH, NOW_S, Case, Kind, Pairs, Step, case, control, date

_A, _X = '"a"', '"x"'
_TAGGED = (*control("max-age=10"), ("ETag", _A))
_WEAK = (*control("max-age=10"), ("ETag", 'W/"a"'))
_MODIFIED = (*control("max-age=10"), ("Last-Modified", date(-1000)))
_BOTH = (*_TAGGED, ("Last-Modified", date(-1000)))


def _ours(name: str, first: Pairs, told: Pairs, asked: Pairs, *, section: str = "9111 4.3.1") -> Case:
    """A stale answer is validated, and serves again."""
    return case(
        f"validated-{name}",
        section,
        "recommended",
        Step(True, first),
        Step(True, told, 304, after_s=20, body=0, origin_has=asked, cache="fwd-status=304"),
    )


OURS = (
    _ours("by-etag", _TAGGED, (("ETag", _A),), (("If-None-Match", _A),)),
    _ours("by-weak-etag", _WEAK, (("ETag", 'W/"a"'),), (("If-None-Match", 'W/"a"'),)),
    _ours("by-date", _MODIFIED, (), (("If-Modified-Since", date(-1000)),)),
    _ours("by-both", _BOTH, (("ETag", _A),), (("If-None-Match", _A), ("If-Modified-Since", date(-1000)))),
    _ours("without-validators-in-the-304", _TAGGED, (), (("If-None-Match", _A),)),
    _ours("strong-where-ours-is-weak", _WEAK, (("ETag", _A),), (("If-None-Match", 'W/"a"'),), section="9111 4.3.4"),
    _ours("weak-where-ours-is-strong", _TAGGED, (("ETag", 'W/"a"'),), (("If-None-Match", _A),), section="9111 4.3.4"),
    case(
        "without-validators-is-fetched",
        "9111 4.3.1",
        "required",
        Step(True, control("max-age=10")),
        Step(True, FRESH, after_s=20, body=1, origin_lacks=("If-None-Match", "If-Modified-Since")),
    ),
    case(
        "date-alone-is-no-validator",
        "9111 4.3.1",
        "required",
        Step(True, (*control("max-age=10"), ("Date", date()))),
        Step(True, FRESH, after_s=20, body=1, origin_lacks=("If-Modified-Since",)),
    ),
    case(
        "changed",
        "9111 4.3.3",
        "required",
        Step(True, _TAGGED),
        Step(True, (*control("max-age=10"), ("ETag", '"b"')), after_s=20, body=1),
        Step(False, body=1),
    ),
    case(
        "304-of-another-etag",
        "9111 4.3.4",
        "required",
        Step(True, (*control("max-age=10, must-revalidate"), ("ETag", _A))),
        Step(True, (("ETag", '"b"'), *FRESH), 304, after_s=20, status=502, origin_lacks=("If-None-Match",)),
    ),
    case(
        "304-of-another-date",
        "9111 4.3.4",
        "required",
        Step(True, (*control("max-age=10, must-revalidate"), ("Last-Modified", date(-1000)))),
        Step(True, (("Last-Modified", date(-5)), *FRESH), 304, after_s=20, status=502),
    ),
    case(
        "304-makes-it-fresh-again",
        "9111 4.3.4",
        "required",
        Step(True, _TAGGED),
        Step(True, _TAGGED, 304, after_s=20, body=0),
        Step(False, after_s=9, body=0),
        Step(True, _TAGGED, 304, after_s=2, body=0),
    ),
    case(
        "error-does-not-replace-what-may-be-stale",
        "9111 4.3.3",
        "recommended",
        Step(True, _TAGGED),
        Step(True, (), 503, after_s=20, body=0),
        Step(True, _TAGGED, 304, body=0, origin_has=(("If-None-Match", _A),)),
    ),
    case(
        "404-replaces",
        "9111 4.3.3",
        "required",
        Step(True, _TAGGED),
        Step(True, FRESH, 404, after_s=20, status=404, body=1),
        Step(False, status=404, body=1),
    ),
)


def _theirs(name: str, gives: Pairs, sends: Pairs, *, status: int = 304, section: str = "9111 4.3.2") -> Case:
    """A fresh answer is there, and the browser has a condition of its own."""
    kind: Kind = "recommended" if status == 304 else "required"
    return case(
        f"browsers-{name}",
        section,
        kind,
        Step(True, gives),
        Step(False, sends=sends, status=status, body=0, cache="hit"),
    )


def _match(value: str) -> Pairs:
    return (("If-None-Match", value),)


def _since(value: str) -> Pairs:
    return (("If-Modified-Since", value),)


_TODAY = (*control("max-age=9999"), ("Date", date()))

THEIRS = (
    _theirs("etag-holds", _TAGGED, _match(_A)),
    _theirs("etag-weak-against-strong", _TAGGED, _match('W/"a"'), section="9110 13.1.2"),
    _theirs("etag-strong-against-weak", _WEAK, _match(_A), section="9110 13.1.2"),
    _theirs("etag-weak-against-weak", _WEAK, _match('W/"a"'), section="9110 13.1.2"),
    _theirs("etag-first-of-many", _TAGGED, _match('"a", "x", "y"'), section="9110 13.1.2"),
    _theirs("etag-amid-many", _TAGGED, _match('"x", "a", "y"'), section="9110 13.1.2"),
    _theirs("etag-last-of-many", _TAGGED, _match('"x","y","a"'), section="9110 13.1.2"),
    _theirs("etag-on-a-second-line", _TAGGED, (*_match(_X), *_match(_A)), section="9110 5.3"),
    _theirs("etag-with-a-comma", (*FRESH, ("ETag", '"a,b"')), _match('"x", "a,b"'), section="9110 8.8.3"),
    _theirs("etag-with-obs-text", (*FRESH, ("ETag", '"a\xe9"')), _match('"a\xe9"'), section="9110 8.8.3"),
    _theirs("empty-etag", (*FRESH, ("ETag", '""')), _match('""'), section="9110 8.8.3"),
    _theirs("star", _TAGGED, _match("*"), section="9110 13.1.2"),
    _theirs("star-without-an-etag", FRESH, _match("*"), section="9110 13.1.2"),
    _theirs("etag-differs", _TAGGED, _match(_X), status=200),
    _theirs("etag-in-other-letters", _TAGGED, _match('"A"'), status=200, section="9110 8.8.3"),
    _theirs("etag-unquoted", _TAGGED, _match("a"), status=200, section="9110 8.8.3"),
    _theirs("etag-where-there-is-none", FRESH, _match(_A), status=200),
    _theirs("etag-before-a-date-that-holds", _BOTH, (*_match(_X), *_since(date())), status=200, section="9110 13.2.2"),
    _theirs("etag-before-a-date-that-fails", _BOTH, (*_match(_A), *_since(date(-9000))), section="9110 13.2.2"),
    _theirs("date-holds", _MODIFIED, _since(date(-1000))),
    _theirs("date-later", _MODIFIED, _since(date(-500))),
    _theirs("date-rfc850", _MODIFIED, _since("Friday, 15-Jan-27 07:45:00 GMT"), section="9110 5.6.7"),
    _theirs("date-asctime", _MODIFIED, _since("Fri Jan 15 07:45:00 2027"), section="9110 5.6.7"),
    _theirs("date-without-last-modified", _TODAY, _since(date(10))),
    _theirs("date-without-any", control("max-age=9999"), _since(date(10))),
    _theirs("date-too-old", _MODIFIED, _since(date(-1001)), status=200),
    _theirs("date-before-our-date", _TODAY, _since(date(-10)), status=200),
    _theirs("date-nonsense", _MODIFIED, _since("today"), status=200, section="9110 13.1.3"),
    _theirs("date-twice", _MODIFIED, (*_since(date()), *_since(date())), status=200, section="9110 13.1.3"),
    case(
        "browsers-condition-on-an-error",
        "9110 13.2.1",
        "required",
        Step(True, _TAGGED, 404, status=404),
        Step(False, sends=_match(_A), status=404, body=0),
    ),
    case(
        "browsers-condition-on-203",
        "9110 13.2.1",
        "recommended",
        Step(True, _TAGGED, 203, status=203),
        Step(False, sends=_match(_A), status=304),
    ),
    case(
        "browsers-condition-on-head",
        "9110 13.1.2",
        "recommended",
        Step(True, _TAGGED),
        Step(False, method="HEAD", sends=_match(_A), status=304),
    ),
    case(
        "304-tells-what-a-cache-needs",
        "9110 15.4.5",
        "required",
        Step(
            True,
            (*control("max-age=99"), ("Date", date()), ("ETag", _A), ("Expires", date(99)), ("Vary", "A"),
             ("Content-Location", "/b"), ("Content-Type", "text/plain"), ("X-A", "1")),
        ),
        Step(
            False,
            sends=_match(_A),
            status=304,
            has=(*control("max-age=99"), ("Date", date()), ("ETag", _A), ("Expires", date(99)), ("Vary", "A"),
                 ("Content-Location", "/b")),
            lacks=("Content-Length", "Content-Type", "X-A"),
        ),
    ),
    case(
        "304-of-a-stale-answer-after-validation",
        "9111 4.3.2",
        "recommended",
        Step(True, _MODIFIED),
        Step(True, (), 304, after_s=20, sends=_since(date(-1000)), status=304),
    ),
    case(
        "changed-to-what-the-browser-has",
        "9111 4.3.2",
        "recommended",
        Step(True, _TAGGED),
        Step(True, (*FRESH, ("ETag", _X)), after_s=20, sends=_match(_X), status=304, origin_has=_match(_A)),
        Step(False, body=1),
    ),
    case(
        "our-validator-takes-the-place-of-the-browsers",
        "9111 4.3.1",
        "required",
        Step(True, _TAGGED),
        Step(True, _TAGGED, 304, after_s=20, sends=_match(_X), body=0, origin_has=_match(_A)),
    ),
    *(
        case(
            f"nothing-stored-passes-on-{sends[0][0].lower()}",
            "9111 4.3.2",
            "recommended",
            Step(True, (("ETag", _X),), 304, sends=sends, status=304, origin_has=sends, cache="fwd-status=304"),
            Step(True, FRESH, body=1, cache="stored"),
            Step(False, body=1),
        )
        for sends in (_match(_X), _since(date(-1000)))
    ),
    case(
        "nothing-stored-and-changed",
        "9111 4.3.2",
        "recommended",
        Step(True, (*FRESH, ("ETag", _A)), sends=_match(_X), body=0, origin_has=_match(_X)),
        Step(False, body=0),
    ),
    case(
        "what-is-not-stored-keeps-its-conditions",
        "9111 4.3.2",
        "recommended",
        Step(True, (*control("private"), ("ETag", _A))),
        Step(True, (("ETag", _A),), 304, sends=_match(_A), status=304, origin_has=_match(_A)),
        Step(True, (("ETag", _A),), 304, sends=_match(_A), status=304, origin_has=_match(_A)),
    ),
    *(
        case(
            f"{name.lower()}-is-for-the-origin",
            "9111 4.3.2",
            "required",
            Step(True, _BOTH),
            Step(True, (), 412, sends=((name, value),), status=412, origin_has=((name, value),), cache="fwd=bypass"),
        )
        for name, value in (("If-Match", _X), ("If-Unmodified-Since", date(-5000)))
    ),
)  # fmt: skip

VALIDATION = (*OURS, *THEIRS)
assert NOW_S == 1_800_000_000  # the dates above that are written out count from it
