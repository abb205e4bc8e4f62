"""Ranges: RFC 9110 §13.1.5, §13.2.2, §14, §15.3.7 and §15.5.17, and answers in part: RFC 9111 §3.3 and §3.4.

The content is the alphabet unless a case says otherwise, in one slice (`limits` in `web_world`).
"""

import brotli

from tests.conformance.table import FRESH, Case, Kind, Pairs, Step, case, control, date

ABC = b"abcdefghijklmnopqrstuvwxyz"
PAGE = b"<p>texto que se repite, una y otra vez</p>" * 40
TAGGED = (*FRESH, ("ETag", '"a"'))
_SLICE = (("Range", "bytes=0-65535"), ("Accept-Encoding", "identity"))
_DATED = (*FRESH, ("Last-Modified", date(-100)), ("Date", date()))


def bytes_of(text: str, *more: tuple[str, str]) -> Pairs:
    """A request for ranges."""
    return (("Range", f"bytes={text}"), *more)


def said(text: str, size: int = 26) -> Pairs:
    """What an answer says that it holds."""
    return (("Content-Range", f"bytes {text}/{size}"),)


def stored(
    name: str,
    section: str,
    kind: Kind,
    gives: Pairs,
    *,
    gives_body: bytes = ABC,
    gives_status: int = 200,
    **then: object,
) -> Case:
    """What came whole is asked for in part."""
    first = Step(True, gives, gives_status, status=gives_status, gives_body=gives_body)
    again = {"reached": False, "cache": "hit", **then}
    return Case(name, section, kind, (first, Step(**again)))  # type: ignore[arg-type]


def cut(
    name: str, section: str, text: str, content: bytes, told: str, *, kind: Kind = "recommended", **then: object
) -> Case:
    """A range of what is stored is sent as 206."""
    has = (*said(told), ("Content-Length", str(len(content))))
    expected = {"sends": bytes_of(text), "status": 206, "content": content, "has": has, **then}
    return stored(name, section, kind, TAGGED, **expected)  # type: ignore[arg-type]  # what a Step takes


def ignored(name: str, section: str, sends: Pairs, *, kind: Kind = "required", gives: Pairs = TAGGED) -> Case:
    """A range that is none, or whose condition does not hold, is as if it was not there."""
    return stored(name, section, kind, gives, sends=sends, content=ABC, lacks=("Content-Range",))


def sent_part(text: str, content: bytes, *more: tuple[str, str], tag: str = '"a"', size: int = 26) -> dict[str, object]:
    """What an origin answers with a part."""
    return {"gives": (*FRESH, ("ETag", tag), *said(text, size), *more), "gives_status": 206, "gives_body": content}


def step(reached: bool, *parts: dict[str, object], **more: object) -> Step:
    """A step of several makings."""
    made: dict[str, object] = {}
    for each in (*parts, more):
        made.update(each)
    return Step(reached, **made)  # type: ignore[arg-type]


