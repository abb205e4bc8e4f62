"""What a browser asks for: the request as the rules see it, without its connection. Pure."""

from dataclasses import dataclass

from gateway.web.rules.credentials import has_credentials
from gateway.web.rules.fields import DELTA_S_MAX, Fields, delta_seconds, directives, values
from gateway.web.rules.query import AS_SENT, QueryRules

SAFE = frozenset(
    {"GET", "HEAD", "OPTIONS", "TRACE", "PRI", "PROPFIND", "QUERY", "REPORT", "SEARCH"}
)  # RFC 9110 §9.2.1 and its registry
PROXY = ""  # the forward proxy, where a site's name stands otherwise
_CONDITIONS_FOR_THE_ORIGIN = ("if-match", "if-unmodified-since")


@dataclass(frozen=True, slots=True)
class Wishes:
    """The request directives (RFC 9111 §5.2.1); None where one is not there."""

    no_cache: bool = False
    no_store: bool = False
    only_if_cached: bool = False
    max_age_s: int | None = None
    min_fresh_s: int | None = None
    max_stale_s: int | None = None


@dataclass(frozen=True, slots=True)
class Ask:
    """A request: its method, the URL at the origin that it is for, its end-to-end fields, and whose cache it is for.

    `rules` are what the URL's query was brought into one spelling with.
    """

    method: str
    url: str
    fields: Fields
    has_content: bool = False
    site: str = PROXY
    rules: QueryRules = AS_SENT
    version: str = "1.1"  # of the HTTP that it came in

    @property
    def reusable(self) -> bool:
        """Whether a stored answer can serve it: GET and HEAD without conditions that only the origin can judge."""
        if self.method not in {"GET", "HEAD"} or self.has_content:
            return False
        return not any(values(self.fields, name) for name in _CONDITIONS_FOR_THE_ORIGIN)  # §4.3.2

    @property
    def joins(self) -> bool:
        """Whether it may wait for the answer to another request for the same: nothing in it asks for its own."""
        wishes = wishes_of(self.fields)
        return not (wishes.no_cache or wishes.no_store or wishes.max_age_s == 0 or has_credentials(self.fields))


def wishes_of(fields: Fields) -> Wishes:
    """Return the request directives that the fields hold."""
    said = directives(fields)
    if not said and "no-cache" in directives(fields, "pragma"):
        return Wishes(no_cache=True)  # §5.4: only where there is no Cache-Control
    max_stale = said.get("max-stale", "")
    return Wishes(
        no_cache="no-cache" in said,
        no_store="no-store" in said,
        only_if_cached="only-if-cached" in said,
        max_age_s=_seconds(said, "max-age"),
        min_fresh_s=_seconds(said, "min-fresh"),
        # §5.2.1.2: without an argument, of any age
        max_stale_s=DELTA_S_MAX if max_stale is None else delta_seconds(max_stale),
    )


def _seconds(said: dict[str, str | None], name: str) -> int | None:
    """An argument that cannot be read counts as 0: the careful side for max-age, no wish for min-fresh."""
    return (delta_seconds(said[name]) or 0) if name in said else None
