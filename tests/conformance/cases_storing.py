"""What may be stored: RFC 9111 §3, and the statuses of RFC 9110 §15."""

from tests.conformance.table import (
    FRESH,
    OLD,
    STORED_ALONE,
    Case,
    Kind,
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

_BASIC = (("Authorization", "Basic eA=="),)
_COOKIE = (("Cookie", "u=ana"),)
_CREDENTIALS = ("X-Auth-Token", "X-Api-Key", "X-Session-Id", "X-User")

_BROKEN = (
    'max-age=600, foo="x, private', "private; max-age=600", "no-store; no-cache", "max-age=600 private",
    "max-age=600, no-store;", 'max-age=600, private="X-A', "max-age=600, private =1",
)  # fmt: skip

DIRECTIVES = (
    not_reused("no-store", "9111 5.2.2.5", control("no-store, max-age=100")),
    not_reused("no-store-alone", "9111 5.2.2.5", (*control("no-store"), *OLD)),
    not_reused("no-store-in-capitals", "9111 5.2", control("NO-STORE, Max-Age=100")),
    not_reused("no-store-mixed-case", "9111 5.2", control("max-age=100, nO-StOrE")),
    not_reused("no-store-on-a-second-line", "9110 5.3", (*control("max-age=100"), *control("no-store"))),
    not_reused("no-store-with-expires", "9111 5.2.2.5", (*control("no-store"), ("Expires", date(100)))),
    not_reused("no-store-with-an-argument", "9111 5.2.3", control('no-store="x", max-age=100')),
    not_reused("no-store-beside-public", "9111 5.2.2.5", control("public, no-store, max-age=100")),
    not_reused("private", "9111 5.2.2.7", control("private, max-age=100")),
    not_reused("private-in-capitals", "9111 5.2", control("PRIVATE, max-age=100")),
    not_reused("private-with-s-maxage", "9111 5.2.2.7", control("private, s-maxage=100")),
    not_stored("private-of-the-type", "9111 5.2.2.7", control('private="content-type", max-age=100')),
    not_stored(
        "private-of-the-location",
        "9111 5.2.2.7",
        (*control('private="Location", max-age=100'), ("Location", "/elsewhere")),
        status=301,
    ),
    *(
        not_stored(f"broken-{number}-is-as-it-was-meant", "9111 5.2", (*control(said), *OLD))
        for number, said in enumerate(_BROKEN)
    ),
    not_stored("private-twice", "9111 5.2.2.7", control('private="X-A", private, max-age=600')),
    not_reused("no-cache-twice", "9111 5.2.2.4", (*control('no-cache="Set-Cookie"'), *control("no-cache, max-age=60"))),
    not_stored("private-behind-very-many", "9111 5.2", control(f"max-age=60{', x' * 256}, private")),
    not_stored("vary-of-very-many", "9111 4.1", (*FRESH, ("Vary", f"A{', x' * 256}, Cookie"))),
    case(
        "private-fields-stay-with-one",
        "9111 5.2.2.7",
        "required",
        Step(True, (*control('max-age=100, private="x-a"'), ("X-A", "1"), ("X-B", "2")), has=(("X-A", "1"),)),
        Step(False, body=0, has=(("X-B", "2"),), lacks=("X-A",)),
    ),
    case(
        "private-set-cookie-is-left-out",
        "9111 5.2.2.7",
        "recommended",
        Step(
            True, (*control('max-age=100, private="Set-Cookie"'), ("Set-Cookie", "a=b")), has=(("Set-Cookie", "a=b"),)
        ),
        Step(False, body=0, lacks=("Set-Cookie",)),
    ),
    not_reused("request-no-store", "9111 5.2.1.5", FRESH, kind="recommended", sends_first=control("no-store")),
    case(
        "request-no-store-with-max-age",
        "9111 5.2.1.5",
        "recommended",
        Step(True, FRESH, sends=control("no-store, max-age=100"), body=0),
        Step(True, FRESH, body=1),
    ),
    reused("must-understand", "9111 5.2.2.3", control("must-understand, no-store, max-age=100")),
    reused("must-understand-302", "9111 5.2.2.3", control("must-understand, no-store, max-age=100"), status=302),
    not_reused("must-understand-unknown", "9111 5.2.2.3", control("must-understand, no-store, max-age=99"), status=299),
    not_reused("must-understand-alone-unknown", "9111 3", control("must-understand, max-age=100"), status=599),
    case(
        "no-store-keeps-what-was-stored",
        "9111 5.2.2.5",
        "recommended",
        Step(True, FRESH),
        Step(True, control("no-store"), sends=control("no-cache"), body=1),
        Step(False, body=0),
    ),
    case(
        "private-keeps-what-was-stored",
        "9111 5.2.2.7",
        "recommended",
        Step(True, FRESH),
        Step(True, control("private"), sends=control("no-cache"), body=1),
        Step(False, body=0),
    ),
)

CREDENTIALS = (
    not_reused("authorization", "9111 3.5", FRESH, sends_first=_BASIC),
    not_reused("authorization-same-user", "9111 3.5", FRESH, sends_first=_BASIC, sends=_BASIC),
    not_reused("authorization-expires", "9111 3.5", (("Expires", date(100)),), sends_first=_BASIC),
    not_reused("authorization-heuristic", "9111 3.5", OLD, sends_first=_BASIC),
    not_stored("authorization-private", "9111 3.5", control("private, s-maxage=100"), sends_first=_BASIC),
    reused("authorization-public", "9111 3.5", control("public, max-age=100"), sends_first=_BASIC),
    reused("authorization-s-maxage", "9111 3.5", control("s-maxage=100"), sends_first=_BASIC),
    reused("authorization-must-revalidate", "9111 3.5", control("max-age=100, must-revalidate"), sends_first=_BASIC),
    reused("authorization-of-the-second", "9111 3.5", FRESH, sends=_BASIC),
    not_reused("set-cookie-is-not-shared", "9111 7.3", (*OLD, ("Set-Cookie", "a=b")), kind="recommended"),
    reused("set-cookie-with-a-lifetime", "9111 7.3", (*FRESH, ("Set-Cookie", "a=b"))),
    case(
        "set-cookie-public",
        "9111 7.3",
        "recommended",
        Step(True, (*control("public, max-age=100"), ("Set-Cookie", "a=b")), has=(("Set-Cookie", "a=b"),)),
        Step(False, body=0, lacks=("Set-Cookie",)),
    ),
    case(
        "set-cookie-public-validated",
        "9111 7.3",
        "recommended",
        Step(True, (*control("public, max-age=0"), ("ETag", '"a"'), ("Set-Cookie", "a=b"))),
        Step(True, (("ETag", '"a"'), ("Set-Cookie", "a=c")), 304, body=0, lacks=("Set-Cookie",)),
        Step(False, sends=STORED_ALONE, body=0, lacks=("Set-Cookie",)),
    ),
    *(
        not_stored(f"{name.lower()}-is-as-authorization", "9111 3.5", FRESH, sends_first=((name, "x"),))
        for name in _CREDENTIALS
    ),
    *(
        reused(f"{name.lower()}-public", "9111 3.5", control("public, max-age=100"), sends_first=((name, "x"),))
        for name in _CREDENTIALS
    ),
    not_stored("unknown-field-is-as-a-cookie", "9111 7.3", (), kind="recommended", sends_first=(("X-Own", "1"),)),
    not_stored("unknown-field-heuristic", "9111 7.3", OLD, kind="recommended", sends_first=(("X-Own", "1"),)),
    reused("unknown-field-with-a-lifetime", "9111 3", FRESH, sends_first=(("X-Own", "1"),)),
    reused(
        "unknown-field-in-vary",
        "9111 4.1",
        (*OLD, ("Vary", "X-Own")),
        sends_first=(("X-Own", "1"),),
        sends=(("X-Own", "1"),),
    ),
    reused(
        "fields-of-browsers-are-nobodys",
        "9111 4.2.2",
        OLD,
        sends_first=(("User-Agent", "x"), ("Sec-Fetch-User", "?1"), ("Sec-CH-UA", "x"), ("Referer", "http://a.test/")),
    ),
    reused("cookie-of-the-second", "9111 4", FRESH, sends=_COOKIE),
    reused("cookie-of-the-first", "9111 3", FRESH, sends_first=_COOKIE),
    reused("cookie-of-the-first-heuristic", "9111 4.2.2", OLD, sends_first=_COOKIE),
    case(
        "cookie-goes-to-the-origin",
        "9110 7.6",
        "required",
        Step(True, FRESH, sends=_COOKIE, origin_has=_COOKIE),
    ),
)

_EXPLICIT = (200, 201, 202, 203, 204, 299, 300, 301, 302, 303, 307, 308, 400, 401, 403, 404, 405, 409, 410, 414, 422,
             429, 451, 499, 500, 501, 502, 503, 504, 599)  # fmt: skip
_STALE = (200, 203, 204, 299, 301, 302, 307, 308, 400, 404, 410, 499, 500, 501, 502, 503, 504, 599)
_HEURISTIC = (200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501)
_NOT_HEURISTIC = (201, 202, 302, 303, 307, 400, 401, 403, 409, 422, 429, 500, 502, 503, 504, 599)

STATUSES = (
    *(reused(f"fresh-{status}", "9111 3", FRESH, status=status) for status in _EXPLICIT),
    *(stale(f"stale-{status}", "9111 4.2", control("max-age=10"), status=status, after_s=20) for status in _STALE),
    *(reused(f"heuristic-{status}", "9111 4.2.2", OLD, status=status) for status in _HEURISTIC),
    *(not_stored(f"no-heuristic-{status}", "9111 4.2.2", OLD, status=status) for status in _NOT_HEURISTIC),
    *(
        reused(f"public-heuristic-{status}", "9111 5.2.2.9", (*control("public"), *OLD), status=status)
        for status in (302, 403, 599)
    ),
    not_stored("206-unasked-is-not-a-whole", "9111 3.3", FRESH, status=206),
    stale("nothing-said", "9111 4.2", (), kind="recommended"),
)


def _method(name: str, kind: Kind, gives: Pairs = FRESH) -> Case:
    return case(
        f"{name.lower()}-is-not-stored",
        "9111 3",
        kind,
        Step(True, gives, method=name, body=0 if name != "HEAD" else None),
        Step(True, FRESH, body=1),
    )


METHODS = (
    _method("POST", "required"),
    _method("PUT", "required"),
    _method("PATCH", "required"),
    _method("DELETE", "required"),
    _method("OPTIONS", "required"),
    _method("PROPFIND", "required"),
    _method("HEAD", "required"),
    case(
        "post-is-not-answered-from-get",
        "9111 4",
        "required",
        Step(True, FRESH),
        Step(True, FRESH, method="POST", body=1),
    ),
    case(
        "options-is-not-answered-from-get",
        "9111 4",
        "required",
        Step(True, FRESH),
        Step(True, FRESH, method="OPTIONS", body=1),
    ),
    case(
        "unknown-method-passes",
        "9110 9.1",
        "recommended",
        Step(True, FRESH),
        Step(True, FRESH, method="FROBNICATE", body=1),
    ),
)

STORING = (*DIRECTIVES, *CREDENTIALS, *STATUSES, *METHODS)