WHOLE = (
    cut("range-of-the-stored", "9110 14.2", "2-4", b"cde", "2-4"),
    cut("range-to-the-end", "9110 14.1.2", "20-", b"uvwxyz", "20-25"),
    cut("range-from-the-first-byte-is-206", "9110 14.2", "0-", ABC, "0-25"),
    cut("range-suffix", "9110 14.1.2", "-3", b"xyz", "23-25"),
    cut("range-suffix-of-all", "9110 14.1.2", "-300", ABC, "0-25", kind="required"),
    cut("range-past-the-end", "9110 14.1.2", "24-999", b"yz", "24-25", kind="required"),
    cut("range-one-byte", "9110 14.1.2", "0-0", b"a", "0-0"),
    cut("range-one-of-two-satisfiable", "9110 14.2", "900-, 1-2", b"bc", "1-2"),
    cut("ranges-that-overlap-are-one", "9110 17.15", "0-9, 5-14, 3-4", ABC[:15], "0-14"),
    cut("ranges-that-touch-are-one", "9110 15.3.7.2", "0-4,5-9", ABC[:10], "0-9"),
    cut("ranges-with-empty-members", "9110 5.6.1.2", " 1-2 ,, ", b"bc", "1-2", kind="required"),
    cut("range-unit-in-capitals", "9110 14.1", "", b"bc", "1-2", kind="required", sends=(("Range", "BYTES=1-2"),)),
    cut("range-keeps-a-strong-etag", "9110 15.3.7", "1-2", b"bc", "1-2", kind="required", has=(("ETag", '"a"'),)),
    cut("range-is-aged", "9111 5.1", "1-2", b"bc", "1-2", kind="required", after_s=9, has=(("Age", "9"),)),
    stored(
        "range-unsatisfiable",
        "9110 15.5.17",
        "recommended",
        TAGGED,
        sends=bytes_of("26-"),
        status=416,
        content=b"",
        has=(("Content-Range", "bytes */26"),),
        lacks=("ETag", "Cache-Control"),
    ),
    stored(
        "range-empty-suffix",
        "9110 14.1.2",
        "recommended",
        TAGGED,
        sends=bytes_of("-0"),
        status=416,
        has=(("Content-Range", "bytes */26"),),
    ),
    stored(
        "range-of-nothing",
        "9110 14.1.2",
        "recommended",
        TAGGED,
        gives_body=b"",
        sends=bytes_of("0-"),
        status=416,
        has=(("Content-Range", "bytes */0"),),
    ),
    stored(
        "suffix-of-nothing", "9110 14.1.2", "recommended", TAGGED, gives_body=b"", sends=bytes_of("-5"), content=b""
    ),
    stored(
        "ranges-apart-are-parts",
        "9110 14.6",
        "required",
        TAGGED,
        gives_body=ABC * 40,
        sends=bytes_of("0-1,900-901"),
        status=206,
        lacks=("Content-Range",),
    ),
    ignored("range-backwards", "9110 14.1.2", bytes_of("9-2")),
    ignored("range-with-one-backwards", "9110 14.1.1", bytes_of("0-1,9-2"), kind="recommended"),
    ignored("range-of-another-unit", "9110 14.2", (("Range", "letters=0-3"),)),
    ignored("range-nonsense", "9110 14.2", (("Range", "bytes=a-b"),), kind="recommended"),
    ignored("range-without-numbers", "9110 14.1.1", bytes_of("-"), kind="recommended"),
    ignored("range-twice", "9110 5.3", (*bytes_of("0-1"), *bytes_of("2-3")), kind="recommended"),
    ignored("ranges-too-many", "9110 17.15", bytes_of(",".join(f"{at}-{at}" for at in range(0, 400, 2)))),
    stored(
        "range-with-head",
        "9110 14.2",
        "required",
        TAGGED,
        method="HEAD",
        sends=bytes_of("1-2"),
        has=(("Content-Length", "26"), ("Accept-Ranges", "bytes")),
        lacks=("Content-Range",),
    ),
    stored(
        "range-of-a-404",
        "9110 14.2",
        "required",
        FRESH,
        gives_status=404,
        sends=bytes_of("1-2"),
        status=404,
        content=ABC,
        lacks=("Accept-Ranges",),
    ),
    stored("ranges-are-offered", "9110 14.3", "recommended", TAGGED, content=ABC, has=(("Accept-Ranges", "bytes"),)),
    stored(
        "range-tells-what-the-whole-would",
        "9110 15.3.7",
        "required",
        (*TAGGED, ("Vary", "Accept-Language"), ("Content-Location", "/abc"), ("Expires", date(9)), ("Date", date())),
        sends=bytes_of("1-2"),
        status=206,
        has=(("Vary", "Accept-Language"), ("Content-Location", "/abc"), ("Expires", date(9)), ("Date", date())),
    ),
    stored(
        "range-under-no-transform",
        "9110 7.7",
        "required",
        (*control("max-age=3600, no-transform"), ("ETag", '"a"')),
        sends=bytes_of("1-2"),
        status=206,
        content=b"bc",
    ),
)

