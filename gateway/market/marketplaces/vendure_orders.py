"""An order goes through its steps at a Vendure shop, one call each, however often it has to begin again.

It is looked up by its id before anything is written, and the draft made for it is named by its id in the very next
call. A refusal is believed once the order was looked at anew and stands as it did: a doubled call is refused too, after
the first of the two has done its work.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import assert_never

from gateway.market.batch import Outcome, Receipt
from gateway.market.marketplaces import vendure_documents as documents
from gateway.market.marketplaces.graphql import Refusal, Reply, at, items, text
from gateway.market.marketplaces.port import NotDelivered
from gateway.market.marketplaces.vendure_api import AdminApi
from gateway.market.marketplaces.vendure_shop import (
    Found,
    Shop,
    Variant,
    read_found,
    read_id,
    read_orders,
    read_shop,
    read_variants,
)
from gateway.market.marketplaces.vendure_steps import (
    Cancel,
    Create,
    Drop,
    Fill,
    Move,
    Name,
    Pay,
    Step,
    next_step,
    plan,
    receipt,
    refused,
    street,
)
from gateway.market.order import for_people
from gateway.market.records import StoredOrder

STEPS_MAX = 40  # an order of 200 lines takes 14
_VARIANTS_MAX = 1_000  # of one look-up: Vendure's own limit for a list


@dataclass(frozen=True, slots=True)
class ShopWays:
    """How orders are written at the shop."""

    shipping_method: str = ""  # its code; "" for the first one
    country: str = "PE"  # ISO 3166-1; the shop must know it
    customers_at: str = "merchants.invalid"  # the domain of the addresses merchants have as customers (RFC 6761 §6.4)
    has_units: bool = False  # articles have the custom fields `unit` and `piecesPerUnit`
    orphan_s: float = 900.0  # a draft without a name is nobody's by then: three times the longest call


@dataclass(frozen=True, slots=True)
class View:
    """What the shop said that a few orders need to know."""

    shop: Shop
    by_sku: Mapping[str, Variant]
    orders: Mapping[str, Found]
    customers: Mapping[str, str]  # ids by address
    shipping_method: str


@dataclass(frozen=True, slots=True)
class _Taken:
    """What came of a step: the order as it stands, unless `is_known` is false and it must be looked up."""

    found: Found | None = None
    is_known: bool = True
    refusal: Refusal | None = None


class ShopOrders:
    """Orders at a Vendure shop."""

    def __init__(self, api: AdminApi, ways: ShopWays) -> None:
        self._api = api
        self._ways = ways

    async def look_up(self, some: Sequence[StoredOrder]) -> View:
        """Return what these orders need to know.

        Raises: NotDelivered.
        """
        skus = sorted({line.sku for stored in some for line in stored.order.lines})
        variables = {
            "ids": [stored.id for stored in some],
            "skus": skus,
            "emails": sorted({self._email(stored) for stored in some}),
            "take": _VARIANTS_MAX,
        }
        reply = await self._api.ask(documents.look_up(has_units=self._ways.has_units), variables)
        shop, method = read_shop(reply.data), self._shipping_method(reply)
        lists = [at(reply.data, name, "items") for name in ("orders", "productVariants")]
        if reply.errors or shop is None or not method or not all(isinstance(each, list) for each in lists):
            raise NotDelivered(is_silent=False, reason="shop not set up")
        customers = {
            text(at(entry, "emailAddress")): read_id(at(entry, "id"))
            for entry in items(at(reply.data, "customers", "items"))
        }
        return View(shop, read_variants(reply.data, shop), read_orders(reply.data), customers, method)

    async def place(self, stored: StoredOrder, view: View) -> Receipt:
        """Return the shop's word on an order, after doing what it takes.

        Raises: NotDelivered.
        """
        found, has_begun = view.orders.get(stored.id), False
        step = next_step(stored, plan(stored, view.shop, view.by_sku), found)
        for _ in range(STEPS_MAX):
            if isinstance(step, Receipt):
                is_ours = has_begun and step.outcome is Outcome.DUPLICATE
                return replace(step, outcome=Outcome.ACCEPTED) if is_ours else step
            has_begun = True
            taken = await self._take(step, stored, view)
            if isinstance(step, Drop) and taken.is_known:
                return step.receipt
            found = taken.found
            if not taken.is_known:
                view = await self.look_up([stored])
                found = view.orders.get(stored.id)
            before, step = step, next_step(stored, plan(stored, view.shop, view.by_sku), found)
            if step == before:  # it would be refused again
                if taken.refusal is None:
                    break
                step = refused(stored, found, taken.refusal.code, for_people(taken.refusal.message))
        return receipt(stored, Outcome.RETRY)

    async def _take(self, step: Step, stored: StoredOrder, view: View) -> _Taken:
        match step:
            case Create():
                return await self._create(stored)
            case Name(order_id):
                return _taken(await self._name(order_id, stored), "setOrderCustomFields")
            case Fill():
                return _taken(await self._fill(step, stored, view), "how")
            case Move(order_id, state):
                return _taken(await self._api.ask(documents.MOVE, {"id": order_id, "state": state}), "moved")
            case Pay(order_id):
                return _taken(await self._pay(order_id, stored), "paid")
            case Cancel(order_id):
                return _taken(await self._api.ask(documents.CANCEL, {"input": _cancelled(order_id)}), "cancelled")
            case Drop():
                return await self._drop(step)
            case _:
                assert_never(step)

    async def _create(self, stored: StoredOrder) -> _Taken:
        """Make a draft and name it; the one that could not be named is taken away, for another has its name."""
        created = await self._api.ask(documents.CREATE)
        order_id = read_id(at(created.data, "createDraftOrder", "id"))
        if not order_id:
            return _Taken(is_known=False)
        named = await self._name(order_id, stored)
        taken = _taken(named, "setOrderCustomFields")
        if not taken.is_known:
            await self._api.ask(documents.REMOVE, {"id": order_id})
        return taken

    async def _name(self, order_id: str, stored: StoredOrder) -> Reply:
        fields = {
            "externalId": stored.id,
            "externalRevision": stored.revision,
            "externalReceipt": stored.receipt,
            "externalNote": stored.order.note,
        }
        return await self._api.ask(documents.NAME, {"input": {"id": order_id, "customFields": fields}})

    async def _fill(self, step: Fill, stored: StoredOrder, view: View) -> Reply:
        buyer, email = stored.order.buyer, self._email(stored)
        customer_id = view.customers.get(email, "")
        document = documents.fill(
            step.order_id,
            added=step.added,
            adjusted=step.adjusted,
            customer_id=customer_id,
            has_customer=step.has_customer,
            shipping_method=view.shipping_method,
        )
        address = {
            "fullName": buyer.name,
            "phoneNumber": buyer.phone,
            "streetLine1": street(buyer),
            "countryCode": self._ways.country,
        }
        customer = {"firstName": stored.merchant, "lastName": "", "emailAddress": email}
        is_new = not step.has_customer and not customer_id
        return await self._api.ask(document, {"address": address, **({"customer": customer} if is_new else {})})

    async def _pay(self, order_id: str, stored: StoredOrder) -> Reply:
        payment = stored.order.payment
        note = {
            "orderId": order_id,
            "method": payment.method.value,
            "transactionId": payment.reference,
            "metadata": {"claimed": True},  # nothing here is proof of it
        }
        return await self._api.ask(documents.PAY, {"input": note})

    async def _drop(self, step: Drop) -> _Taken:
        if step.is_draft:
            reply = await self._api.ask(documents.REMOVE, {"id": step.order_id})
            return _Taken(is_known=at(reply.data, "deleteDraftOrder", "result") == "DELETED")
        nameless = {"id": step.order_id, "customFields": {"externalId": None}}
        variables = {"input": nameless, "cancel": _cancelled(step.order_id)}
        reply = await self._api.ask(documents.ABANDON, variables)
        return _Taken(is_known=not reply.errors and reply.refusal is None)

    def _email(self, stored: StoredOrder) -> str:
        """Return the address by which the shop knows a merchant."""
        kept = "".join(each if each.isascii() and each.isalnum() else f"-{ord(each):x}" for each in stored.merchant)
        return f"{kept}@{self._ways.customers_at}".lower()

    def _shipping_method(self, reply: Reply) -> str:
        for entry in items(at(reply.data, "shippingMethods", "items")):
            if self._ways.shipping_method in ("", at(entry, "code")):
                return read_id(at(entry, "id"))
        return ""


def _taken(reply: Reply, name: str) -> _Taken:
    found = None if reply.errors or reply.refusal else read_found(at(reply.data, name))
    return _Taken(found, is_known=found is not None, refusal=reply.refusal)


def _cancelled(order_id: str) -> dict[str, object]:
    return {"orderId": order_id, "cancelShipping": True, "reason": ""}
