"""The shop's pages: write an order, see its receipt, see what waits and why.

The order's id is made when the form is shown and comes back with it, so that pressing twice makes one order. The
receipt is shown only after the order is on disk, and says whether it has left.
"""

import asyncio
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import segno
from aiohttp import web

from gateway.errors import N_, Conflict, NotFound
from gateway.languages import translate
from gateway.market.order import FaultyOrder, is_order_id, line_total_minor, order_from
from gateway.market.records import OrderView
from gateway.portal.credentials import Role
from gateway.portal.formats import formats
from gateway.portal.identity import VISIT, Identity, demand_role
from gateway.portal.order_form import OrderForm, as_order, blame, blank, checked, typed
from gateway.portal.order_words import OrderWords, in_words
from gateway.portal.pages import Pages
from gateway.portal.view import Market

ORDERS_SHOWN = 100
CURRENCY = "PEN"  # where no catalogue names one
_ALREADY = N_("The order of this page was recorded already. If you want one more, send it again.")
_STALE = N_("You were away for long. Check the order and send it once more.")
_ENDED = N_("You were signed out after a long pause. Sign in: your order is kept.")
_NO_SHOP = N_("The shop is not set up on this box.")


@dataclass(frozen=True, slots=True)
class ShownLine:
    """A line of a receipt, with its price."""

    name: str
    quantity: str
    unit: str
    unit_price_minor: int
    total_minor: int


@dataclass(frozen=True, slots=True)
class ShownOrder:
    """An order in the list."""

    order: OrderView
    words: OrderWords
    buyer: str
    when: str


class ShopPages:
    """Orders, for the merchant who makes them."""

    def __init__(
        self,
        pages: Pages,
        identity: Identity,
        market: Market | None,
        make_id: Callable[[], uuid.UUID] = uuid.uuid4,
    ) -> None:
        self._pages = pages
        self._identity = identity
        self._market = market
        self._make_id = make_id

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of these pages."""
        return [
            web.get("/tienda", self._show),
            web.post("/tienda", self._record),
            web.get("/tienda/pedidos", self._list),
            web.get("/tienda/pedidos/{id}", self._receipt),
        ]

    async def _show(self, request: web.Request) -> web.StreamResponse:
        market = self._demand_market()
        demand_role(request[VISIT], Role.MERCHANT)
        return self._form(request, self._blank(market))

    async def _record(self, request: web.Request) -> web.StreamResponse:
        market = self._demand_market()
        visit = request[VISIT]
        fields = await self._identity.read_form(request)
        if visit.account is None:
            return self._sign_in_first(request, fields)
        account = demand_role(visit, Role.MERCHANT)
        form = checked(typed(self._blank(market), fields))
        if not self._identity.is_genuine(visit, fields):
            return self._form(request, form, 403, translate(visit.language, _STALE))
        if not is_order_id(form.id):
            form = form.with_id(str(self._make_id()))
        if form.faults:
            return self._form(request, form, 422)
        try:
            recorded = await market.record(order_from(as_order(form)), account.name)
        except FaultyOrder as exc:
            return self._form(request, blame(form, exc.fields, exc.advice), 422)
        except Conflict:
            return self._again(request, form)
        raise web.HTTPSeeOther(f"/tienda/pedidos/{recorded.id}")

    async def _list(self, request: web.Request) -> web.StreamResponse:
        market = self._demand_market()
        visit = request[VISIT]
        account = demand_role(visit, Role.MERCHANT)
        found = await market.orders(account.name, ORDERS_SHOWN)
        when = formats(visit.language).when
        orders = [
            ShownOrder(each, in_words(each), each.order.buyer.name if each.order else "", when(each.recorded_wall_s))
            for each in found
        ]
        waiting = sum(shown.words.tone == "care" for shown in orders)
        return self._pages.render(
            request, "orders.html", orders=orders, waiting=waiting, is_cut=len(orders) == ORDERS_SHOWN
        )

    async def _receipt(self, request: web.Request) -> web.StreamResponse:
        market = self._demand_market()
        visit = request[VISIT]
        account = demand_role(visit, Role.MERCHANT)
        order_id = request.match_info["id"]
        order = await market.order(order_id, account.name) if is_order_id(order_id) else None
        if order is None:
            raise NotFound
        return self._pages.render(
            request,
            "receipt.html",
            order=order,
            words=in_words(order),
            reason=translate(visit.language, order.reason),
            lines=[
                ShownLine(line.name, line.quantity, line.unit, line.unit_price_minor, line_total_minor(line))
                for line in order.lines
            ],
            qr=await asyncio.to_thread(_qr, f"{order.receipt} {order.hash[:16]}"),
        )

    def _sign_in_first(self, request: web.Request, fields: Mapping[str, str]) -> web.Response:
        """Ask somebody whose session has ended to sign in, and keep the order that they sent."""
        kept = {name: value for name, value in fields.items() if name != "token"}
        problem = translate(request[VISIT].language, _ENDED)
        return self._pages.render(
            request, "signin.html", status=403, has_form=True, next="/tienda", name="", problem=problem, kept=kept
        )

    def _form(self, request: web.Request, form: OrderForm, status: int = 200, notice: str = "") -> web.Response:
        return self._pages.render(request, "shop.html", status=status, form=form, notice=notice, receipt_url="")

    def _again(self, request: web.Request, form: OrderForm) -> web.Response:
        return self._pages.render(
            request,
            "shop.html",
            status=409,
            form=form.with_id(str(self._make_id())),
            notice=translate(request[VISIT].language, _ALREADY),
            receipt_url=f"/tienda/pedidos/{form.id}",
        )

    def _blank(self, market: Market) -> OrderForm:
        catalogue = market.catalogue
        articles = catalogue.articles if catalogue else ()
        return blank(str(self._make_id()), articles, catalogue.currency if catalogue else CURRENCY)

    def _demand_market(self) -> Market:
        if self._market is None:
            raise NotFound(_NO_SHOP, N_("Ask the technician of the box."))
        return self._market


def _qr(text: str) -> str:
    """Return a QR code as an image in an address, to stand in the page itself."""
    return str(segno.make(text, error="m", micro=False).svg_data_uri(border=2))