CONDITIONS = (
    stored(
        "if-none-match-before-range",
        "9110 13.2.2",
        "required",
        TAGGED,
        sends=bytes_of("1-2", ("If-None-Match", '"a"')),
        status=304,
        lacks=("Content-Range",),
    ),
    stored(
        "if-none-match-of-another-and-range",
        "9110 13.2.2",
        "required",
        TAGGED,
        sends=bytes_of("1-2", ("If-None-Match", '"b"')),
        status=206,
        content=b"bc",
    ),
    stored(
        "if-modified-since-before-range",
        "9110 13.2.2",
        "required",
        _DATED,
        sends=bytes_of("1-2", ("If-Modified-Since", date(-100))),
        status=304,
    ),
    stored(
        "if-none-match-before-what-cannot-be",
        "9110 13.2.2",
        "required",
        TAGGED,
        sends=bytes_of("900-", ("If-None-Match", '"a"')),
        status=304,
    ),
    cut("if-range-holds", "9110 13.1.5", "1-2", b"bc", "1-2", sends=bytes_of("1-2", ("If-Range", '"a"'))),
    ignored("if-range-of-another", "9110 13.1.5", bytes_of("1-2", ("If-Range", '"b"'))),
    ignored("if-range-weak", "9110 13.1.5", bytes_of("1-2", ("If-Range", 'W/"a"'))),
    ignored(
        "if-range-of-the-weak",
        "9110 13.1.5",
        bytes_of("1-2", ("If-Range", 'W/"a"')),
        gives=(*FRESH, ("ETag", 'W/"a"')),
    ),
    ignored("if-range-nonsense", "9110 13.1.5", bytes_of("1-2", ("If-Range", "a"))),
    ignored("if-range-of-another-and-what-cannot-be", "9110 13.1.5", bytes_of("900-", ("If-Range", '"b"'))),
    ignored("if-range-alone", "9110 13.1.5", (("If-Range", '"a"'),)),
    stored(
        "if-range-date",
        "9110 13.1.5",
        "recommended",
        _DATED,
        sends=bytes_of("1-2", ("If-Range", date(-100))),
        status=206,
        content=b"bc",
    ),
    ignored("if-range-date-later", "9110 13.1.5", bytes_of("1-2", ("If-Range", date(-50))), gives=_DATED),
    ignored(
        "if-range-date-not-strong",
        "9110 8.8.2.2",
        bytes_of("1-2", ("If-Range", date(-100))),
        gives=(*FRESH, ("Last-Modified", date(-100)), ("Date", date(-100))),
    ),
)

CODED = (
    stored(
        "range-of-the-coded",
        "9110 14.1.2",
        "required",
        (*TAGGED, ("Content-Encoding", "br")),
        gives_body=brotli.compress(PAGE),
        sends=bytes_of("0-3", ("Accept-Encoding", "br")),
        status=206,
        content=brotli.compress(PAGE)[:4],
        has=(("ETag", '"a"'), ("Content-Encoding", "br"), ("Vary", "Accept-Encoding")),
    ),
    stored(
        "range-of-what-is-decoded",
        "9110 14.2",
        "recommended",
        (*TAGGED, ("Content-Encoding", "br")),
        gives_body=brotli.compress(PAGE),
        sends=bytes_of("0-3"),
        content=PAGE,
        lacks=("Content-Range", "Content-Encoding", "Accept-Ranges"),
    ),
    stored(
        "range-of-what-would-be-coded",
        "9110 15.3.7",
        "required",
        (*TAGGED, ("Content-Type", "text/html")),
        gives_body=PAGE,
        sends=bytes_of("3-7", ("Accept-Encoding", "gzip")),
        status=206,
        content=PAGE[3:8],
        has=(("ETag", '"a"'), ("Vary", "Accept-Encoding"), *said("3-7", len(PAGE))),
        lacks=("Content-Encoding",),
    ),
)

_ALL = sent_part("0-25", ABC)
_BEGINNING = step(
    True,
    sent_part("0-9", ABC[:10]),
    sends=bytes_of("0-4"),
    status=206,
    content=b"abcde",
    origin_has=_SLICE,
    has=said("0-4"),
)

