"""Requests kept for later: what is kept while the link is down, what becomes of it, and when it is forgotten. Pure.

Kept is a page that a person opened (a navigation by GET) and that is not stored: its URL, and of its fields those that
say which form of the page is meant (`Accept`, `Accept-Language`). Cookies are dropped, since what comes is stored for
everybody; with `Authorization` nothing is kept. A query is kept, up to a length: much of the web is nothing else. A
one-time link (a confirmation by mail) is opened by the box then, once, as its person would have.

A list of pages that neighbours asked for is their browsing history, so nobody sees all of it, the technician counts
only, and who asked is not kept. Whoever asks gets a token, 128 bits, that shows this one request at the portal and
takes it back; kept is the token's hash. The browser carries the tokens itself (the portal's cookie), so even on the
disk nothing says which requests belong to one person. A token is made of the device's address, the URL and a key that
the box forgets when it stops: a page that loads itself again is not one more request, and nobody can work back from the
list to a device. Two people behind one address share a token for what both asked for, and either may take it back.
"""

import hashlib
import hmac
import ipaddress
import json
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from gateway.clock import clock_state
from gateway.errors import N_, BadRequest, LinkDown
from gateway.web.rules.asking import Ask
from gateway.web.rules.fields import Fields, combined, first, values
from gateway.web.rules.target import of_proxy, same_origin, url_in

FORMAT = 1
TOKEN_BYTES = 16
TOKENS_MAX = 50  # of one page; more people than that want it, and those see it as it arrives
FIELD_CHARS_MAX = 300  # of a field that is kept; Chromium's Accept has 135
TITLE_CHARS_MAX = 120
PAUSE_S = 60.0  # after a first failure; then three times as long each time: 1, 3, 9, 27 minutes
PAUSE_S_MAX = 7_200.0
LEAP_S = 3_600.0  # by which a clock that is set is off; one that is kept is slewed
_SEAL_BYTES = 16
_KEPT_FIELDS = ("Accept", "Accept-Language")
_ASK_AGAIN = frozenset({408, 425, 429})  # RFC 9110 §15.5.9, RFC 8470 §5.2, RFC 6585 §4
_FOR_ONE = frozenset({401, 403, 407})  # a person who signs in may see it


class KeptState(StrEnum):
    """Where a kept request stands."""

    WAITING = "waiting"
    ARRIVED = "arrived"  # stored, for everybody
    PERSONAL = "personal"  # there, but not to be stored: it opens only while the link is up
    GIVEN_UP = "given-up"


@dataclass(frozen=True, slots=True)
class KeptLimits:
    """The settings of the list; `pages_max` 0 keeps nothing."""

    pages_max: int = 500
    per_device_max: int = 20
    url_chars_max: int = 1_000
    age_s_max: float = 7 * 86_400.0
    page_bytes_max: int = 3_000_000
    day_bytes_max: int = 100_000_000
    parts_max: int = 60
    tries_max: int = 5


@dataclass(frozen=True, slots=True)
class KeptPage:
    """One URL that was asked for in vain; `since_s` is when it took its state."""

    site: str
    url: str
    asked: Fields
    tokens: tuple[str, ...]  # hashes of them: one for each who wants it
    since_s: float
    state: KeptState = KeptState.WAITING
    tries: int = 0
    status: int | None = None
    title: str = ""

    @property
    def at(self) -> tuple[str, str]:
        """Whose resource it is, and which."""
        return self.site, self.url


class KeptForLater(LinkDown):
    """The page was not there, and is noted; it says so, and how to see it or take it back."""

    status = 503
    code = "kept-for-later"
    what = N_("The village's link is down, and this page is not stored here yet.")
    advice = N_("The box has noted this page and will fetch it when the link is back.")

    def __init__(self, token: str, *, down_s: float, by_proxy: bool) -> None:
        super().__init__()
        self.token = token
        self.down_s = down_s
        self.by_proxy = by_proxy


def may_keep(ask: Ask, url_chars_max: int) -> bool:
    """Say whether a request that found nothing is kept: a page a person opened, which may be fetched without them."""
    fields = ask.fields
    if ask.method != "GET" or ask.has_content or not ask.reusable or len(ask.url) > url_chars_max:
        return False
    if values(fields, "authorization") or values(fields, "range") or _ahead(fields):
        return False
    mode, target = first(fields, "sec-fetch-mode"), first(fields, "sec-fetch-dest")
    if mode is not None or target is not None:  # a browser on a trustworthy origin says what it is for
        return mode == "navigate" and target == "document"
    return "text/html" in (combined(fields, "accept") or "").lower()


def belongs(url: str, origin: str | None) -> bool:
    """Say whether a URL is one of a site's origin, or, with None, one that the forward proxy may be asked for."""
    if not (url.isascii() and url.isprintable()) or " " in url:
        return False
    try:
        if origin is None:
            found = url_in(url)
            return found is not None and of_proxy(found).startswith("http://")
        return url.startswith(same_origin(f"{origin}/", "/") or " ")
    except BadRequest:
        return False


def _ahead(fields: Fields) -> bool:
    """Whether a browser only guesses that somebody will want it."""
    said = f"{combined(fields, 'sec-purpose') or ''} {combined(fields, 'purpose') or ''}".lower()
    return "prefetch" in said or "prerender" in said


def kept_fields(fields: Fields) -> Fields:
    """Return the fields of a request that are kept with it."""
    found = ((name, combined(fields, name)) for name in _KEPT_FIELDS)
    return tuple((name, value) for name, value in found if value and len(value) <= FIELD_CHARS_MAX)


