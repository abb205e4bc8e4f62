"""How long an answer is fresh, and how old it is: RFC 9111 §4.2, §5.1 and §5.3."""

from tests.conformance.table import FRESH, OLD, Case, Step, case, control, date, not_reused, reused

_NOW = ("Date", date())


def _fresh(name: str, value: str, section: str = "9111 5.2", after_s: float = 50) -> Case:
    return reused(name, section, control(value), after_s=after_s)


def _stale(name: str, value: str, section: str = "9111 5.2") -> Case:
    return not_reused(name, section, control(value), after_s=2)


MAX_AGE = (
    reused("max-age", "9111 4.2.1", FRESH, after_s=3599),
    not_reused("max-age-over", "9111 4.2.1", FRESH, after_s=3600),
    _stale("max-age-0", "max-age=0", "9111 5.2.2.1"),
    _stale("max-age-nonsense", "max-age=x", "9111 4.2.1"),
    _stale("max-age-empty", "max-age=", "9111 4.2.1"),
    _stale("max-age-without-a-value", "max-age", "9111 4.2.1"),
    _stale("max-age-negative", "max-age=-100", "9111 1.2.2"),
    _stale("max-age-plus", "max-age=+100", "9111 1.2.2"),
    _stale("max-age-decimal", "max-age=100.5", "9111 1.2.2"),
    _stale("max-age-decimal-zero", "max-age=100.0", "9111 1.2.2"),
    _stale("max-age-exponent", "max-age=1e3", "9111 1.2.2"),
    _stale("max-age-hexadecimal", "max-age=0x64", "9111 1.2.2"),
    _stale("max-age-leading-letter", "max-age=a100", "9111 1.2.2"),
    _stale("max-age-trailing-letter", "max-age=100a", "9111 1.2.2"),
    _stale("max-age-single-quotes", "max-age='100'"),
    _stale("max-age-half-a-quote", 'max-age="100'),
    _stale("max-age-space-before-equals", "max-age =100"),
    _stale("max-age-space-after-equals", "max-age= 100"),
    _fresh("max-age-2-31", "max-age=2147483648", "9111 1.2.2", after_s=99_999),
    _fresh("max-age-huge", "max-age=99999999999", "9111 1.2.2", after_s=99_999),
    _fresh("max-age-beyond-64-bits", "max-age=99999999999999999999999", "9111 1.2.2", after_s=99_999),
    _fresh("max-age-leading-zeros", "max-age=0000100", "9111 1.2.2"),
    _fresh("max-age-quoted", 'max-age="100"'),
    _fresh("max-age-in-capitals", "MAX-AGE=100"),
    _fresh("max-age-mixed-case", "mAx-aGe=100"),
    _fresh("unknown-directive-before", "foo, max-age=100", "9111 5.2.3"),
    _fresh("unknown-directive-after", "max-age=100, foo=bar", "9111 5.2.3"),
    _fresh("unknown-directive-with-a-list", 'foo="a, b", max-age=100, bar', "9111 5.2.3"),
    _fresh("unknown-directive-with-an-escape", r'foo="a\", max-age=1", max-age=100', "9111 5.2.3"),
    _fresh("empty-members", ", ,max-age=100,,", "9110 5.6.1"),
    _fresh("no-space-between", "foo,max-age=100,bar", "9110 5.6.1"),
    _fresh("tabs-between", "foo\t,\tmax-age=100", "9110 5.6.3"),
    _fresh("nonsense-member", "@@@, max-age=100", "9111 5.2.3"),
    _stale("quoted-directive-is-none", 'foo="max-age=100"'),
    _stale("quoted-directive-before", 'foo="max-age=100", max-age=1'),
    _stale("quoted-directive-after", 'max-age=1, foo="max-age=100"'),
    _stale("quoted-directive-both-quoted", 'max-age="1", foo="max-age=100"'),
    _stale("another-name-is-another-directive", "x-max-age=100"),
    _fresh("first-of-two-counts", "max-age=100, max-age=1", "9111 4.2.1"),
    _stale("first-of-two-counts-stale", "max-age=1, max-age=100", "9111 4.2.1"),
    reused("first-of-two-lines-counts", "9111 4.2.1", (*control("max-age=100"), *control("max-age=1")), after_s=50),
    reused("lines-are-one-list", "9110 5.3", (*control("foo"), *control("max-age=100")), after_s=50),
    reused("field-name-in-capitals", "9110 5.1", (("CACHE-CONTROL", "max-age=100"),), after_s=50),
)

