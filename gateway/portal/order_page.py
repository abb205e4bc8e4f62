"""An order's page: its receipt, what became of it, and, where the marketplace asks, the answer in one press.

Whatever is pressed carries the revision that was shown; when another one holds by now, the page comes anew and nothing
was done.
"""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

import segno
from aiohttp import web

from gateway.errors import N_, BadRequest, Conflict, NotAllowed, NotFound
from gateway.market.order import TaxLine, content_hash, is_order_id, line_total_minor
from gateway.market.records import OrderView, Step
from gateway.portal.formats import formats
from gateway.portal.guards import guard
from gateway.portal.order_words import METHODS, STEP_NAMES, in_words, may_change, may_go_again
from gateway.portal.queue_page import PATH
from gateway.portal.receipt_text import receipt_text
from gateway.portal.resolution import Proposal, proposal
from gateway.portal.shop_frame import Desk, ShopFrame

_MEANWHILE = N_("This order changed meanwhile, so nothing was done. This is how it stands now.")
_NOT_YOURS = N_("What was sent already only the merchant can change.")
_REVISION = re.compile(r"[1-9][0-9]{0,8}\Z")


@dataclass(frozen=True, slots=True)
class ShownLine:
    """A line of a receipt, with its price, and where another article can be chosen for it."""

    sku: str
    name: str
    quantity: str
    unit: str
    unit_price_minor: int
    total_minor: int
    other_url: str


@dataclass(frozen=True, slots=True)
class ShownStep:
    """A thing that happened to an order."""

    name: str
    when: str
    reason: str
    revision: int


@dataclass(frozen=True, slots=True)
class Offer:
    """What can be agreed to, and the hash of the order it would be; nothing where only part of it can be had."""

    proposal: Proposal
    result: str


class OrderPage:
    """One order of a shop."""

    def __init__(self, frame: ShopFrame) -> None:
        self._frame = frame

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of this page."""
        return [
            web.get(f"{PATH}/{{id}}", self._show),
            web.post(f"{PATH}/{{id}}", self._act),
            web.get(f"{PATH}/{{id}}/recibo.txt", self._download),
        ]

    async def _show(self, request: web.Request) -> web.StreamResponse:
        desk = self._frame.demand(request)
        return await self._page(request, desk, await _find(request, desk))

    async def _download(self, request: web.Request) -> web.StreamResponse:
        desk = self._frame.demand(request)
        order = await _find(request, desk)
        name = re.sub(r"[^A-Za-z0-9-]", "", order.receipt)
        headers = {"Content-Disposition": f'attachment; filename="{name}.txt"'}
        guard(headers)
        text = receipt_text(order, formats(desk.visit.language), desk.say)
        return web.Response(text=text, content_type="text/plain", headers=headers)

    async def _act(self, request: web.Request) -> web.StreamResponse:
        desk = self._frame.demand(request)
        order = await _find(request, desk)
        form = await self._frame.identity.take_form(request)
        try:
            await _do(desk, order, form)
        except Conflict:
            return await self._page(request, desk, await _find(request, desk), desk.say(_MEANWHILE), 409)
        raise web.HTTPSeeOther(f"{PATH}/{order.id}")

    async def _page(
        self, request: web.Request, desk: Desk, order: OrderView, notice: str = "", status: int = 200
    ) -> web.Response:
        is_open = may_change(order) and _is_allowed(desk, order)
        offer = _offer(desk, order) if is_open else None
        if offer is not None:
            desk.market.storefront.sync_now()  # the catalogue here is older than what the marketplace said
        return self._frame.render(
            request,
            "receipt.html",
            status=status,
            order=order,
            words=in_words(order),
            reason=desk.say(order.reason),
            notice=notice,
            lines=[_line(order, place) for place in range(len(order.lines))],
            taxes=_taxes(order),
            payment=METHODS[order.order.payment.method] if order.order else "",
            offer=offer,
            steps=[_step(desk, step) for step in await desk.market.history(order.id, desk.shop)],
            is_open=is_open,
            may_go_again=may_go_again(order),
            is_narrow=request.query.get("papel") == "58",
            qr=await asyncio.to_thread(_qr, desk.market.signed(order) or order.receipt),
        )


async def _find(request: web.Request, desk: Desk) -> OrderView:
    order_id = request.match_info["id"]
    found = await desk.market.order(order_id, desk.shop) if is_order_id(order_id) else None
    if found is None:
        raise NotFound
    return found


async def _do(desk: Desk, order: OrderView, form: Mapping[str, str]) -> None:
    """Have done what was pressed.

    Raises: BadRequest, NotAllowed, Conflict when the order is not the one that was shown.
    """
    wanted, asked = form.get("do", ""), form.get("revision", "")
    if wanted not in {"accept", "cancel", "again"} or not _REVISION.match(asked):
        raise BadRequest(N_("The form could not be read."))
    revision = int(asked)
    if revision != order.revision:
        raise Conflict
    if wanted == "again":
        await desk.market.requeue(order.id, desk.shop)
        return
    if not _is_allowed(desk, order):
        raise NotAllowed(_NOT_YOURS, N_("Show it to the merchant."))
    if wanted == "cancel":
        await desk.market.cancel(
            order.id, desk.shop, revision=revision, made_by=desk.account.name, only_unsent=desk.only_unsent
        )
        return
    offer = _offer(desk, order)
    if offer is None or offer.proposal.order is None or offer.result != form.get("result", ""):
        raise Conflict
    await desk.market.change(
        order.id,
        desk.shop,
        offer.proposal.order,
        revision=revision,
        made_by=desk.account.name,
        only_unsent=desk.only_unsent,
    )


def _offer(desk: Desk, order: OrderView) -> Offer | None:
    found = proposal(order.order, order.attention, desk.market.storefront.catalogue) if order.order else None
    if found is None:
        return None
    return Offer(found, content_hash(found.order, desk.shop) if found.order else "")


def _is_allowed(desk: Desk, order: OrderView) -> bool:
    return not (order.was_sent and desk.only_unsent)


def _line(order: OrderView, place: int) -> ShownLine:
    line = order.lines[place]
    other_url = f"/tienda?{urlencode({'editar': order.id, 'cambiar': line.sku})}"
    return ShownLine(
        line.sku, line.name, line.quantity, line.unit, line.unit_price_minor, line_total_minor(line), other_url
    )


def _step(desk: Desk, step: Step) -> ShownStep:
    when = formats(desk.visit.language).when(step.wall_s)
    return ShownStep(STEP_NAMES[step.state], when, desk.say(step.reason), step.revision)


def _taxes(order: OrderView) -> tuple[TaxLine, ...]:
    return order.order.taxes if order.order else ()


def _qr(text: str) -> str:
    """Return a QR code as an image in an address, to stand in the page itself.

    A signed receipt is long: with the least of corrections its modules are as large as they can be.
    """
    return str(segno.make(text, error="l", micro=False, boost_error=False).svg_data_uri(border=2))
