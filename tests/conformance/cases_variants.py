"""Which stored answer a request may get: RFC 9111 §4.1, RFC 9110 §12.5.5."""

from tests.conformance.table import FRESH, Case, Pairs, Step, case, control, not_reused, reused

_ES, _QU = ("Accept-Language", "es"), ("Accept-Language", "qu")
_BY_LANGUAGE = (*FRESH, ("Vary", "Accept-Language"))
_A1, _A2, _A3, _B1, _B2, _C1 = ("A", "1"), ("A", "2"), ("A", "3"), ("B", "1"), ("B", "2"), ("C", "1")


def _vary(*lines: str) -> Pairs:
    return (*FRESH, *(("Vary", line) for line in lines))


def _star(name: str, *lines: str) -> Case:
    sends = (_A1, ("Baz", "789"))
    return not_reused(f"vary-{name}", "9111 4.1", _vary(*lines), sends_first=sends, sends=sends)


def _same(name: str, lines: tuple[str, ...], first: Pairs, second: Pairs) -> Case:
    return reused(f"vary-{name}", "9111 4.1", _vary(*lines), sends_first=first, sends=second)


def _other(name: str, lines: tuple[str, ...], first: Pairs, second: Pairs) -> Case:
    return not_reused(f"vary-{name}", "9111 4.1", _vary(*lines), sends_first=first, sends=second, cache="fwd=vary-miss")


def _tagged(tag: str) -> Pairs:
    return (*FRESH, ("Vary", "A"), ("ETag", tag))


