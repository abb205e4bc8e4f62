"""Queries: what makes a key (RFC 9111 §2), one spelling for a site's, and `No-Vary-Search` (draft-05)."""

from tests.conformance.table import FRESH, Case, Kind, Pairs, Step, case
from tests.conformance.web_world import DOORS, Door

_SITE: tuple[Door, ...] = ("site",)
_PROXY: tuple[Door, ...] = ("proxy",)


def _same(name: str, first: str, second: str, *, origin: str | None = None) -> Case:
    """A site's two spellings are one."""
    return case(
        f"query-{name}",
        "9111 2",
        "recommended",
        Step(True, FRESH, path=first, origin_path=origin),
        Step(False, path=second, body=0),
        doors=_SITE,
    )


def _two(name: str, first: str, second: str, *, doors: tuple[Door, ...] = DOORS, sent: str | None = None) -> Case:
    """Two addresses are two."""
    return case(
        f"query-{name}",
        "9111 2",
        "required",
        Step(True, FRESH, path=first),
        Step(True, FRESH, path=second, body=1, origin_path=sent),
        Step(False, path=first, body=0),
        doors=doors,
    )


KEYS = (
    _two("differs", "?a=1", "?a=2"),
    _two("is-part-of-the-key", "", "?a=1"),
    _two("empty-is-not-none", "", "?"),
    _two("value-in-other-letters", "?a=x", "?a=X"),
    _two("percent-encoding-stays", "?a=%7e", "?a=~"),
    _two("plus-stays", "?a=+", "?a=%20"),
    _two("order-of-one-name", "?a=1&a=2", "?a=2&a=1"),
    _two("order-without-values", "?b.js&a.js", "?a.js&b.js"),
    _two("proxy-keeps-the-order", "?b=1&a=2", "?a=2&b=1", doors=_PROXY),
    _two("proxy-keeps-tracking", "?a=2", "?a=2&utm_source=x", doors=_PROXY),
    _two("like-tracking-is-not", "?a=1", "?a=1&utms=x", doors=_SITE),
    _same("order", "?a=1&b=2", "?b=2&a=1"),
    _same("order-that-is-sent", "?b=2&a=1", "?a=1&b=2", origin="?a=1&b=2"),
    _same("tracking", "?a=1", "?a=1&utm_source=x&fbclid=y"),
    _same("tracking-that-is-not-sent", "?utm_campaign=x&a=1&gclid=z", "?a=1", origin="?a=1"),
    _same("tracking-alone", "", "?utm_source=x"),
    _same("tracking-alone-is-not-sent", "?mc_eid=x", "", origin=""),
    _same("tracking-in-capitals", "?a=1", "?UTM_Source=x&a=1"),
    case(
        "query-of-post-makes-stale",
        "9111 4.4",
        "required",
        Step(True, FRESH, path="?a=1&b=2"),
        Step(True, method="POST", path="?b=2&a=1&utm_source=x"),
        Step(True, FRESH, path="?a=1&b=2", body=2),
        doors=_SITE,
    ),
    case(
        "query-of-location-makes-stale",
        "9111 4.4",
        "recommended",
        Step(True, FRESH, path="?a=1&b=2"),
        Step(True, (("Location", "/query-of-location-makes-stale?b=2&a=1"),), 201, method="PUT", status=201, path="/x"),
        Step(True, FRESH, path="?a=1&b=2", body=2),
        doors=_SITE,
    ),
)  # fmt: skip


def _alike(name: str, said: str, first: str, second: str, *, like: bool = True) -> Case:
    gives: Pairs = (*FRESH, ("No-Vary-Search", said))
    kind: Kind = "recommended" if like else "required"
    return case(
        f"no-vary-search-{name}",
        "9111 4",
        kind,
        Step(True, gives, path=first),
        Step(not like, gives, path=second, body=0 if like else 1),
        doors=_PROXY,
    )


ALIKE = (
    _alike("key-order", "key-order", "?a=1&b=2", "?b=2&a=1"),
    _alike("params", "params", "?a=1", "?b=2"),
    _alike("params-against-none", "params", "?a=1", ""),
    _alike("some-params", 'params=("a" "c")', "?a=1&b=2", "?b=2&c=3"),
    _alike("except", 'params, except=("id")', "?id=1&a=2", "?b=3&id=1"),
    _alike("percent-encoding", "key-order", "?a=%78", "?%61=x"),
    _alike("plus-is-a-space", "key-order", "?a=+", "?a=%20"),
    _alike("empty-parameters", "key-order", "?a=1&&&", "?a=1"),
    _alike("no-value-is-an-empty-one", "key-order", "?a", "?a="),
    _alike("encoded-name", 'params=("%C3%A9+x")', "?b=1&%c3%a9%20x=2", "?b=1"),
    _alike("unknown-key-is-ignored", "key-order, foo=1", "?a=1&b=2", "?b=2&a=1"),
    _alike("order-matters-else", 'params=("c")', "?a=1&b=2", "?b=2&a=1", like=False),
    _alike("other-params-matter", 'params=("a")', "?a=1&b=2", "?a=1&b=3", like=False),
    _alike("except-matters", 'params, except=("id")', "?id=1", "?id=2", like=False),
    _alike("order-of-one-name-matters", "key-order", "?a=1&a=2", "?a=2&a=1", like=False),
    _alike("broken", "params,", "?a=1", "?a=2", like=False),
    _alike("order-not-a-boolean", 'key-order="x"', "?a=1&b=2", "?b=2&a=1", like=False),
    _alike("params-not-a-list", 'params="a"', "?a=1", "?a=2", like=False),
    _alike("params-of-tokens", "params=(a)", "?a=1", "?a=2", like=False),
    _alike("except-without-params", 'except=("a")', "?b=1", "?b=2", like=False),
    _alike("except-beside-a-list", 'params=("a"), except=("b")', "?a=1", "?a=2", like=False),
    _alike("false-is-the-default", "params=?0, key-order=?0", "?a=1&b=2", "?b=2&a=1", like=False),
    case(
        "no-vary-search-stale-is-fetched",
        "9111 4.2",
        "required",
        Step(True, (("Cache-Control", "max-age=10"), ("No-Vary-Search", "params")), path="?a=1"),
        Step(True, FRESH, path="?a=2", after_s=20, body=1, origin_path="?a=2"),
        doors=_PROXY,
    ),
    case(
        "no-vary-search-and-vary",
        "9111 4.1",
        "required",
        Step(True, (*FRESH, ("No-Vary-Search", "params"), ("Vary", "A")), path="?a=1", sends=(("A", "1"),)),
        Step(False, path="?a=2", sends=(("A", "1"),), body=0),
        Step(True, FRESH, path="?a=2", sends=(("A", "2"),), body=2),
        doors=_PROXY,
    ),
    case(
        "no-vary-search-post-makes-all-stale",
        "9111 4.4",
        "recommended",
        Step(True, (*FRESH, ("No-Vary-Search", "params")), path="?a=1"),
        Step(True, method="POST", path="?a=2"),
        Step(True, FRESH, path="?a=2", body=2),
        doors=_PROXY,
    ),
)

QUERIES = (*KEYS, *ALIKE)
