"""A shop's catalogue is its simple products; its version is when the last of them changed, and when it was last whole.

WooCommerce tells what changed after a time, in seconds, and nothing of what it deleted: so the whole is fetched again
once a week. A product that is a draft now, or has no price any more, is gone. One with variations is left out: each
variation would be a request of its own. It can still be ordered by its SKU.

Source: WooCommerce REST API v3, "List all products": `modified_after`, `dates_are_gmt`.
"""

import re

from gateway.market.catalogue.articles import ARTICLES_MAX
from gateway.market.catalogue.model import Delta
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
    entries = await _entries(shop, second_before(stamp) if version else "")
    found = [article for entry in entries if (article := woo_shelf.article(entry, currency, shop.origin)) is not None]
    articles = {article.sku: article for article in found}
    gone = {sku for entry in entries if (sku := woo_shelf.sku_of(entry))} - set(articles) if version else set()
    newest = max([stamp, *map(_modified, entries)])
    return Delta(
        f"{newest}/{whole_day}", version, currency, tuple(articles.values()), tuple(sorted(gone)), prices_include_tax
    )


async def _entries(shop: WooShop, modified_after: str) -> list[object]:
    entries: list[object] = []
    for page in range(1, ARTICLES_MAX // PAGE_ENTRIES + 1):
        found = await shop.articles(modified_after, page)
        entries += found
        if len(found) < PAGE_ENTRIES:
            break
    return entries


def _modified(entry: object) -> str:
    stamp = entry.get("date_modified_gmt") if isinstance(entry, dict) else None
    return stamp if isinstance(stamp, str) and re.fullmatch(_STAMP, stamp) else ""