def token_of(key: bytes, device: str, site: str, url: str) -> str:
    """Return the token of a device for a URL: 22 characters, the same as long as the key is."""
    seal = hmac.digest(key, f"{device}\0{site}\0{url}".encode("utf-8", "replace"), "sha256")
    return urlsafe_b64encode(seal[:TOKEN_BYTES]).decode().rstrip("=")


def hash_of(token: str) -> str:
    """Return what is kept of a token."""
    return hashlib.blake2b(token.encode("utf-8", "replace"), digest_size=TOKEN_BYTES).hexdigest()


def wanted_too(page: KeptPage, token_hash: str, now_s: float) -> KeptPage:
    """Return a page that one more person wants; one that had arrived and is gone from the store waits again."""
    if token_hash not in page.tokens:
        page = replace(page, tokens=(*page.tokens, token_hash)[-TOKENS_MAX:])
    if page.state is KeptState.WAITING:
        return page
    return replace(page, state=KeptState.WAITING, tries=0, status=None, since_s=now_s)


def after(
    page: KeptPage, *, status: int | None, stored: bool, error: str | None, title: str, now_s: float, tries_max: int
) -> KeptPage:
    """Return a page after a try: an answer with its status, or an error's code."""
    if error in {LinkDown.code, "no-capacity"}:
        return page  # it was not asked for
    tries = page.tries + 1
    if error is None and status is not None and status < 500 and status not in _ASK_AGAIN:
        state = KeptState.GIVEN_UP
        if stored and status < 300:
            state = KeptState.ARRIVED
        elif status < 400 or status in _FOR_ONE:
            state = KeptState.PERSONAL  # also what is elsewhere now, out of this site
    elif error == "too-large":
        state = KeptState.PERSONAL
    else:
        state = KeptState.WAITING if tries < tries_max else KeptState.GIVEN_UP
    if state is KeptState.WAITING:
        return replace(page, tries=tries, status=status)
    return replace(page, state=state, tries=tries, status=status, since_s=now_s, title=title[:TITLE_CHARS_MAX])


def pause_s(tries: int) -> float:
    """Return how long to wait after so many failures.

    >>> [pause_s(tries) for tries in (0, 1, 2, 3, 30)]
    [0.0, 60.0, 180.0, 540.0, 7200.0]
    """
    return min(PAUSE_S * 3.0 ** (min(tries, 30) - 1), PAUSE_S_MAX) if tries > 0 else 0.0


def network_of(device: str) -> str | None:
    """Return the network of an IPv6 address, in which one device may have as many addresses as it likes.

    >>> network_of("2001:db8::5:1"), network_of("192.168.1.7"), network_of("::ffff:192.168.1.7")
    ('2001:db8::/64', None, None)
    """
    try:
        address = ipaddress.IPv6Address(device.partition("%")[0])
    except ValueError:
        return None
    return None if address.ipv4_mapped else str(ipaddress.IPv6Network((address.packed, 64), strict=False))


def swept(pages: Iterable[KeptPage], now_s: float, age_s_max: float, leapt_s: float = 0.0) -> list[KeptPage]:
    """Return the pages less those that are too old; nobody grows older by a clock that leapt.

    Many boxes learn the date with the link: what was kept before counts from then on.
    """
    if abs(leapt_s) >= LEAP_S:
        pages = [replace(page, since_s=page.since_s + leapt_s) for page in pages]
    if clock_state(now_s) != "trusted":
        return list(pages)
    dated = (page if _dated(page, now_s) else replace(page, since_s=now_s) for page in pages)
    return [page for page in dated if now_s - page.since_s <= age_s_max]


def _dated(page: KeptPage, now_s: float) -> bool:
    return clock_state(page.since_s) == "trusted" and page.since_s <= now_s


def write_pages(pages: Iterable[KeptPage]) -> bytes:
    """Return the list as bytes for the disk, behind a hash of them."""
    rows = [
        [each.site, each.url, each.asked, each.tokens, each.since_s, each.state, each.tries, each.status, each.title]
        for each in pages
    ]
    written = json.dumps({"format": FORMAT, "pages": rows}, separators=(",", ":")).encode("utf-8", "replace")
    return hashlib.blake2b(written, digest_size=_SEAL_BYTES).digest() + written


def read_pages(found: bytes, limits: KeptLimits) -> list[KeptPage]:
    """Return the list in a file, or an empty one for anything that is not one, whole."""
    seal, written = found[:_SEAL_BYTES], found[_SEAL_BYTES:]
    if hashlib.blake2b(written, digest_size=_SEAL_BYTES).digest() != seal:
        return []
    try:
        said: Mapping[str, Any] = json.loads(written)
        pages = [_page(*row) for row in said["pages"]] if said["format"] == FORMAT else []
    except (ValueError, KeyError, TypeError, ArithmeticError, RecursionError):
        return []
    return [each for each in pages if len(each.url) <= limits.url_chars_max][: limits.pages_max]


def _page(
    site: object, url: object, asked: Any, tokens: Any, since: Any, state: Any, tries: Any, status: Any, title: object
) -> KeptPage:
    fields = tuple((str(name), str(value)) for name, value in asked)
    return KeptPage(
        site=str(site),
        url=str(url),
        asked=kept_fields(fields),
        tokens=tuple(str(each) for each in tokens)[:TOKENS_MAX],
        since_s=float(since),
        state=KeptState(state),
        tries=max(int(tries), 0),
        status=None if status is None else int(status),
        title=str(title)[:TITLE_CHARS_MAX],
    )
