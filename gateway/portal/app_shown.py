"""What a phone needs to write orders without the box: the articles, the words, whose shop it is. Pure.

Nothing of a person is in it: no customer, no name, no order. The shop is told by a fingerprint, so that an order that
waits in a phone is only ever handed in for the shop that it was written for.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from types import MappingProxyType

from babel.numbers import get_currency_precision

from gateway.errors import N_
from gateway.languages import language, translate
from gateway.market.catalogue.articles import as_fields
from gateway.market.catalogue.model import Article, Catalogue
from gateway.market.records import OrderView
from gateway.market.states import SETTLED
from gateway.portal.order_form import (
    FAULT_LINE_NAME,
    FAULT_LINE_QUANTITY,
    FAULT_NAME,
    FAULT_NO_LINES,
    FAULT_PHONE,
    FAULT_PRICE,
    FAULT_QUANTITY,
    FAULT_REFERENCE,
)
from gateway.portal.order_words import in_words

TEXTS: Mapping[str, str] = MappingProxyType(
    {
        "one": N_("1 order waits in this phone"),
        "many": N_("%(count)s orders wait in this phone"),
        "sent": N_("From this phone to the box: %(count)s; arrived: %(arrived)s"),
        "here": N_("In this phone, not on the box yet"),
        "faulty": N_("Needs you"),
        "other": N_("Of another shop"),
        "onbox": N_("On the box: receipt %(receipt)s"),
        "away": N_("This phone does not reach the box. The orders are safe here and leave by themselves."),
        "signin": N_("You are signed out. Sign in, and the orders leave by themselves."),
        "enter": N_("Sign in"),
        "elsewhere": N_("It leaves when somebody of the shop that wrote it signs in on this phone."),
        "again": N_("The box could not take it now. It is tried again by itself."),
        "open": N_("Keep this page open until they are on the box: here the shop cannot open without the box."),
        "send": N_("Send now"),
        "never": N_("They leave by themselves; the button is never needed."),
        "correct": N_("Correct it"),
        "discard": N_("Discard it"),
        "sure": N_("Yes, discard it"),
        "known": N_("See what the box has"),
        "full": N_("This phone cannot keep the order: write it down. Its storage is full or closed."),
        "leaving": N_(
            "Orders wait in this phone and are not on the box. If you sign out they stay here, and leave when somebody"
            " of the shop signs in on this phone. To sign out all the same, press once more."
        ),
        "price": N_("%(price)s each %(unit)s"),
        "left": N_("%(count)s left"),
        "out": N_("none left: it can be ordered all the same"),
        "gone": N_("No longer in the basket:"),
        "tax_in": N_("%(name)s %(rate)s%%, included: %(amount)s"),
        "tax_on": N_("%(name)s %(rate)s%%, added: %(amount)s"),
        "as_of": N_("Prices and stock as this phone got them: %(when)s"),
        "fault_lines": FAULT_NO_LINES,
        "fault_quantity": FAULT_QUANTITY,
        "fault_price": FAULT_PRICE,
        "fault_line_name": FAULT_LINE_NAME,
        "fault_line_quantity": FAULT_LINE_QUANTITY,
        "fault_buyer_name": FAULT_NAME,
        "fault_buyer_phone": FAULT_PHONE,
        "fault_reference": FAULT_REFERENCE,
    }
)


def shop_mark(shop: str) -> str:
    """Return what a phone knows a shop by.

    >>> len(shop_mark("ana")), shop_mark("ana") == shop_mark("luis")
    (16, False)
    """
    return hashlib.sha256(f"shop\0{shop}".encode()).hexdigest()[:16]


def phone_document(
    tag: str, shop: str, catalogue: Catalogue | None, currency: str, picture_url: Callable[[str], str]
) -> bytes:
    """Return all that a phone keeps to write orders alone, as JSON in the language with this tag."""
    currency = catalogue.currency if catalogue else currency
    document = {
        "texts": {key: translate(tag, sentence) for key, sentence in TEXTS.items()},
        "locale": language(tag).formats.replace("_", "-"),
        "shop": shop_mark(shop),
        "version": catalogue.version if catalogue else "",
        "currency": currency,
        "decimals": get_currency_precision(currency),
        "prices_include_tax": catalogue.prices_include_tax if catalogue else True,
        "articles": [_article(each, picture_url(each.sku)) for each in (catalogue.articles if catalogue else ())],
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def order_fields(order: OrderView, tag: str) -> dict[str, object]:
    """Return what a phone is told of an order that it handed in: no name, no line."""
    words = in_words(order)
    return {
        "id": order.id,
        "receipt": order.receipt,
        "name": translate(tag, words.name),
        "tone": words.tone,
        "settled": order.state in SETTLED,
    }


def manifest(tag: str, asset: Callable[[str], str]) -> dict[str, object]:
    """Return the web app manifest of the shop.

    Source: W3C Web Application Manifest.
    """
    sizes = (("shop-192.png", "192x192", "any"), ("shop-512.png", "512x512", "any"))
    icons = [*sizes, ("shop-maskable-512.png", "512x512", "maskable"), ("shop.svg", "any", "any")]
    return {
        "id": "/tienda",
        "name": translate(tag, N_("Tambo, the village's shop")),
        "short_name": translate(tag, N_("Shop")),
        "lang": tag,
        "start_url": "/tienda",
        "scope": "/",
        "display": "standalone",
        "background_color": "#f8f2e7",
        "theme_color": "#9c2f24",
        "icons": [
            {"src": asset(name), "sizes": size, "type": _icon_type(name), "purpose": purpose}
            for name, size, purpose in icons
        ],
    }


def worker_script(source: str, *, page: str, outbox: str, files: list[str]) -> str:
    """Return the service worker: what it keeps, under a version of its own, and then its source."""
    shell = {"page": page, "outbox": outbox, "files": files}
    version = hashlib.sha256((source + json.dumps(shell)).encode()).hexdigest()[:12]
    return f"const SHELL = {json.dumps({**shell, 'version': version})};\n{source}"


def _article(article: Article, picture_url: str) -> dict[str, object]:
    fields = {name: value for name, value in as_fields(article).items() if name != "picture"}
    return {**fields, "picture": picture_url} if picture_url else fields


def _icon_type(name: str) -> str:
    return "image/svg+xml" if name.endswith(".svg") else "image/png"
