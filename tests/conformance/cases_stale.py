"""When a stale answer may be served: RFC 9111 §4.2.4, RFC 5861."""

from tests.conformance.table import FRESH, Case, Pairs, Step, case, control

_TAG = ("ETag", '"a"')


def _error(
    name: str, said: str, status: int, *, stale: bool, after_s: float = 20, sends: Pairs = (), section: str
) -> Case:
    """An origin answers a validation with an error."""
    seen = Step(True, (), status, after_s=after_s, sends=sends, status=200 if stale else status, body=0 if stale else 1,
                cache=f"detail=origin-{status}" if stale else "")  # fmt: skip
    return case(name, section, "recommended" if stale else "required", Step(True, control(said)), seen)


def _gone(name: str, said: str, *, stale: bool, after_s: float = 20, sends: Pairs = (), section: str) -> Case:
    """An origin closes the connection."""
    seen = Step(
        True, after_s=after_s, sends=sends, breaks=True, status=200 if stale else 502, body=0 if stale else None
    )
    return case(name, section, "recommended" if stale else "required", Step(True, control(said)), seen)


ERRORS = (
    *(
        _error(f"stale-if-error-{status}", "max-age=10, stale-if-error=100", status, stale=True, section="5861 4")
        for status in (500, 502, 503, 504)
    ),
    *(
        _error(f"stale-if-error-not-{status}", "max-age=10, stale-if-error=100", status, stale=False, section="5861 4")
        for status in (400, 403, 404, 410, 501)
    ),
    _error("stale-if-error-over", "max-age=10, stale-if-error=5", 500, stale=False, section="5861 4"),
    _error("stale-if-error-at-its-end", "max-age=10, stale-if-error=10", 500, stale=True, section="5861 4"),
    _error("stale-if-error-nonsense", "max-age=10, stale-if-error=x", 500, stale=False, section="5861 4"),
    _error("stale-if-error-0", "max-age=10, stale-if-error=0", 500, stale=False, section="5861 4"),
    _error("stale-if-error-huge", "max-age=10, stale-if-error=99999999999", 500, stale=True, after_s=99_999,
           section="5861 4"),
    _error("stale-if-error-asked", "max-age=10", 500, stale=True, sends=control("stale-if-error=60"), section="5861 4"),
    _error("stale-if-error-asked-over", "max-age=10", 500, stale=False, sends=control("stale-if-error=5"),
           section="5861 4"),
    _error("stale-if-error-and-s-maxage", "s-maxage=10, stale-if-error=100", 500, stale=True, section="5861 4"),
    _error("stale-if-error-and-must-revalidate", "max-age=10, must-revalidate, stale-if-error=100", 500, stale=False,
           section="9111 5.2.2.2"),
    _error("stale-if-error-asked-and-must-revalidate", "max-age=10, must-revalidate", 500, stale=False,
           sends=control("stale-if-error=60"), section="9111 5.2.2.2"),
    _error("stale-if-error-and-no-cache", "no-cache, stale-if-error=100", 500, stale=False, section="9111 5.2.2.4"),
    _error("stale-on-503", "max-age=10", 503, stale=True, section="9111 4.3.3"),
    _error("stale-on-502", "max-age=10", 502, stale=True, section="9111 4.3.3"),
    _error("stale-on-504", "max-age=10", 504, stale=True, section="9111 4.3.3"),
    _error("stale-not-on-500-unasked", "max-age=10", 500, stale=False, section="9111 4.2.4"),
    _error("must-revalidate-on-503", "max-age=10, must-revalidate", 503, stale=False, section="9111 5.2.2.2"),
    _error("proxy-revalidate-on-503", "max-age=10, proxy-revalidate", 503, stale=False, section="9111 5.2.2.8"),
    _error("s-maxage-on-503", "s-maxage=10", 503, stale=False, section="9111 5.2.2.10"),
    _error("no-cache-on-503", "no-cache", 503, stale=False, section="9111 5.2.2.4"),
    _gone("stale-when-the-origin-closes", "max-age=10", stale=True, section="9111 4.2.4"),
    _gone("stale-if-error-when-the-origin-closes", "max-age=10, stale-if-error=60", stale=True, section="5861 4"),
    _gone("s-maxage-stale-if-error-when-the-origin-closes", "s-maxage=10, stale-if-error=60", stale=True,
          section="5861 4"),
    _gone("must-revalidate-when-the-origin-closes", "max-age=10, must-revalidate", stale=False, section="9111 4.2.4"),
    _gone("proxy-revalidate-when-the-origin-closes", "max-age=10, proxy-revalidate", stale=False, section="9111 4.2.4"),
    _gone("s-maxage-when-the-origin-closes", "s-maxage=10", stale=False, section="9111 4.2.4"),
    _gone("no-cache-when-the-origin-closes", "no-cache, max-age=10", stale=False, section="9111 4.2.4"),
    case(
        "stale-while-validating-with-an-etag",
        "9111 4.3.3",
        "recommended",
        Step(True, (*control("max-age=10"), _TAG)),
        Step(True, (), 503, after_s=20, body=0, origin_has=(("If-None-Match", '"a"'),)),
    ),
    case(
        "head-is-answered-stale-when-the-origin-closes",
        "9111 4.2.4",
        "recommended",
        Step(True, control("max-age=10")),
        Step(True, after_s=20, method="HEAD", breaks=True, cache="hit"),
    ),
    case(
        "stale-tells-its-age",
        "9111 5.1",
        "required",
        Step(True, (*control("max-age=10"), ("Date", "Fri, 15 Jan 2027 08:00:00 GMT"))),
        Step(True, (), 503, after_s=20, body=0, has=(("Age", "20"),), cache="hit; ttl=-10"),
    ),
)  # fmt: skip


