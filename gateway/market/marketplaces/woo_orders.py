"""An order is known at the shop by `_tambo_id` among its meta data, and found there by a word in two fields. Pure.

WooCommerce keeps nothing unique and cannot filter orders by meta data; its `search` looks into addresses (in both ways
of storing orders) and, from 8.9 with its own order tables, into `transaction_id`. So the id stands, without
its hyphens (a full-text index would take those for operators), in the shipping company and in the transaction id, and
what the search brings counts only when its meta data have the very id.

An order is made as `pending`, which moves no stock and sends no mail, and becomes real only when a second look shows
that it is the only one. Of doubles the one with the highest revision stays, then a real one, then the first.

Source: WooCommerce REST API v3, "Orders"; its src/Internal/DataStores/Orders/OrdersTableSearchQuery.php.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from gateway.errors import N_
from gateway.market.attention import Attention, Code
from gateway.market.batch import Outcome, Receipt
from gateway.market.marketplaces.woo_shelf import Product
from gateway.market.order import Method, Order, is_order_id, total_minor
from gateway.market.records import StoredOrder

SEARCH_WORD = "tambo"  # stands before every id, so that the search finds all of ours
ID_KEY, REVISION_KEY = "_tambo_id", "_tambo_revision"
PENDING, CANCELLED = "pending", "cancelled"
OPEN = frozenset({PENDING, "on-hold", "processing"})  # what may still be changed

PAID_BACK = N_("The shop gave the money back.")
NOT_PAID = N_("The payment failed at the shop.")

_REVISION = re.compile(r"[1-9][0-9]{0,6}")
_STAMP = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}")
_PAYMENTS: Mapping[Method, tuple[str, str, str]] = {  # the shop's id of the way, its name there, and the order's state
    Method.CASH_ON_DELIVERY: ("cod", "Cash on delivery", "processing"),
    Method.CREDIT: ("tambo_credit", "Credit", "on-hold"),
    Method.MOBILE_MONEY: ("tambo_mobile_money", "Mobile money, claimed", "on-hold"),  # to be checked by the shop
}


@dataclass(frozen=True, slots=True)
class Found:
    """One of our orders as it stands at the shop."""

    number: int
    order_id: str
    revision: int
    status: str
    modified: str  # GMT, to the second


def search_word(order_id: str) -> str:
    """Return the word by which an order is found.

    >>> search_word("6f1c2a34-0000-4000-8000-00000000000a")
    '6f1c2a3400004000800000000000000a'
    """
    return order_id.replace("-", "")


def read_orders(entries: Iterable[object]) -> list[Found]:
    """Return those of the shop's orders that are ours."""
    return [found for entry in entries if (found := read_order(entry)) is not None]


def read_order(entry: object) -> Found | None:
    """Return one of our orders; None for the shop's own and for what cannot be read."""
    if not isinstance(entry, dict):
        return None
    meta = _meta(entry.get("meta_data"))
    number, status, modified = entry.get("id"), entry.get("status"), entry.get("date_modified_gmt")
    order_id, revision = meta.get(ID_KEY, ""), meta.get(REVISION_KEY, "")
    if type(number) is not int or number < 1 or not isinstance(status, str) or not is_order_id(order_id):
        return None
    if not isinstance(modified, str) or not _STAMP.fullmatch(modified) or not _REVISION.fullmatch(revision):
        return None
    return Found(number, order_id, int(revision), status, modified)


def keeper(found: Sequence[Found]) -> Found | None:
    """Return the one that stays of orders with the same id; every box that looks comes to the same."""
    return min(found, key=lambda each: (-each.revision, each.status == PENDING, each.number), default=None)


def held_lines(entry: object) -> tuple[list[int], dict[str, int]]:
    """Return the numbers of an order's lines at the shop, and how many of each SKU they keep."""
    lines = entry.get("line_items") if isinstance(entry, dict) else None
    numbers: list[int] = []
    held: dict[str, int] = {}
    for line in lines if isinstance(lines, list) else []:
        if isinstance(line, dict) and type(line.get("id")) is int:
            numbers.append(line["id"])
            sku, quantity = line.get("sku"), line.get("quantity")
            if isinstance(sku, str) and type(quantity) is int and quantity > 0:
                held[sku] = held.get(sku, 0) + quantity
    return numbers, held


def to_create(stored: StoredOrder, box: str, shelf: Mapping[str, Product]) -> dict[str, object]:
    """Return a new order as the shop takes it: not real yet."""
    return {"status": PENDING, "currency": stored.order.currency, **_fields(stored, box, shelf, [])}


