"""The shop's form: look for articles, fill the basket, say for whom, record; once more, or as a change of an order.

The order's id is made when the form is shown and comes back with it, so that pressing twice makes one order. The whole
basket travels in the form, through searches, faults and a new sign-in. The receipt is shown only after the order is on
disk, and says whether it has left.
"""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from aiohttp import web

from gateway.clock import Clock
from gateway.errors import N_, Conflict, GatewayError, NoCapacity, NotAllowed, NotFound, TooLarge
from gateway.languages import translate
from gateway.market.order import FaultyOrder, Order, is_order_id, order_from
from gateway.market.records import OrderView
from gateway.market.states import State
from gateway.portal.apology import sentences
from gateway.portal.basket import edited, looking_for_another, repeated
from gateway.portal.day_page import DayPage
from gateway.portal.day_summary import day_of, yesterday
from gateway.portal.formats import formats
from gateway.portal.identity import VISIT, Identity
from gateway.portal.order_form import OrderForm, as_order, blame, blank, checked, total, typed, with_customer
from gateway.portal.order_page import OrderPage
from gateway.portal.order_words import METHODS, may_change
from gateway.portal.pages import Pages
from gateway.portal.queue_page import PATH, QueuePage
from gateway.portal.shop_frame import Desk, ShopFrame
from gateway.portal.shop_shelf import ROWS, shelf
from gateway.portal.thumbnails import Thumbnails, picture_url
from gateway.portal.view import Market

CURRENCY = "PEN"  # where no catalogue names one
LOOKED_BACK = 50  # latest orders in which yesterday's is looked for
_ALREADY = N_("The order of this page was recorded already. If you want one more, send it again.")
_STALE = N_("You were away for long. Check the order and send it once more.")
_ENDED = N_("You were signed out after a long pause. Sign in: your order is kept.")
_OFFER_CHANGED = N_("The shop's offer changed while you wrote. It is marked below; look at it and press once more.")
_CHANGED = N_("This order changed meanwhile. Look at it; pressing once more puts what you wrote in its place.")
_FIXED = N_("This order cannot be changed any more. What you wrote is still here: it can become a new order.")
_TODAYS_PRICES = N_("These are today's prices. What changed is marked.")


@dataclass(frozen=True, slots=True)
class _Notice:
    """What is said above the form, and the order it is about."""

    said: str = ""
    receipt_url: str = ""
    status: int = 200


