"""A page that is shown while the link is down says how old it is, on sites that opted in. Pure.

The banner is one element after `<body>`, in ASCII with character references, so that it is right in every coding of
text that a page may have; its look is in itself, and where the site's policy forbids that (CSP) it is plain text. What
is told of the page changes with it: no validator and `no-store`, or a browser would keep the banner and take it for
the page when the link is back.

Source: RFC 9110 §7.7 (no-transform), §8.8 (validators), Fetch Metadata §2.1, Encoding Standard §4.2 (labels).
"""

from html import escape

from babel.dates import format_timedelta

from gateway.errors import N_
from gateway.languages import locale, negotiate, translate
from gateway.web.ahead.tags import tags
from gateway.web.rules.fields import Fields, combined, first, values, without
from gateway.web.saver.coding import untouchable

LOOKED_BYTES = 262_144  # in which `<body>` is looked for
PAGE_BYTES_MAX = 2_000_000
_SAID = N_("No connection: this page is from %(time)s.")
_STYLE = (
    "display:block;box-sizing:border-box;width:100%;margin:0;padding:.5rem 1rem;background:#fbecc4;color:#3d2900;"
    "border-bottom:3px solid #9c2f24;font:600 1rem/1.4 system-ui,sans-serif;text-align:center"
)
# the labels that browsers know and in which bytes below 0x80 are not ASCII, or not always
_NOT_ASCII = ("utf-16", "utf-32", "utf-7", "ucs-2", "unicode", "csunicode", "iso-10646", "iso-2022", "csiso2022", "hz-")
_GONE = ("etag", "last-modified", "expires", "cache-control", "pragma", "accept-ranges", "content-length",
         "content-md5", "content-encoding", "digest", "content-digest", "repr-digest", "unencoded-digest", "signature",
         "signature-input")  # fmt: skip


def wants_banner(method: str, asked: Fields, status: int, fields: Fields) -> bool:
    """Say whether this answer is a page that is opened, and that may be changed."""
    if method != "GET" or status != 200 or values(asked, "range"):
        return False
    if untouchable(asked) or untouchable(fields):
        return False
    kind, _, parameters = (first(fields, "content-type") or "").lower().partition(";")
    if kind.strip() != "text/html" or any(label in parameters for label in _NOT_ASCII):
        return False
    target = first(asked, "sec-fetch-dest")
    if target is not None:
        return target == "document"
    # a browser tells a plain-HTTP site nothing of its purpose; all name these two when they open a page, no script does
    accepted = combined(asked, "accept") or ""
    scripted = values(asked, "x-requested-with") or values(asked, "hx-request")
    return "text/html" in accepted and "application/xhtml+xml" in accepted and not scripted


def banner(accept_language: str, age_s: float) -> bytes:
    """Return the banner in the reader's language.

    >>> banner("es", 172_800.0)[-68:]
    b'>Sin conexi&#243;n: esta p&#225;gina es de hace 2 d&#237;as.</aside>'
    """
    tag = negotiate(accept_language)
    ago = format_timedelta(-max(round(age_s), 1), add_direction=True, locale=locale(tag), threshold=1.5)
    said = escape(translate(tag, _SAID, time=ago)).encode("ascii", "xmlcharrefreplace").decode()
    return f'<aside role="note" lang="{tag}" dir="ltr" style="{_STYLE}">{said}</aside>'.encode()


def with_banner(page: bytes, shown: bytes) -> bytes | None:
    """Return a page with the banner at its top; None where there is no place that is surely right."""
    if len(page) > PAGE_BYTES_MAX or page[:2] in {b"\xff\xfe", b"\xfe\xff"} or b"\0" in page[:LOOKED_BYTES]:
        return None
    for tag in tags(page[:LOOKED_BYTES].decode("latin-1")):  # one character a byte
        if tag.name == "frameset":
            return None
        if tag.name == "body":
            return page[: tag.end] + shown + page[tag.end :]
    return None


def told_with_banner(fields: Fields) -> Fields:
    """Return the fields of a page with a banner: nobody keeps it, and nothing says that it is what it was."""
    return (*without(fields, _GONE), ("Cache-Control", "no-store"))