VARIANTS = (
    _star("star", "*"),
    _star("star-twice", "*, *"),
    _star("star-on-two-lines", "*", "*"),
    _star("empty-and-star", ", *"),
    _star("empty-line-and-star", "", "*"),
    _star("star-first", "*, A"),
    _star("star-last", "A, *"),
    _star("star-on-another-line", "A", "*"),
    _same("matches", ("A",), (_A1,), (_A1,)),
    _same("ignores-others", ("A",), (_A1, _B1), (_A1, _B2)),
    _same("name-in-capitals", ("A",), (("a", "1"),), (("A", "1"),)),
    _same("of-two-matches", ("A, B",), (_A1, _B1), (_B1, _A1)),
    _same("over-lines-matches", ("A", "B"), (_A1, _B1), (_A1, _B1)),
    _same("of-three-matches", ("A, B, C",), (_A1, _B1, _C1), (_A1, _B1, _C1)),
    _same("both-leave-one-out", ("A, B, C",), (_A1, _C1), (_A1, _C1)),
    _same("both-leave-it-out", ("A",), (), ()),
    _same("spaces-mean-nothing", ("A",), (("A", "1,2"),), (("A", " 1 ,  2 "),)),
    _same("lines-are-one-list", ("A",), (("A", "1, 2"),), (("A", "1"), ("A", "2"))),
    _same(
        "language-in-capitals", ("Accept-Language",), (("Accept-Language", "es-PE"),), (("Accept-Language", "ES-pe"),)
    ),
    _same(
        "space-around-a-weight",
        ("Accept-Language",),
        (("Accept-Language", "es;q=1, qu;q=0.5"),),
        (("Accept-Language", "es ; q=1,qu; q=0.5"),),
    ),
    _same("empty-is-none", ("",), (_A1,), (_A2,)),
    _other("differs", ("A",), (_A1,), (_A2,)),
    _other("absent-differs", ("A",), (_A1,), ()),
    _other("present-differs", ("A",), (), (_A1,)),
    _other("empty-differs-from-absent", ("A",), (("A", ""),), ()),
    _other("case-of-a-value-differs", ("A",), (("A", "x"),), (("A", "X"),)),
    _other("order-of-values-differs", ("A",), (("A", "1, 2"),), (("A", "2, 1"),)),
    _other("of-two-differs", ("A, B",), (_A1, _B1), (_A1, _B2)),
    _other("of-two-one-left-out", ("A, B",), (_A1, _B1), (_A1,)),
    _other("over-lines-differs", ("A", "B"), (_A1, _B1), (_A1, _B2)),
    _other("no-spaces-between-names", ("A,B",), (_A1, _B1), (_A1, _B2)),
    _other("of-three-differs", ("A, B, C",), (_A1, _B1, _C1), (_A2, _B1, _C1)),
    _other("name-of-the-field-in-capitals", ("a",), (_A1,), (_A2,)),
    _other("with-empty-members", (", A, ,",), (_A1,), (_A2,)),
    _other("on-the-agent", ("User-Agent",), (("User-Agent", "x"),), (("User-Agent", "y"),)),
    _other("on-the-cookie", ("Cookie",), (("Cookie", "a=1"),), (("Cookie", "a=2"),)),
    not_reused("vary-language-differs", "9111 4.1", _BY_LANGUAGE, sends_first=(_ES,), sends=(_QU,)),
    case(
        "vary-keeps-several",
        "9111 4.1",
        "recommended",
        Step(True, _BY_LANGUAGE, sends=(_ES,)),
        Step(True, _BY_LANGUAGE, sends=(_QU,), body=1),
        Step(False, sends=(_ES,), body=0),
        Step(False, sends=(_QU,), body=1),
    ),
    case(
        "vary-newer-takes-its-place",
        "9111 4.1",
        "required",
        Step(True, _BY_LANGUAGE, sends=(_ES,)),
        Step(True, _BY_LANGUAGE, sends=(_ES, ("Cache-Control", "no-cache")), body=1),
        Step(False, sends=(_ES,), body=1),
    ),
    case(
        "vary-forgotten-hides-no-better-one",
        "9111 4.1",
        "recommended",
        Step(True, _BY_LANGUAGE, sends=(_ES,)),
        Step(True, FRESH, sends=(_QU,), body=1),
        Step(False, sends=(_ES,), body=0),
        Step(False, sends=(_QU,), body=1),
    ),
    case(
        "vary-request-goes-on-whole",
        "9111 4.3.1",
        "required",
        Step(True, (("Cache-Control", "max-age=10"), ("ETag", '"a"'), ("Vary", "A")), sends=(_A1,)),
        Step(
            True, (("ETag", '"a"'),), 304, sends=(_A1,), after_s=20, body=0, origin_has=(_A1, ("If-None-Match", '"a"'))
        ),
    ),
    case(
        "vary-miss-offers-what-is-stored",
        "9111 4.3.1",
        "recommended",
        Step(True, _tagged('"a"'), sends=(_A1,)),
        Step(True, (("ETag", '"a"'), ("X-A", "2")), 304, sends=(_A2,), body=0, origin_has=(("If-None-Match", '"a"'),)),
        Step(False, sends=(_A2,), body=0, has=(("X-A", "2"),)),
        Step(False, sends=(_A1,), body=0, lacks=("X-A",)),
    ),
    case(
        "vary-miss-offers-all",
        "9111 4.3.1",
        "recommended",
        Step(True, _tagged('"a"'), sends=(_A1,)),
        Step(True, _tagged('"b"'), sends=(_A2,)),
        Step(True, (("ETag", '"a"'),), 304, sends=(_A3,), body=0, origin_has=(("If-None-Match", '"b", "a"'),)),
        Step(False, sends=(_A3,), body=0),
        Step(False, sends=(_A2,), body=1),
    ),
    case(
        "vary-miss-and-changed",
        "9111 4.3.1",
        "required",
        Step(True, _tagged('"a"'), sends=(_A1,)),
        Step(True, _tagged('"b"'), sends=(_A2,), body=1, origin_has=(("If-None-Match", '"a"'),)),
        Step(False, sends=(_A1,), body=0),
        Step(False, sends=(_A2,), body=1),
    ),
    case(
        "vary-miss-of-a-304-that-names-none",
        "9111 4.3.4",
        "required",
        Step(True, _tagged('"a"'), sends=(_A1,)),
        Step(True, (), 304, sends=(_A2,), status=502, origin_lacks=("If-None-Match",)),
    ),
    case(
        "vary-miss-of-a-304-that-names-another",
        "9111 4.3.4",
        "required",
        Step(True, _tagged('"a"'), sends=(_A1,)),
        Step(True, (("ETag", '"x"'),), 304, sends=(_A2,), status=502, origin_lacks=("If-None-Match",)),
    ),
    case(
        "vary-miss-of-a-304-that-is-private",
        "9111 3.2",
        "required",
        Step(True, _tagged('"a"'), sends=(_A1,)),
        Step(True, (("ETag", '"a"'), ("Cache-Control", "private"), ("X-B", "1")), 304, sends=(_A2,), body=0),
        Step(True, (("ETag", '"a"'),), 304, sends=(_A2,), body=0, lacks=("X-B",)),
        Step(False, sends=(_A1,), body=0, lacks=("X-B",)),
    ),
    case(
        "vary-miss-offers-no-weak-tag",
        "9111 4.3.1",
        "recommended",
        Step(True, _tagged('W/"a"'), sends=(_A1,)),
        Step(True, FRESH, sends=(_A2,), body=1, origin_lacks=("If-None-Match",)),
    ),
    *(
        case(
            f"vary-miss-offers-nothing-of-another-{name.lower()}",
            "9111 4.3.1",
            "required",
            Step(True, (*control("public, max-age=100"), ("Vary", name), ("ETag", '"a"')), sends=((name, "1"),)),
            Step(True, FRESH, sends=((name, "2"),), body=1, origin_lacks=("If-None-Match",)),
        )
        for name in ("Cookie", "Authorization", "X-Auth-Token")
    ),
    case(
        "vary-miss-and-the-browsers-own",
        "9111 4.3.2",
        "recommended",
        Step(True, _tagged('"a"'), sends=(_A1,)),
        Step(
            True,
            (("ETag", '"x"'),),
            304,
            sends=(_A2, ("If-None-Match", '"x"')),
            status=304,
            origin_has=(("If-None-Match", '"a", "x"'),),
        ),
        Step(True, _tagged('"x"'), sends=(_A2,), body=2),
    ),
    case(
        "vary-miss-does-not-validate-another",
        "9111 4.1",
        "required",
        Step(True, (("Cache-Control", "max-age=10"), ("Vary", "A")), sends=(_A1,)),
        Step(True, FRESH, sends=(_A2,), after_s=20, body=1, origin_lacks=("If-Modified-Since",)),
    ),
    case(
        "vary-is-told",
        "9110 12.5.5",
        "required",
        Step(True, (*FRESH, ("Vary", "A")), sends=(_A1,), has=(("Vary", "A"),)),
        Step(False, sends=(_A1,), has=(("Vary", "A"),)),
    ),
    reused("vary-encoding-is-ours", "9111 4.1", _vary("Accept-Encoding"), sends=(("Accept-Encoding", "gzip"),)),
    reused("vary-encoding-in-capitals", "9111 4.1", _vary("ACCEPT-ENCODING"), sends=(("Accept-Encoding", "identity"),)),
)
