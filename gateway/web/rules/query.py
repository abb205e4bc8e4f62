"""One spelling of a site's queries: parameters that change nothing go, and the order of the others is by name. Pure.

What is stored and what the origin is asked for is the same URL: were the origin asked for the browser's spelling, an
origin that redirects to the bare address would answer every request for the bare one with a redirect to itself.

Only whole parameters are left out or moved; what stays keeps its bytes, since origins differ in what they take for the
same. A query with a parameter that has no `=` keeps its order: there the order may be all it says (`?a.js&b.js`).
"""

from dataclasses import dataclass
from functools import lru_cache

# Where a visitor came from, for counters of visits; no page depends on one. `*` stands for any ending. Sources: Google
# Ads and Analytics help (gclid … srsltid), Meta, Microsoft, Yandex, X, TikTok, LinkedIn, Pinterest and Mailchimp help,
# Matomo's guide to campaign tracking, Mozilla's list of parameters that Firefox strips.
TRACKING = (
    "utm_*", "gclid", "gclsrc", "dclid", "gbraid", "wbraid", "gad_source", "gad_campaignid", "srsltid", "_ga", "_gl",
    "fbclid", "igsh", "igshid", "msclkid", "yclid", "ysclid", "_openstat", "twclid", "ttclid", "li_fat_id", "epik",
    "mc_cid", "mc_eid", "mtm_campaign", "mtm_keyword", "mtm_kwd", "mtm_source", "mtm_medium", "mtm_content", "mtm_cid",
    "mtm_group", "mtm_placement", "pk_campaign", "pk_keyword", "pk_kwd", "pk_source", "pk_medium", "pk_content",
    "pk_cid", "piwik_campaign", "piwik_keyword", "piwik_kwd", "matomo_campaign", "matomo_keyword", "matomo_kwd",
    "mkt_tok", "_hsenc", "_hsmi", "__hssc", "__hstc", "__hsfp", "hsctatracking", "oly_anon_id", "oly_enc_id",
    "vero_conv", "vero_id", "wickedid", "irclickid", "__s",
)  # fmt: skip
PARAMETERS_MAX = 100  # of a query that is looked at: 0.1 ms; the longest of search forms in use have about 60


@dataclass(frozen=True, slots=True)
class QueryRules:
    """What may be done to a query; `drop` holds names in small letters, with `*` at the end for any ending."""

    sort: bool = False
    drop: tuple[str, ...] = ()


AS_SENT = QueryRules()
USUAL = QueryRules(sort=True, drop=TRACKING)  # of a site, unless its operator says otherwise


def normalised(url: str, rules: QueryRules) -> str:
    """Return a URL with its query as the rules want it; one of more than `PARAMETERS_MAX` stays as it is.

    >>> normalised("http://a.test/p?b=2&utm_source=x&a=1&b=1", QueryRules(sort=True, drop=TRACKING))
    'http://a.test/p?a=1&b=2&b=1'
    >>> normalised("http://a.test/p?fbclid=x", QueryRules(drop=TRACKING))
    'http://a.test/p'
    """
    path, mark, query = url.partition("?")
    if not query or query.count("&") >= PARAMETERS_MAX:
        return url
    names, beginnings = _told_apart(rules.drop)
    kept = [each for each in query.split("&") if not _dropped(_name(each).lower(), names, beginnings)]
    if rules.sort and all("=" in each for each in kept):
        kept.sort(key=_name)
    return path + mark + "&".join(kept) if kept else path


def _name(parameter: str) -> str:
    return parameter.partition("=")[0]


def _dropped(name: str, names: frozenset[str], beginnings: tuple[str, ...]) -> bool:
    return name in names or name.startswith(beginnings)


@lru_cache(maxsize=64)  # one a site
def _told_apart(drop: tuple[str, ...]) -> tuple[frozenset[str], tuple[str, ...]]:
    """Return the names that are dropped, and the beginnings of such."""
    names = frozenset(each for each in drop if not each.endswith("*"))
    return names, tuple(each[:-1] for each in drop if each.endswith("*"))