def _window(
    name: str, said: str, *, stale: bool, after_s: float = 20, sends: Pairs = (), section: str = "5861 3"
) -> Case:
    steps = [
        Step(True, control(said)),
        Step(True, FRESH, after_s=after_s, sends=sends, body=0 if stale else 1,
             cache="detail=stale-while-revalidate" if stale else "fwd=stale"),
        Step(False, body=1),
    ]  # fmt: skip
    return case(f"stale-while-revalidate{name}", section, "recommended" if stale else "required", *steps)


WHILE = (
    _window("", "max-age=10, stale-while-revalidate=100", stale=True),
    _window("-of-max-age-0", "max-age=0, stale-while-revalidate=100", stale=True),
    _window("-at-its-end", "max-age=10, stale-while-revalidate=10", stale=True),
    _window("-over", "max-age=10, stale-while-revalidate=5", stale=False),
    _window("-nonsense", "max-age=10, stale-while-revalidate=x", stale=False),
    _window("-and-s-maxage", "s-maxage=10, stale-while-revalidate=100", stale=True),
    _window("-and-must-revalidate", "max-age=10, must-revalidate, stale-while-revalidate=100", stale=False,
            section="9111 5.2.2.2"),
    _window("-and-proxy-revalidate", "max-age=10, proxy-revalidate, stale-while-revalidate=100", stale=False,
            section="9111 5.2.2.8"),
    case(
        "stale-while-revalidate-validates",
        "5861 3",
        "recommended",
        Step(True, (*control("max-age=10, stale-while-revalidate=100"), _TAG)),
        Step(True, (*FRESH, _TAG), 304, after_s=20, body=0, origin_has=(("If-None-Match", '"a"'),)),
        Step(False, after_s=100, body=0, cache="hit"),
    ),
    case(
        "stale-while-revalidate-not-on-reload",
        "9111 5.2.1.4",
        "recommended",
        Step(True, control("max-age=10, stale-while-revalidate=100")),
        Step(True, FRESH, after_s=20, sends=control("no-cache"), body=1),
    ),
    case(
        "stale-while-revalidate-when-the-origin-fails",
        "5861 3",
        "recommended",
        Step(True, control("max-age=10, stale-while-revalidate=100")),
        Step(True, (), 500, after_s=20, body=0),
        Step(True, FRESH, body=0, cache="detail=stale-while-revalidate"),
        Step(False, body=2),
    ),
)  # fmt: skip

STALENESS = (*ERRORS, *WHILE)