def to_bury(stored: StoredOrder, box: str) -> dict[str, object]:
    """Return what stands at the shop for an order that was cancelled before it came: no earlier word of it counts."""
    return {"status": CANCELLED, "currency": stored.order.currency, **_marks(stored, box), **_address(stored.order)}


def to_change(
    stored: StoredOrder, box: str, shelf: Mapping[str, Product], old_lines: Sequence[int]
) -> dict[str, object]:
    """Return a change: the old lines go (a quantity of 0 removes one) and the new ones come, with the revision."""
    return {"status": status_of(stored), **_fields(stored, box, shelf, old_lines)}


def to_cancel(stored: StoredOrder, box: str) -> dict[str, object]:
    """Return what cancels an order; the shop takes its goods back into stock."""
    return {"status": CANCELLED, **_marks(stored, box)}


def to_confirm(stored: StoredOrder) -> dict[str, object]:
    """Return what makes an order real."""
    return {"status": status_of(stored)}


def to_drop(kept_number: int) -> dict[str, object]:
    """Return what takes a double out of the count, even where the shop has no bin to put it in."""
    return {"status": CANCELLED, "meta_data": [_mark(ID_KEY, f"double of {kept_number}")]}


def second_before(stamp: str) -> str:
    """Return the second before, so that what changes later in the same second is not missed; "" for no time.

    >>> second_before("2026-11-22T10:00:00"), second_before("2026-02-31T10:00:00")
    ('2026-11-22T09:59:59', '')
    """
    try:
        return (datetime.fromisoformat(stamp).replace(tzinfo=UTC) - timedelta(seconds=1)).isoformat()[:19]
    except (ValueError, OverflowError):
        return ""


def status_of(stored: StoredOrder) -> str:
    """Return the state that an order comes to at the shop once it is real."""
    return _PAYMENTS[stored.order.payment.method][2]


def decided(found: Found) -> Receipt | None:
    """Return what the shop decided about an order; None while it has not."""
    match found.status:
        case "completed":
            return Receipt(found.order_id, Outcome.FULFILLED, "", found.revision)
        case "cancelled":
            return Receipt(found.order_id, Outcome.CANCELLED, "", found.revision)
        case "refunded":
            return Receipt(found.order_id, Outcome.CANCELLED, PAID_BACK, found.revision)
        case "failed":
            return Receipt(found.order_id, Outcome.ATTENTION, NOT_PAID, found.revision, Attention(Code.OTHER))
    return None


def _fields(stored: StoredOrder, box: str, shelf: Mapping[str, Product], old_lines: Sequence[int]) -> dict[str, object]:
    order = stored.order
    method, title, _ = _PAYMENTS[order.payment.method]
    if order.payment.reference:
        title = f"{title}: {order.payment.reference}"
    new = [{"product_id": shelf[line.sku].number, "quantity": int(line.quantity)} for line in order.lines]
    return {
        **_marks(stored, box),
        **_address(order),
        "payment_method": method,
        "payment_method_title": title,
        "customer_note": order.note,
        "line_items": [*({"id": number, "quantity": 0} for number in old_lines), *new],
    }


def _address(order: Order) -> dict[str, object]:
    address = {"first_name": order.buyer.name, "address_1": order.buyer.address, "phone": order.buyer.phone}
    word = search_word(order.id)
    return {
        "transaction_id": f"{SEARCH_WORD}-{word}",
        "billing": address,
        "shipping": {**address, "company": f"{SEARCH_WORD.title()} {word}"},
    }


def _marks(stored: StoredOrder, box: str) -> dict[str, object]:
    marks = {
        ID_KEY: stored.id,
        REVISION_KEY: str(stored.revision),
        "_tambo_receipt": stored.receipt,
        "_tambo_merchant": stored.merchant,
        "_tambo_box": box,
        "_tambo_recorded_at": stored.recorded_at,
        "_tambo_total_minor": str(total_minor(stored.order)),  # as it was sold; the shop reckons its taxes itself
    }
    return {"meta_data": [_mark(key, value) for key, value in marks.items()]}


def _mark(key: str, value: str) -> dict[str, str]:
    return {"key": key, "value": value}


def _meta(entries: object) -> dict[str, str]:
    meta: dict[str, str] = {}
    for each in entries if isinstance(entries, list) else []:
        if isinstance(each, dict) and isinstance(each.get("key"), str):
            value = each.get("value")
            meta.setdefault(each["key"], str(value) if isinstance(value, str | int) else "")
    return meta
