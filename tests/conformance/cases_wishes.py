"""What a request may ask of a cache (RFC 9111 §5.2.1, all advisory), and what an answer demands (§5.2.2)."""

from tests.conformance.table import FRESH, OLD, Case, Pairs, Step, case, control, date, not_reused, reused

_TAG = ("ETag", '"a"')


def _asks(name: str, wish: str, *, after_s: float = 0, gives: Pairs = FRESH, section: str = "9111 5.2.1.1") -> Case:
    return not_reused(name, section, gives, kind="recommended", after_s=after_s, sends=control(wish))


def _takes(name: str, wish: str, *, after_s: float = 0, gives: Pairs = FRESH, section: str = "9111 5.2.1.1") -> Case:
    return reused(name, section, gives, after_s=after_s, sends=control(wish))


REQUESTS = (
    _asks("request-no-cache", "no-cache", section="9111 5.2.1.4"),
    _asks("request-no-cache-in-capitals", "NO-CACHE", section="9111 5.2.1.4"),
    _asks("request-no-cache-among-others", "foo, no-cache", section="9111 5.2.1.4"),
    _asks("request-max-age-0", "max-age=0", after_s=1),
    _asks("request-max-age", "max-age=5", after_s=10),
    _asks("request-max-age-nonsense", "max-age=x", after_s=10),
    _takes("request-max-age-young", "max-age=20", after_s=10),
    _takes("request-max-age-quoted", 'max-age="20"', after_s=10),
    _takes("request-max-age-is-not-a-lifetime", "max-age=99999", after_s=3000),
    _asks("request-max-age-counts-age", "max-age=20", gives=(*FRESH, ("Age", "30"))),
    _asks("min-fresh", "min-fresh=1000", after_s=3000, section="9111 5.2.1.3"),
    _takes("min-fresh-enough", "min-fresh=1000", after_s=100, section="9111 5.2.1.3"),
    _asks("min-fresh-more-than-ever", "min-fresh=4000", section="9111 5.2.1.3"),
    _asks("min-fresh-counts-age", "min-fresh=1000", gives=(*FRESH, ("Age", "3000")), section="9111 5.2.1.3"),
    _takes("max-stale", "max-stale=200", after_s=3700, section="9111 5.2.1.2"),
    _takes("max-stale-any", "max-stale", after_s=9999, section="9111 5.2.1.2"),
    _asks("max-stale-over", "max-stale=50", after_s=3700, section="9111 5.2.1.2"),
    _asks("max-stale-nonsense", "max-stale=x", after_s=3700, section="9111 5.2.1.2"),
    _takes(
        "max-stale-counts-age", "max-stale=200", after_s=100, gives=(*FRESH, ("Age", "3600")), section="9111 5.2.1.2"
    ),
    _takes("max-stale-of-expired", "max-stale=200", gives=(("Expires", "0"),), section="9111 5.2.1.2"),
    _asks("max-stale-beside-no-cache", "max-stale, no-cache", after_s=10, section="9111 5.2.1.4"),
    *(
        not_reused(
            f"max-stale-and-{directive.partition('=')[0]}",
            section,
            control(f"max-age=10, {directive}"),
            after_s=20,
            sends=control("max-stale"),
        )
        for directive, section in (
            ("must-revalidate", "9111 5.2.2.2"),
            ("proxy-revalidate", "9111 5.2.2.8"),
            ("s-maxage=10", "9111 5.2.2.10"),
            ("no-cache", "9111 5.2.2.4"),
        )
    ),
    case(
        "only-if-cached",
        "9111 5.2.1.7",
        "recommended",
        Step(False, sends=control("only-if-cached"), status=504),
    ),
    case(
        "only-if-cached-stale",
        "9111 5.2.1.7",
        "recommended",
        Step(True, FRESH),
        Step(False, sends=control("only-if-cached"), after_s=4000, status=504),
    ),
    case(
        "only-if-cached-of-another-variant",
        "9111 5.2.1.7",
        "recommended",
        Step(True, (*FRESH, ("Vary", "X-A")), sends=(("X-A", "1"),)),
        Step(False, sends=(*control("only-if-cached"), ("X-A", "2")), status=504),
    ),
    _takes("only-if-cached-stored", "only-if-cached", section="9111 5.2.1.7"),
    _takes("only-if-cached-max-stale", "only-if-cached, max-stale", after_s=4000, section="9111 5.2.1.7"),
    _takes("unknown-wish-is-ignored", "foo=bar", section="9111 5.2.3"),
    _takes("wish-in-quotes-is-none", 'foo="no-cache"', section="9111 5.2"),
    _takes("request-no-transform-is-no-reload", "no-transform", section="9111 5.2.1.6"),
    not_reused("request-pragma", "9111 5.4", FRESH, kind="recommended", sends=(("Pragma", "no-cache"),)),
    reused("pragma-beside-cache-control", "9111 5.4", FRESH, sends=(("Pragma", "no-cache"), *control("foo"))),
    reused("pragma-unknown", "9111 5.4", FRESH, sends=(("Pragma", "foo"),)),
    case(
        "wishes-go-on",
        "9111 5.2",
        "required",
        Step(True, FRESH, sends=control("max-age=5, foo=bar"), origin_has=control("max-age=5, foo=bar")),
    ),
    case(
        "reload-brings-the-new-one-for-all",
        "9111 5.2.1.4",
        "recommended",
        Step(True, FRESH),
        Step(True, FRESH, sends=control("no-cache"), body=1),
        Step(False, body=1),
    ),
    case(
        "reload-validates",
        "9111 5.2.1.4",
        "recommended",
        Step(True, (*FRESH, _TAG)),
        Step(True, (_TAG,), 304, sends=control("no-cache"), body=0, origin_has=(("If-None-Match", '"a"'),)),
    ),
)

