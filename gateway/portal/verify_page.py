"""A receipt is checked by whoever holds it: paste the text of its QR code, and the box says whether it is genuine.

Nobody signs in for that: the page says what the receipt says itself. The text comes in a form and never in an address,
where a phone would keep it.
"""

from aiohttp import web

from gateway.errors import N_, NotFound
from gateway.market.receipts import Statement
from gateway.portal.identity import VISIT, Identity
from gateway.portal.pages import Pages
from gateway.portal.receipt_check import in_figures
from gateway.portal.view import Market

PATH = "/tienda/verificar"


class VerifyPage:
    """The form, and what the box says."""

    def __init__(self, pages: Pages, identity: Identity, market: Market | None) -> None:
        self._pages = pages
        self._identity = identity
        self._market = market

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of this page."""
        return [web.get(PATH, self._show), web.post(PATH, self._check)]

    async def _show(self, request: web.Request) -> web.StreamResponse:
        self._demand()
        return self._page(request, None, is_asked=False)

    async def _check(self, request: web.Request) -> web.StreamResponse:
        market = self._demand()
        form = await self._identity.take_form(request)
        return self._page(request, market.check(form.get("text", "")), is_asked=True)

    def _page(self, request: web.Request, said: Statement | None, *, is_asked: bool) -> web.Response:
        figures = in_figures(said, request[VISIT].language) if said else None
        return self._pages.render(request, "verify.html", has_form=True, is_asked=is_asked, said=said, figures=figures)

    def _demand(self) -> Market:
        if self._market is None:
            raise NotFound(N_("The shop is not set up on this box."), N_("Ask the technician of the box."))
        return self._market
