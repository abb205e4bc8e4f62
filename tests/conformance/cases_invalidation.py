"""What an unsafe request makes stale: RFC 9111 §4.4, RFC 9875."""

from tests.conformance.table import FRESH, Case, Kind, Pairs, Step, case


def _after(method: str, status: int, *, stale: bool) -> Case:
    """The resource itself, after a request that was answered so."""
    kind: Kind = "required" if stale else "recommended"
    return case(
        f"{'stale' if stale else 'fresh'}-after-{method.lower()}-{status}",
        "9111 4.4",
        kind,
        Step(True, FRESH),
        Step(True, (), status, method=method, status=status),
        Step(stale, FRESH, body=2 if stale else 0),
    )


def _pointed(name: str, field: str, place: str, *, stale: bool, method: str = "POST", status: int = 200) -> Case:
    """Another resource, that the answer points to."""
    kind: Kind = "recommended" if stale else "required"
    return case(
        f"{field.lower()}-{name}",
        "9111 4.4",
        kind,
        Step(True, FRESH, path="/other"),
        Step(True, ((field, place),), status, method=method, status=status),
        Step(stale, FRESH, path="/other", body=2 if stale else 0),
    )


RESOURCE = (
    *(_after(method, status, stale=True)
      for method in ("POST", "PUT", "DELETE", "PATCH", "M-SEARCH", "NOTIFY") for status in (200, 303)),
    _after("PUT", 204, stale=True),
    _after("PUT", 201, stale=True),
    _after("POST", 302, stale=True),
    *(_after(method, status, stale=False) for method in ("POST", "PUT", "DELETE", "M-SEARCH") for status in (404, 500)),
    *(_after(method, 200, stale=False) for method in ("OPTIONS", "PROPFIND", "REPORT", "SEARCH")),
    case(
        "stale-means-validated",
        "9111 4.4",
        "recommended",
        Step(True, (*FRESH, ("ETag", '"a"'))),
        Step(True, method="POST"),
        Step(True, (*FRESH, ("ETag", '"a"')), 304, body=0, origin_has=(("If-None-Match", '"a"'),)),
        Step(False, body=0),
    ),
    case(
        "all-variants-become-stale",
        "9111 4.4",
        "required",
        Step(True, (*FRESH, ("Vary", "A")), sends=(("A", "1"),)),
        Step(True, (*FRESH, ("Vary", "A")), sends=(("A", "2"),)),
        Step(True, method="POST"),
        Step(True, (*FRESH, ("Vary", "A")), sends=(("A", "1"),), body=3),
        Step(True, (*FRESH, ("Vary", "A")), sends=(("A", "2"),), body=4),
    ),
    case(
        "another-query-stays",
        "9111 4.4",
        "recommended",
        Step(True, FRESH, path="?a=1"),
        Step(True, method="POST", path="?a=2"),
        Step(False, path="?a=1", body=0),
    ),
)  # fmt: skip

_FIELDS = ("Location", "Content-Location")

POINTED = (
    *(_pointed(f"after-{method.lower()}", field, f"/{field.lower()}-after-{method.lower()}/other", stale=True,
                method=method)
      for field in _FIELDS for method in ("POST", "PUT", "DELETE", "M-SEARCH")),
    *(_pointed("relative", field, f"{field.lower()}-relative/other", stale=True) for field in _FIELDS),
    *(_pointed("of-another-origin", field, f"http://far.test/{field.lower()}-of-another-origin/other", stale=False)
      for field in _FIELDS),
    *(_pointed("of-another-scheme", field, f"https://sitio.test/{field.lower()}-of-another-scheme/other", stale=False)
      for field in _FIELDS),
    *(_pointed("after-an-error", field, f"/{field.lower()}-after-an-error/other", stale=False, status=500)
      for field in _FIELDS),
    *(_pointed("after-get", field, f"/{field.lower()}-after-get/other", stale=False, method="GET")
      for field in _FIELDS),
    *(_pointed("nonsense", field, "http://[", stale=False) for field in _FIELDS),
)  # fmt: skip


def _group(
    name: str, kind: Kind, groups: str, changed: str, *, stale: bool, method: str = "POST", status: int = 200
) -> Case:
    in_group: Pairs = (*FRESH, ("Cache-Groups", groups))
    return case(
        f"group-{name}",
        "9875 3",
        kind,
        Step(True, in_group, path="/one"),
        Step(True, in_group, path="/two"),
        Step(True, (("Cache-Group-Invalidation", changed),), status, method=method, status=status, path="/act"),
        Step(stale, in_group, path="/one", body=3 if stale else 0),
        Step(stale, in_group, path="/two", body=4 if stale else 1),
    )


GROUPS = (
    _group("becomes-stale", "recommended", '"g1"', '"g1"', stale=True),
    _group("one-of-several", "recommended", '"x", "g2"', '"g2", "y"', stale=True),
    _group("with-parameters", "recommended", '"g3";a=1', '"g3";b', stale=True),
    _group("another", "required", '"g4"', '"other"', stale=False),
    _group("in-other-letters", "required", '"g5"', '"G5"', stale=False),
    _group("after-get-is-ignored", "required", '"g6"', '"g6"', stale=False, method="GET"),
    _group("after-options-is-ignored", "required", '"g7"', '"g7"', stale=False, method="OPTIONS"),
    _group("after-an-error", "recommended", '"g8"', '"g8"', stale=False, status=500),
    _group("of-a-token-is-none", "required", "g9", "g9", stale=False),
    _group("broken-list", "required", '"g10"', '"g10",', stale=False),
    case(
        "group-on-two-lines",
        "9875 2",
        "recommended",
        Step(True, (*FRESH, ("Cache-Groups", '"h1"'), ("Cache-Groups", '"h2"')), path="/one"),
        Step(True, (("Cache-Group-Invalidation", '"h2"'),), method="POST", path="/act"),
        Step(True, FRESH, path="/one", body=2),
    ),
)

INVALIDATION = (*RESOURCE, *POINTED, *GROUPS)
