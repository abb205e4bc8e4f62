"""A shop's catalogue is its simple products; its version is when the last of them changed, and when it was last whole.

WooCommerce tells what changed after a time, in seconds, and nothing of what it deleted: so the whole is fetched again
once a week. A product that is a draft now, or has no price any more, is gone. One with variations is left out: each
variation would be a request of its own. It can still be ordered by its SKU.

Source: WooCommerce REST API v3, "List all products": `modified_after`, `dates_are_gmt`.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Iterable

from gateway.market.catalogue.articles import ARTICLES_MAX
from gateway.market.catalogue.model import Article, Delta
from gateway.market.marketplaces import woo_shelf
from gateway.market.marketplaces.woo_orders import second_before
from gateway.market.marketplaces.woo_shop import PAGE_ENTRIES, WooShop

WHOLE_EVERY_DAYS = 7
NEVER = "1970-01-01T00:00:00"
_DAY_S = 86_400
_STAMP = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}"
_VERSION = re.compile(rf"({_STAMP})/([0-9]{{1,6}})")


async def fetch(shop: WooShop, version: str, wall_s: float, currency: str, *, prices_include_tax: bool) -> Delta:
    """Return what leads from a version to the present: what changed, or all of it.

    Raises: NotDelivered.
    """
    today = int(wall_s) // _DAY_S
    match = _VERSION.fullmatch(version)
    if match is None or not 0 <= today - int(match[2]) < WHOLE_EVERY_DAYS:
        version, stamp, whole_day = "", NEVER, today
    else:
        stamp, whole_day = match[1], int(match[2])
    articles: dict[str, Article] = {}
    told: set[str] = set()
    newest = stamp
    async for page in _pages(shop, second_before(stamp) if version else ""):
        found = await asyncio.to_thread(_articles, page, currency, shop.origin)
        articles |= {article.sku: article for article in found}
        told |= {sku for entry in page if (sku := woo_shelf.sku_of(entry))}
        newest = max([newest, *map(_modified, page)])
    gone = sorted(told - set(articles)) if version else []
    return Delta(f"{newest}/{whole_day}", version, currency, tuple(articles.values()), tuple(gone), prices_include_tax)


async def _pages(shop: WooShop, modified_after: str) -> AsyncIterator[list[object]]:
    """Yield the shop's products page by page; what else stands in a page is kept no longer than the page."""
    for page in range(1, ARTICLES_MAX // PAGE_ENTRIES + 1):
        found = await shop.articles(modified_after, page)
        yield found
        if len(found) < PAGE_ENTRIES:
            return


def _articles(entries: Iterable[object], currency: str, origin: str) -> list[Article]:
    return [found for entry in entries if (found := woo_shelf.article(entry, currency, origin)) is not None]


def _modified(entry: object) -> str:
    stamp = entry.get("date_modified_gmt") if isinstance(entry, dict) else None
    return stamp if isinstance(stamp, str) and re.fullmatch(_STAMP, stamp) else ""