SLICES = (
    case(
        "range-unknown-is-fetched-as-a-slice",
        "9111 3.3",
        "recommended",
        step(True, _ALL, sends=bytes_of("2-4"), status=206, content=b"cde", origin_has=_SLICE, cache="fwd=uri-miss"),
        Step(False, sends=bytes_of("-2"), status=206, content=b"yz", cache="hit"),
        Step(False, content=ABC, cache="hit", has=(("ETag", '"a"'), ("Content-Length", "26"))),
    ),
    case(
        "range-unknown-from-the-first-byte-is-206",
        "9110 14.2",
        "recommended",
        step(True, _ALL, sends=bytes_of("0-"), status=206, content=ABC, has=said("0-25")),
    ),
    case(
        "range-unknown-past-the-end",
        "9110 15.5.17",
        "recommended",
        step(True, _ALL, sends=bytes_of("26-30"), status=416, has=(("Content-Range", "bytes */26"),)),
    ),
    case(
        "range-unknown-suffix",
        "9110 14.1.2",
        "recommended",
        step(True, sent_part("23-25", b"xyz"), sends=bytes_of("-3"), status=206, content=b"xyz",
             origin_has=bytes_of("-3")),
        Step(False, sends=bytes_of("24-24"), status=206, content=b"y", cache="hit"),
    ),
    case(
        "range-of-the-whole-that-comes-instead",
        "9110 14.2",
        "recommended",
        Step(True, TAGGED, gives_body=ABC, sends=bytes_of("2-4"), status=206, content=b"cde", has=said("2-4")),
        Step(False, content=ABC, cache="hit"),
    ),
    case(
        "range-that-an-origin-refuses",
        "9110 15.5.17",
        "required",
        Step(
            True,
            (*FRESH, ("Content-Range", "bytes */5")),
            416,
            sends=bytes_of("9-"),
            status=416,
            has=(("Content-Range", "bytes */5"),),
        ),
        Step(True, TAGGED, gives_body=ABC, content=ABC),
    ),
    case(
        "range-of-what-is-not-there",
        "9110 14.2",
        "required",
        Step(True, FRESH, 404, sends=bytes_of("0-3"), status=404, body=0, lacks=("Content-Range",)),
        Step(False, status=404, body=0, cache="hit"),
    ),
    case(
        "parts-are-combined",
        "9111 3.4",
        "recommended",
        _BEGINNING,
        step(
            True, sent_part("10-25", ABC[10:]), sends=bytes_of("8-"), status=206, content=ABC[8:],
            origin_has=bytes_of("10-25"), cache="fwd=partial", has=said("8-25"),
        ),
        Step(False, content=ABC, cache="hit", has=(("Content-Length", "26"),)),
    ),
    case(
        "part-completes-a-whole",
        "9111 3.3",
        "required",
        _BEGINNING,
        step(True, sent_part("10-25", ABC[10:]), content=ABC, origin_has=bytes_of("10-25"), cache="fwd=partial",
             lacks=("Content-Range",)),
    ),
    case(
        "part-serves-what-lies-in-it",
        "9111 3.3",
        "recommended",
        _BEGINNING,
        Step(False, sends=bytes_of("3-9"), status=206, content=ABC[3:10], cache="hit"),
    ),
    case(
        "part-answers-head",
        "9111 3.3",
        "recommended",
        _BEGINNING,
        Step(False, method="HEAD", has=(("Content-Length", "26"), ("ETag", '"a"')), cache="hit"),
    ),
    case(
        "part-answers-if-none-match",
        "9111 4.3.2",
        "recommended",
        _BEGINNING,
        Step(False, sends=(("If-None-Match", '"a"'),), status=304, cache="hit"),
    ),
    case(
        "part-is-no-whole",
        "9111 3.3",
        "required",
        _BEGINNING,
        Step(False, sends=control("only-if-cached"), status=504, lacks=("Content-Range",)),
    ),
    case(
        "parts-of-two-contents-are-not-combined",
        "9111 3.4",
        "required",
        _BEGINNING,
        step(True, sent_part("10-25", ABC[10:].upper(), tag='"b"'), sends=bytes_of("10-"), status=206,
             content=ABC[10:].upper(), has=(("ETag", '"b"'),)),
        step(True, sent_part("0-9", ABC[:10].upper(), tag='"b"'), content=ABC.upper(), origin_has=bytes_of("0-9")),
    ),
    case(
        "parts-of-two-lengths-are-not-combined",
        "9111 3.4",
        "required",
        _BEGINNING,
        step(True, sent_part("10-29", ABC[10:] + b"1234", size=30), sends=bytes_of("10-"), status=206,
             content=ABC[10:] + b"1234", has=said("10-29", 30)),
        step(True, sent_part("0-9", ABC[:10], size=30), content=ABC + b"1234"),
    ),
    case(
        "parts-with-a-strong-date-are-combined",
        "9110 15.3.7.3",
        "recommended",
        Step(True, (*_DATED, *said("0-9")), 206, gives_body=ABC[:10], sends=bytes_of("0-1"), status=206, content=b"ab"),
        Step(True, (*_DATED, *said("10-25")), 206, gives_body=ABC[10:], content=ABC, origin_has=bytes_of("10-25")),
    ),
    case(
        "part-is-validated-as-a-whole",
        "9111 4.3",
        "required",
        _BEGINNING,
        Step(
            True, FRESH, 304, after_s=4000, sends=bytes_of("2-4"), status=206, content=b"cde",
            origin_has=(("If-None-Match", '"a"'), ("Range", "bytes=0-25")), cache="fwd=stale; fwd-status=304",
        ),
        Step(False, sends=bytes_of("2-4"), status=206, content=b"cde", cache="hit", after_s=3000),
    ),
    case(
        "slice-of-a-new-content-replaces-the-whole",
        "9111 3.4",
        "required",
        Step(True, TAGGED, gives_body=ABC, content=ABC),
        step(
            True, sent_part("0-25", ABC.upper(), tag='"b"'), after_s=4000, sends=bytes_of("2-4"), status=206,
            content=b"CDE", origin_has=(("If-None-Match", '"a"'), *_SLICE), cache="fwd=stale; fwd-status=206",
        ),
        Step(False, content=ABC.upper(), cache="hit"),
    ),
    case(
        "part-is-invalidated",
        "9111 4.4",
        "required",
        _BEGINNING,
        Step(True, method="POST", body=1),
        Step(True, FRESH, 304, sends=bytes_of("0-4"), status=206, content=b"abcde",
             origin_has=(("If-None-Match", '"a"'),)),
    ),
    case(
        "if-range-of-another-gets-the-whole-in-slices",
        "9110 13.1.5",
        "required",
        step(True, _ALL, sends=bytes_of("2-4", ("If-Range", '"b"')), content=ABC, lacks=("Content-Range",),
             origin_lacks=("If-Range",)),
    ),
    case(
        "ranges-unknown-and-many",
        "9110 14.2",
        "recommended",
        step(True, _ALL, sends=bytes_of("0-1, -2, 900-"), status=206, content=ABC),
    ),
    case(
        "vary-holds-for-slices",
        "9111 4.1",
        "required",
        step(True, sent_part("0-25", ABC, ("Vary", "Accept-Language")),
             sends=bytes_of("0-1", ("Accept-Language", "es")), status=206, content=b"ab"),
        step(True, sent_part("0-25", ABC.upper(), ("Vary", "Accept-Language"), tag='"q"'),
             sends=bytes_of("0-1", ("Accept-Language", "qu")), status=206, content=b"AB"),
        Step(False, sends=(("Accept-Language", "es"),), content=ABC, cache="hit"),
    ),
)  # fmt: skip


