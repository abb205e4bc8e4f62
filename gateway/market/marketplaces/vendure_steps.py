"""What stands at the shop decides what is done next, never what was done before. Pure.

    nothing → Create, Name → Fill … → Move (ArrangingPayment) → Pay → placed

Any call may be cut, doubled or late, so after each one the order is looked at as it is there: a draft is made what was
ordered, whatever part of it is there already; the lines are looked at once more when they can no longer change, before
the payment places the order and the shop sets its stock aside. What the shop cannot take as it was sold is a person's
to decide, before anything is made there.

Source: Vendure 3.7, `defaultOrderProcess` (the states and who may follow whom).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from gateway.errors import N_
from gateway.market.attention import Attention, Code, Remark
from gateway.market.batch import Outcome, Receipt
from gateway.market.marketplaces.vendure_shop import PIECES_MAX, Found, Shop, Variant
from gateway.market.order import Buyer, Order
from gateway.market.records import StoredOrder

LINES_AT_ONCE = 20  # Vendure reckons the whole order again for each line: 200 at once would be silent too long
OTHER_CURRENCY = N_("The shop sells in another currency.")
WHOLE_PIECES = N_("The shop sells this article in whole pieces only.")
TOO_MANY = N_("The shop does not take so many of an article.")
_EDITABLE = frozenset({"Draft", "AddingItems"})
_CANCELLABLE = frozenset({"PaymentAuthorized", "PaymentSettled"})
_CLOSED = frozenset({"Delivered", "Cancelled"})


@dataclass(frozen=True, slots=True)
class Plan:
    """How many pieces of which article are wanted, at which price each."""

    pieces: Mapping[str, int]  # by variant id
    prices_minor: Mapping[str, int]
    with_tax: bool
    variants: Mapping[str, Variant]  # by variant id


@dataclass(frozen=True, slots=True)
class Create:
    """Make a draft and name it."""


@dataclass(frozen=True, slots=True)
class Name:
    """Name a draft that bears an older revision."""

    order_id: str


@dataclass(frozen=True, slots=True)
class Fill:
    """Make a draft's lines, customer, address and shipping what was ordered."""

    order_id: str
    added: tuple[tuple[str, int], ...]  # variant, pieces
    adjusted: tuple[tuple[str, int], ...]  # line, pieces
    has_customer: bool


@dataclass(frozen=True, slots=True)
class Move:
    """Bring an order to a state."""

    order_id: str
    state: str


@dataclass(frozen=True, slots=True)
class Pay:
    """Note the payment, which places the order."""

    order_id: str


@dataclass(frozen=True, slots=True)
class Cancel:
    """Cancel an order."""

    order_id: str


@dataclass(frozen=True, slots=True)
class Drop:
    """Take away an order that was begun and cannot be placed; then this is the word on it."""

    order_id: str
    is_draft: bool
    receipt: Receipt


Step = Create | Name | Fill | Move | Pay | Cancel | Drop


def plan(stored: StoredOrder, shop: Shop, by_sku: Mapping[str, Variant]) -> Plan | Receipt:
    """Return what is wanted of the shop, or why a person must look at the order first."""
    order = stored.order
    if order.currency != shop.currency:
        return receipt(stored, Outcome.REJECTED, OTHER_CURRENCY)
    unknown = [line.sku for line in order.lines if line.sku not in by_sku]
    if unknown:
        return _attention(stored, Code.UNKNOWN_ARTICLE, [Remark(sku) for sku in unknown])
    with_tax = order.prices_include_tax
    prices = {line.sku: by_sku[line.sku].unit_price_minor(with_tax=with_tax) for line in order.lines}
    dearer = [line.sku for line in order.lines if line.unit_price_minor != prices[line.sku]]
    if dearer:
        return _attention(stored, Code.PRICE_CHANGED, [Remark(sku, prices[sku]) for sku in dearer])
    pieces = _pieces(order, by_sku)
    if any(count % 1 for count in pieces.values()):
        return _attention(stored, Code.OTHER, [Remark(sku) for sku, count in pieces.items() if count % 1], WHOLE_PIECES)
    if max(pieces.values()) > PIECES_MAX:
        return _attention(stored, Code.OTHER, [], TOO_MANY)
    short = [sku for sku, count in pieces.items() if _is_short(by_sku[sku], count)]
    if short:
        return _attention(stored, Code.OUT_OF_STOCK, [Remark(sku, available=by_sku[sku].stock) for sku in short])
    variants = {by_sku[sku].id: by_sku[sku] for sku in pieces}
    return Plan(
        {by_sku[sku].id: int(count) for sku, count in pieces.items()},
        {each.id: each.price_with_tax_minor if with_tax else each.price_minor for each in variants.values()},
        with_tax,
        variants,
    )


