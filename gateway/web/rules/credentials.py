"""Who asks, as far as a request's fields tell: whether the answer could be meant for one person alone. Pure.

RFC 9111 §3.5 speaks of `Authorization` alone, but sites and programs let people in by fields of their own too
(`X-Auth-Token`, `X-Api-Key`), and few of them name those in `Vary`. So a field counts as credentials if its name says
so, and one whose name says nothing that is known here counts as much as a cookie.
"""

import re

from gateway.web.rules.fields import Fields

# Words of a name that promise that it tells who asks, or lets somebody in; run together (`XApiKey`) they count too.
_TELLING = re.compile(
    r"auth|token|secret|session|passw|credential|jwt|bearer|cookie|api-?key|access-?key|private-?key|signature|csrf|xsrf"
    r"|(^|-)(key|keys|user|userid|username|uid|sid|login|otp|pin|account|customer|patient|tenant|identity|me)(-|$)"
)
# What browsers, proxies and libraries send of themselves: RFC 9110 §7 to §14, Fetch §2.2.2, Fetch Metadata, client
# hints (RFC 8942), W3C Trace Context. What begins with `Sec-` no script can set.
_HARMLESS = re.compile(
    r"accept(-charset|-encoding|-language|-datetime|-ranges)?|alt-used|cache-control|connection|content-(length|type)"
    r"|date|device-memory|dnt|downlink|dpr|early-data|ect|expect|forwarded|host|if-(none-match|match|range)"
    r"|if-(un)?modified-since|keep-alive|max-forwards|origin|pragma|priority|proxy-connection|purpose|range|referer|rtt"
    r"|save-data|sec-.*|te|traceparent|tracestate|trailer|transfer-encoding|upgrade(-insecure-requests)?|user-agent|via"
    r"|viewport-width|width|x-forwarded-.*|x-moz|x-purpose|x-real-ip|x-requested-with"
)
_OF_THEIR_OWN = frozenset({"authorization", "cookie"})  # which have rules of their own


def has_credentials(asked: Fields) -> bool:
    """Say whether a request has fields that let somebody in, other than cookies."""
    return any(name == "authorization" or _tells(name) for name in _names(asked))


def says_who(asked: Fields, keyed: frozenset[str] = frozenset()) -> bool:
    """Say whether a request has cookies, or fields that could do the same; `keyed` are those the answer is chosen by.

    >>> says_who((("Cookie", "a=b"),)), says_who((("X-Own", "1"),)), says_who((("Accept", "*/*"),))
    (True, True, False)
    """
    return any(name == "cookie" or (name not in keyed and not _HARMLESS.fullmatch(name)) for name in _names(asked))


def _names(asked: Fields) -> set[str]:
    return {name.lower().replace("_", "-") for name, _ in asked}


def _tells(name: str) -> bool:
    return name not in _OF_THEIR_OWN and not _HARMLESS.fullmatch(name) and _TELLING.search(name) is not None