S_MAXAGE = (
    _fresh("s-maxage", "s-maxage=100", "9111 5.2.2.10"),
    not_reused("s-maxage-over", "9111 5.2.2.10", (*control("s-maxage=1"), *OLD), after_s=2),
    _stale("s-maxage-0", "s-maxage=0, max-age=100", "9111 5.2.2.10"),
    _stale("s-maxage-nonsense", "s-maxage=x, max-age=100", "9111 4.2.1"),
    _fresh("s-maxage-before-max-age", "max-age=1, s-maxage=100", "9111 4.2.1"),
    _fresh("s-maxage-before-max-age-turned", "s-maxage=100, max-age=1", "9111 4.2.1"),
    _stale("s-maxage-shorter", "max-age=100, s-maxage=1", "9111 4.2.1"),
    reused("s-maxage-on-a-second-line", "9111 4.2.1", (*control("max-age=1"), *control("s-maxage=100")), after_s=50),
    reused("s-maxage-before-expires", "9111 5.3", (*control("s-maxage=100"), ("Expires", "0")), after_s=50),
)


def _expires(name: str, value: str, section: str = "9111 5.3") -> Case:
    return not_reused(f"expires-{name}", section, (("Expires", value), _NOW, *OLD), after_s=1)


EXPIRES = (
    reused("expires", "9111 5.3", (_NOW, ("Expires", date(100))), after_s=50),
    reused("expires-without-date", "9111 5.3", (("Expires", date(100)),), after_s=50),
    not_reused("expires-over", "9111 5.3", (_NOW, ("Expires", date(100))), after_s=101),
    not_reused("expires-now", "9111 5.3", (_NOW, ("Expires", date()))),
    not_reused("expires-in-the-past", "9111 5.3", (_NOW, ("Expires", date(-1000)), *OLD)),
    _expires("zero", "0"),
    _expires("minus-one", "-1"),
    _expires("nonsense", "tomorrow"),
    _expires("empty", ""),
    _expires("of-another-zone", "Fri, 15 Jan 2027 09:00:00 UTC", "9110 5.6.7"),
    _expires("with-an-offset", "Fri, 15 Jan 2027 09:00:00 +0000", "9110 5.6.7"),
    _expires("without-a-zone", "Fri, 15 Jan 2027 09:00:00", "9110 5.6.7"),
    _expires("small-month", "Fri, 15 jan 2027 09:00:00 GMT", "9110 5.6.7"),
    _expires("small-zone", "Fri, 15 Jan 2027 09:00:00 gmt", "9110 5.6.7"),
    _expires("two-digit-year", "Fri, 15 Jan 27 09:00:00 GMT", "9110 5.6.7"),
    _expires("no-comma", "Fri 15 Jan 2027 09:00:00 GMT", "9110 5.6.7"),
    _expires("two-spaces", "Fri, 15  Jan  2027 09:00:00 GMT", "9110 5.6.7"),
    _expires("dashes", "Fri, 15-Jan-2027 09:00:00 GMT", "9110 5.6.7"),
    _expires("periods", "Fri, 15 Jan 2027 09.00.00 GMT", "9110 5.6.7"),
    _expires("one-digit-hour", "Fri, 15 Jan 2027 9:00:00 GMT", "9110 5.6.7"),
    _expires("one-digit-day", "Tue, 5 Jan 2028 09:00:00 GMT", "9110 5.6.7"),
    _expires("no-such-hour", "Fri, 15 Jan 2027 25:00:00 GMT", "9110 5.6.7"),
    _expires("no-such-day", "Tue, 31 Feb 2027 09:00:00 GMT", "9110 5.6.7"),
    _expires("iso", "2027-01-15T09:00:00Z", "9110 5.6.7"),
    _expires("seconds", "1900000000", "9110 5.6.7"),
    _expires("a-list", f"{date(1000)}, {date(2000)}", "9110 5.6.7"),
    reused(
        "expires-rfc850", "9110 5.6.7", (("Expires", "Friday, 15-Jan-27 09:00:00 GMT"),), kind="required", after_s=9
    ),
    reused("expires-asctime", "9110 5.6.7", (("Expires", "Fri Jan 15 09:00:00 2027"),), kind="required", after_s=9),
    reused("expires-asctime-small-day", "9110 5.6.7", (("Expires", "Sat Jan  1 09:00:00 2028"),), after_s=9),
    reused("expires-far-ahead", "9111 5.3", (("Expires", "Thu, 18 Aug 2050 02:01:18 GMT"),), after_s=99_999),
    reused("expires-first-line-counts", "9111 4.2.1", (("Expires", date(100)), ("Expires", "0")), after_s=50),
    reused("max-age-before-past-expires", "9111 5.3", (*FRESH, ("Expires", date(-9000))), kind="required", after_s=50),
    reused("max-age-before-bad-expires", "9111 5.3", (*FRESH, ("Expires", "0")), kind="required", after_s=50),
    not_reused("max-age-before-expires", "9111 5.3", (*control("max-age=1"), ("Expires", date(100))), after_s=2),
    not_reused("max-age-0-before-expires", "9111 5.3", (*control("max-age=0"), ("Expires", date(100)))),
    reused("expires-with-a-bad-date", "9111 4.2.3", (("Date", "foo"), ("Expires", date(100))), after_s=50),
    not_reused("expires-before-a-fast-date", "9111 4.2.1", (("Date", date(400)), ("Expires", date(300)))),
    not_reused("expires-with-age", "9111 4.2.3", (_NOW, ("Expires", date(10)), ("Age", "25"))),
    not_reused("expires-with-age-slow-date", "9111 4.2.3", (("Date", date(-10)), ("Expires", date(10)), ("Age", "25"))),
    not_reused("expires-with-age-fast-date", "9111 4.2.3", (("Date", date(10)), ("Expires", date(20)), ("Age", "15"))),
)