def next_step(stored: StoredOrder, planned: Plan | Receipt, found: Found | None) -> Step | Receipt:
    """Return what is to be done now, or the word on the order when nothing is."""
    if found is None:
        return _absent(stored, planned)
    if found.state not in _EDITABLE and found.state != "ArrangingPayment":
        return _placed(stored, found)
    if stored.is_cancelled:
        if found.state == "Draft":
            return Drop(found.id, True, receipt(stored, Outcome.ACCEPTED))
        return Cancel(found.id)
    if found.revision > stored.revision:
        return receipt(stored, Outcome.DUPLICATE)
    if isinstance(planned, Receipt):
        return Drop(found.id, found.state == "Draft", planned)
    changed = _other_prices(stored, planned, found)
    if changed is not None:
        return Drop(found.id, found.state == "Draft", changed)
    return _begun(stored, planned, found)


def refused(stored: StoredOrder, found: Found | None, code: str, message: str) -> Drop | Receipt:
    """Return how an order ends that the shop refused twice as it stands."""
    kind = Code.OUT_OF_STOCK if code == "INSUFFICIENT_STOCK_ERROR" else Code.OTHER
    word = _attention(stored, kind, [], message)
    if found is None or (found.state not in _EDITABLE and found.state != "ArrangingPayment"):
        return word
    return Drop(found.id, found.state == "Draft", word)


def receipt(stored: StoredOrder, outcome: Outcome, reason: str = "", *, arrived_at: str = "") -> Receipt:
    """Return a word on this revision of an order."""
    return Receipt(stored.id, outcome, reason, stored.revision, None, arrived_at)


def street(buyer: Buyer) -> str:
    """Return the one line of an address that Vendure asks for."""
    return " ".join(buyer.address.split()) or buyer.name


def _absent(stored: StoredOrder, planned: Plan | Receipt) -> Step | Receipt:
    if stored.is_cancelled:
        return receipt(stored, Outcome.ACCEPTED)  # it takes no effect there
    return planned if isinstance(planned, Receipt) else Create()


def _placed(stored: StoredOrder, found: Found) -> Step | Receipt:
    if found.state == "Cancelled":
        outcome = Outcome.DUPLICATE if stored.is_cancelled else Outcome.CANCELLED
        return receipt(stored, outcome, arrived_at=found.created_at)
    if stored.is_cancelled and found.state in _CANCELLABLE:
        return Cancel(found.id)
    if found.state == "Delivered":
        return receipt(stored, Outcome.FULFILLED, arrived_at=found.created_at)
    if stored.is_cancelled or found.revision < stored.revision:
        return _attention(stored, Code.CHANGE_NOT_TAKEN, [])
    return receipt(stored, Outcome.DUPLICATE, arrived_at=found.created_at)


def _begun(stored: StoredOrder, planned: Plan, found: Found) -> Step:
    adjusted, there = _adjusted(planned, found)
    added = [(variant, count) for variant, count in planned.pieces.items() if variant not in there]
    buyer = stored.order.buyer
    is_addressed = found.address == (buyer.name, buyer.phone, street(buyer))
    is_filled = not added and not adjusted and found.has_customer and is_addressed and found.has_shipping
    if found.revision < stored.revision:
        return Name(found.id)
    if found.state == "ArrangingPayment":
        return Pay(found.id) if is_filled else Move(found.id, "AddingItems")
    if is_filled:
        return Move(found.id, "ArrangingPayment")
    return Fill(found.id, tuple(added[:LINES_AT_ONCE]), tuple(adjusted[:LINES_AT_ONCE]), found.has_customer)


def _adjusted(planned: Plan, found: Found) -> tuple[list[tuple[str, int]], set[str]]:
    """Return the lines whose count is not what it should be, and the articles that have a line."""
    adjusted: list[tuple[str, int]] = []
    there: set[str] = set()
    for line in found.lines:
        wanted = 0 if line.variant_id in there else planned.pieces.get(line.variant_id, 0)
        if line.pieces != wanted:
            adjusted.append((line.id, wanted))
        there.add(line.variant_id)
    return adjusted, there


def _other_prices(stored: StoredOrder, planned: Plan, found: Found) -> Receipt | None:
    """Return the word on an order that the shop reckoned at other prices than it told; None when it did not."""
    remarks = []
    for line in found.lines:
        price_minor = line.price_with_tax_minor if planned.with_tax else line.price_minor
        variant = planned.variants.get(line.variant_id)
        if variant is not None and line.pieces and price_minor != planned.prices_minor[variant.id]:
            remarks.append(Remark(variant.sku, price_minor * variant.pieces_per_unit))
    return _attention(stored, Code.PRICE_CHANGED, remarks) if remarks else None


def _pieces(order: Order, by_sku: Mapping[str, Variant]) -> dict[str, Decimal]:
    counts: dict[str, Decimal] = {}
    for line in order.lines:
        pieces = Decimal(line.quantity) * by_sku[line.sku].pieces_per_unit
        counts[line.sku] = counts.get(line.sku, Decimal(0)) + pieces
    return counts


def _is_short(variant: Variant, pieces: Decimal) -> bool:
    return variant.available is not None and pieces > variant.available


def _attention(stored: StoredOrder, code: Code, remarks: list[Remark], reason: str = "") -> Receipt:
    distinct = tuple({each.sku: each for each in remarks}.values())
    return Receipt(stored.id, Outcome.ATTENTION, reason, stored.revision, Attention(code, distinct))