class ShopPages:
    """All pages of the shop, for the people who work for it."""

    def __init__(
        self,
        pages: Pages,
        identity: Identity,
        market: Market | None,
        clock: Clock,
        make_id: Callable[[], uuid.UUID] = uuid.uuid4,
    ) -> None:
        self.frame = ShopFrame(pages, identity, market, clock)
        self._clock = clock
        self._make_id = make_id
        self._parts = (
            QueuePage(self.frame),
            OrderPage(self.frame),
            DayPage(self.frame),
            Thumbnails(self.frame),
        )

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of these pages."""
        own = [web.get("/tienda", self._show), web.post("/tienda", self._take)]
        return [*own, *(route for part in self._parts for route in part.routes())]

    async def _show(self, request: web.Request) -> web.StreamResponse:
        desk = self.frame.demand(request)
        form, notice = self._blank(desk.market), _Notice()
        if asked := request.query.get("editar", ""):
            view, order = await _asked_for(desk, asked)
            if not may_change(view) or (view.was_sent and desk.only_unsent):
                raise web.HTTPSeeOther(f"{PATH}/{view.id}")
            form = edited(form, order, view.revision, desk.market.storefront.catalogue)
            form = looking_for_another(form, request.query.get("cambiar", ""))
        elif asked := request.query.get("repetir", ""):
            _, order = await _asked_for(desk, asked)
            form = repeated(form, order, desk.market.storefront.catalogue)
        if form.has_changed:
            notice = _Notice(desk.say(_TODAYS_PRICES))
        return await self._form(request, desk, form, notice)

    async def _take(self, request: web.Request) -> web.StreamResponse:
        market, visit = self.frame.demand_market(), request[VISIT]
        fields = await self.frame.identity.read_form(request)
        if visit.account is None:
            return self._sign_in_first(request, fields)
        desk = self.frame.demand(request)
        form = typed(self._blank(market), fields, market.storefront.catalogue)
        if not is_order_id(form.id):
            form = replace(form, id=str(self._make_id()), revision=0)
        wanted = fields.get("do", "record")
        if known := fields.get("known", ""):
            form = with_customer(form, known, await market.buyers(desk.shop), is_asked=wanted == "customer")
        if not self.frame.identity.is_genuine(visit, fields):
            return await self._form(request, desk, form, _Notice(desk.say(_STALE), status=403))
        if wanted == "record":
            return await self._record(request, desk, form)
        if wanted == "search":
            form = replace(form, page=1)
        if wanted.startswith("page-") and wanted[5:].isdecimal() and len(wanted) < 10:
            form = replace(form, page=max(int(wanted[5:]), 1))
        return await self._form(request, desk, form, _Notice(desk.say(_OFFER_CHANGED) if form.has_changed else ""))

    async def _record(self, request: web.Request, desk: Desk, form: OrderForm) -> web.Response:
        form = checked(form)
        if form.faults:
            return await self._form(request, desk, form, _Notice(status=422))
        if form.has_changed:
            return await self._form(request, desk, form, _Notice(desk.say(_OFFER_CHANGED), status=409))
        try:
            order = order_from(as_order(form, desk.market.storefront.catalogue))
            if form.revision:
                return await self._change(request, desk, form, order)
            recorded = await desk.market.record(order, desk.shop, desk.account.name)
        except FaultyOrder as exc:
            return await self._form(request, desk, blame(form, exc.fields, exc.advice), _Notice(status=422))
        except Conflict:
            notice = _Notice(desk.say(_ALREADY), f"{PATH}/{form.id}", 409)
            return await self._form(request, desk, replace(form, id=str(self._make_id())), notice)
        except (NoCapacity, TooLarge) as exc:
            return await self._form(request, desk, form, _Notice(_said(desk, exc), status=exc.status))
        raise web.HTTPSeeOther(f"{PATH}/{recorded.id}")

    async def _change(self, request: web.Request, desk: Desk, form: OrderForm, order: Order) -> web.Response:
        """Put an order in the place of what it was before; its photos stay with it.

        Raises: NotFound, NotAllowed, NoCapacity.
        """
        view, before = await _asked_for(desk, form.id)
        if view.was_sent and desk.only_unsent:
            raise NotAllowed(N_("What was sent already only the merchant can change."), N_("Show it to the merchant."))
        order = order.model_copy(update={"photos": before.photos, "made_at": before.made_at})
        try:
            await desk.market.change(
                view.id,
                desk.shop,
                order,
                revision=form.revision,
                made_by=desk.account.name,
                only_unsent=desk.only_unsent,
            )
        except Conflict:
            view, _ = await _asked_for(desk, form.id)
            if may_change(view) and view.revision != form.revision:
                notice = _Notice(desk.say(_CHANGED), f"{PATH}/{view.id}", 409)
                return await self._form(request, desk, replace(form, revision=view.revision), notice)
            notice = _Notice(desk.say(_FIXED), f"{PATH}/{view.id}", 409)
            return await self._form(request, desk, replace(form, id=str(self._make_id()), revision=0), notice)
        raise web.HTTPSeeOther(f"{PATH}/{view.id}")

    async def _form(self, request: web.Request, desk: Desk, form: OrderForm, notice: _Notice) -> web.Response:
        storefront = desk.market.storefront
        found = storefront.search(form.search, category=form.category, offset=(form.page - 1) * ROWS, limit=ROWS)
        if not found.articles and found.total:
            form = replace(form, page=1)
            found = storefront.search(form.search, category=form.category, limit=ROWS)
        try:
            sum_ = total(form, storefront.catalogue)
        except TooLarge:
            sum_ = None
        is_blank = not form.basket and not form.revision and not form.buyer
        return self.frame.render(
            request,
            "shop.html",
            status=notice.status,
            form=form,
            notice=notice.said,
            receipt_url=notice.receipt_url,
            has_catalogue=storefront.catalogue is not None,
            prices_include_tax=storefront.catalogue is None or storefront.catalogue.prices_include_tax,
            catalogue_age_s=storefront.age_s,
            categories=storefront.categories,
            shelf=shelf(form, found, lambda sku: picture_url(storefront, sku)),
            total=sum_,
            buyers=await desk.market.buyers(desk.shop),
            methods=METHODS,
            yesterday=await self._yesterdays(desk) if is_blank else None,
        )

    async def _yesterdays(self, desk: Desk) -> OrderView | None:
        """Return the latest order of yesterday that can be repeated, if it is among the latest of all."""
        zone = formats(desk.visit.language).zone
        wanted = yesterday(self._clock.wall_s(), zone)
        for view in await desk.market.orders(desk.shop, LOOKED_BACK):
            is_one = view.order is not None and view.state is not State.CANCELLED
            if is_one and day_of(view.recorded_wall_s, zone) == wanted:
                return view
        return None

    def _sign_in_first(self, request: web.Request, fields: Mapping[str, str]) -> web.Response:
        """Ask somebody whose session has ended to sign in, and keep the order that they sent."""
        kept = {name: value for name, value in fields.items() if name != "token"}
        problem = translate(request[VISIT].language, _ENDED)
        return self.frame.pages.render(
            request, "signin.html", status=403, has_form=True, next="/tienda", name="", problem=problem, kept=kept
        )

    def _blank(self, market: Market) -> OrderForm:
        return blank(str(self._make_id()), market.storefront.catalogue, CURRENCY)


async def _asked_for(desk: Desk, order_id: str) -> tuple[OrderView, Order]:
    """Return an order of this shop that is whole.

    Raises: NotFound.
    """
    view = await desk.market.order(order_id, desk.shop) if is_order_id(order_id) else None
    if view is None or view.order is None:
        raise NotFound
    return view, view.order


def _said(desk: Desk, error: GatewayError) -> str:
    return " ".join(sentences(desk.visit.language, error))