def straight(name: str, section: str, gives: Pairs, *sends: tuple[str, str]) -> Case:
    """Where parts cannot be put together the browser's own range goes to the origin, and nothing is stored."""
    one = Step(
        True,
        (*gives, *said("0-4")),
        206,
        gives_body=b"abcde",
        sends=bytes_of("0-4", *sends),
        status=206,
        content=b"abcde",
        has=said("0-4"),
        origin_has=bytes_of("0-4"),
    )
    return case(name, section, "required", one, one)


STRAIGHT = (
    straight("range-without-validator-is-not-sliced", "9111 3.4", FRESH),
    straight("range-with-a-weak-etag-is-not-sliced", "9111 3.4", (*FRESH, ("ETag", 'W/"a"'))),
    straight("range-with-a-weak-date-is-not-sliced", "9111 3.4", (*FRESH, ("Last-Modified", date()), ("Date", date()))),
    straight("range-no-store", "9111 5.2.2.5", (*control("no-store"), ("ETag", '"a"'))),
    straight("range-private", "9111 5.2.2.7", (*control("private, max-age=100"), ("ETag", '"a"'))),
    straight("range-vary-star", "9111 4.1", (*TAGGED, ("Vary", "*"))),
    straight("range-coded-against-the-wish", "9110 12.5.3", (*TAGGED, ("Content-Encoding", "gzip"))),
    straight("range-with-authorization", "9111 3.5", TAGGED, ("Authorization", "Basic eA==")),
    straight("range-request-no-store", "9111 5.2.1.5", TAGGED, ("Cache-Control", "no-store")),
    case(
        "range-straight-keeps-its-condition",
        "9110 13.1.5",
        "required",
        Step(
            True, (*FRESH, *said("0-4")), 206, gives_body=b"abcde", sends=bytes_of("0-4", ("If-Range", '"x"')),
            status=206, content=b"abcde", origin_has=bytes_of("0-4", ("If-Range", '"x"')),
        ),
    ),
    case(
        "range-said-wrongly-is-not-believed",
        "9110 14.4",
        "required",
        Step(True, (*TAGGED, *said("0-30")), 206, gives_body=b"abcde", sends=bytes_of("0-4"), status=206,
             origin_has=bytes_of("0-4")),
        Step(True, TAGGED, gives_body=ABC, content=ABC),
    ),
    case(
        "range-if-match-is-for-the-origin",
        "9111 4.3.2",
        "required",
        Step(True, (*TAGGED, *said("0-4")), 206, gives_body=b"abcde", sends=bytes_of("0-4", ("If-Match", '"a"')),
             status=206, content=b"abcde", origin_has=bytes_of("0-4", ("If-Match", '"a"'))),
    ),
)  # fmt: skip

RANGES = (*WHOLE, *CONDITIONS, *CODED, *SLICES, *STRAIGHT)