HEURISTIC = (
    reused("heuristic", "9111 4.2.2", OLD, after_s=3600),
    not_reused("heuristic-over", "9111 4.2.2", OLD, after_s=90_000, kind="recommended"),
    reused("heuristic-a-tenth", "9111 4.2.2", (("Last-Modified", date(-1000)), _NOW), after_s=90),
    not_reused("heuristic-over-a-tenth", "9111 4.2.2", (("Last-Modified", date(-1000)), _NOW), after_s=101,
               kind="recommended"),
    not_reused("heuristic-of-the-future", "9111 4.2.2", (("Last-Modified", date(1000)), _NOW), kind="recommended"),
    not_reused("heuristic-not-beside-max-age", "9111 4.2.2", (*OLD, *control("max-age=1")), after_s=2),
    not_reused("heuristic-not-beside-expires", "9111 4.2.2", (*OLD, ("Expires", date(-1)))),
    case("heuristic-with-a-query", "9111 4.2.2", "recommended", Step(True, OLD, path="?a=1"),
         Step(False, path="?a=1", after_s=60, body=0)),
    reused("pragma-in-an-answer-is-nothing", "9111 5.4", (*FRESH, ("Pragma", "no-cache"))),
)  # fmt: skip


def _aged(name: str, *values: str, section: str = "9111 5.1") -> Case:
    fields = (*FRESH, _NOW, *(("Age", value) for value in values))
    return reused(f"age-{name}", section, fields, after_s=100)


def _too_old(name: str, *values: str, section: str = "9111 5.1") -> Case:
    fields = (*FRESH, _NOW, *(("Age", value) for value in values))
    return not_reused(f"age-{name}", section, fields)


AGE = (
    _too_old("counts", "3600", section="9111 4.2.3"),
    _too_old("huge", "99999999999999999999"),
    _too_old("first-of-a-list-counts", "7200, 0"),
    _too_old("first-line-counts", "7200", "0"),
    _too_old("twice-the-same", "7200, 7200"),
    _aged("young-first-of-a-list-counts", "0, 7200"),
    _aged("young-first-line-counts", "0", "7200"),
    _aged("nonsense-is-ignored", "soon"),
    _aged("negative-is-ignored", "-7200"),
    _aged("decimal-is-ignored", "7200.0"),
    _aged("nonsense-first-of-a-list-is-ignored", "soon, 7200"),
    _aged("empty-is-ignored", ""),
    not_reused("old-date-counts", "9111 4.2.3", (*FRESH, ("Date", date(-7200)))),
    not_reused("old-date-and-age-count-the-larger", "9111 4.2.3", (*FRESH, ("Date", date(-10)), ("Age", "3600"))),
    reused("date-ahead-counts-nothing", "9111 4.2.3", (*FRESH, ("Date", date(1000))), after_s=100),
    reused("bad-date-counts-nothing", "9111 4.2.3", (*FRESH, ("Date", "yesterday")), after_s=100),
    reused("age-is-told", "9111 5.1", (*FRESH, _NOW), kind="required", after_s=7, has=(("Age", "7"),)),
    reused("age-is-told-with-expires", "9111 5.1", (_NOW, ("Expires", date(100))), kind="required", after_s=7,
           has=(("Age", "7"),)),
    reused("age-adds-up", "9111 4.2.3", (*FRESH, _NOW, ("Age", "30")), kind="required", after_s=7,
           has=(("Age", "37"),)),
    reused("age-from-the-date", "9111 4.2.3", (*FRESH, ("Date", date(-20))), kind="required", after_s=7,
           has=(("Age", "27"),)),
    reused("age-0-at-once", "9111 5.1", (*FRESH, _NOW), kind="required", has=(("Age", "0"),)),
    reused("date-is-not-changed", "9110 6.6.1", (*FRESH, ("Date", date(-5))), kind="required", after_s=7,
           has=(("Date", date(-5)),)),
    case(
        "age-is-one-number",
        "9111 5.1",
        "required",
        Step(True, (*FRESH, _NOW, ("Age", "30, 40"))),
        Step(False, after_s=7, body=0, has=(("Age", "37"),)),
    ),
)  # fmt: skip

FRESHNESS = (*MAX_AGE, *S_MAXAGE, *EXPIRES, *HEURISTIC, *AGE)