ANSWERS = (
    not_reused("no-cache", "9111 5.2.2.4", control("no-cache, max-age=100")),
    not_reused("no-cache-alone", "9111 5.2.2.4", (*control("no-cache"), *OLD)),
    not_reused("no-cache-in-capitals", "9111 5.2", control("max-age=100, NO-CACHE")),
    not_reused("no-cache-with-expires", "9111 5.2.2.4", (*control("no-cache"), ("Expires", date(3600)))),
    case(
        "no-cache-is-stored-and-validated",
        "9111 5.2.2.4",
        "recommended",
        Step(True, (*control("no-cache"), _TAG, *OLD)),
        Step(True, (*control("no-cache"), _TAG), 304, body=0, origin_has=(("If-None-Match", '"a"'),)),
    ),
    case(
        "no-cache-fresh-is-validated",
        "9111 5.2.2.4",
        "recommended",
        Step(True, (*control("no-cache, max-age=100"), _TAG)),
        Step(True, (_TAG,), 304, body=0, origin_has=(("If-None-Match", '"a"'),)),
    ),
    case(
        "no-cache-of-a-field",
        "9111 5.2.2.4",
        "required",
        Step(True, (*control('no-cache="x-a", max-age=100'), ("X-A", "1"), ("X-B", "2")), has=(("X-A", "1"),)),
        Step(False, body=0, has=(("X-B", "2"),), lacks=("X-A",)),
    ),
    case(
        "no-cache-of-two-fields",
        "9111 5.2.2.4",
        "required",
        Step(True, (*control('max-age=100, no-cache="x-a, X-B"'), ("X-A", "1"), ("X-B", "2"), ("X-C", "3"))),
        Step(False, body=0, has=(("X-C", "3"),), lacks=("X-A", "X-B")),
    ),
    case(
        "no-cache-of-a-token",
        "9111 5.2.2.4",
        "required",
        Step(True, (*control("no-cache=x-a, max-age=100"), ("X-A", "1"))),
        Step(False, body=0, lacks=("X-A",)),
    ),
    not_reused("no-cache-of-what-governs", "9111 5.2.2.4", control('no-cache="cache-control", max-age=100')),
    reused("must-revalidate-fresh", "9111 5.2.2.2", control("max-age=100, must-revalidate"), after_s=50),
    not_reused("must-revalidate-stale", "9111 5.2.2.2", control("max-age=10, must-revalidate"), after_s=20,
               sends=control("max-stale=60")),
    reused("proxy-revalidate-fresh", "9111 5.2.2.8", control("max-age=100, proxy-revalidate"), after_s=50),
    not_reused("proxy-revalidate-stale", "9111 5.2.2.8", control("max-age=10, proxy-revalidate"), after_s=20,
               sends=control("max-stale=60")),
    reused("public", "9111 5.2.2.9", control("public, max-age=100"), after_s=50),
    reused("no-transform-is-stored", "9111 5.2.2.6", control("no-transform, max-age=100"), after_s=50),
    case(
        "no-transform-is-not-coded",
        "9111 5.2.2.6",
        "required",
        *(
            Step(
                number == 0,
                (*control("no-transform, max-age=100"), ("Content-Type", "text/html")),
                sends=(("Accept-Encoding", "br, gzip"),),
                gives_body=b"<p>hola</p>" * 600,
                content=b"<p>hola</p>" * 600,
                lacks=("Content-Encoding",),
            )
            for number in range(2)
        ),
    ),
    _takes("immutable-on-reload", "max-age=0", after_s=5, gives=control("max-age=100, immutable"), section="8246 2"),
    _asks("immutable-on-forced-reload", "no-cache", gives=control("max-age=100, immutable"), section="8246 2"),
    not_reused("immutable-stale", "8246 2", control("max-age=10, immutable"), after_s=20, sends=control("max-age=0")),
    _asks("immutable-unlike-the-usual", "max-age=0", after_s=5, gives=control("max-age=100"), section="8246 2"),
)  # fmt: skip

WISHES = (*REQUESTS, *ANSWERS)
