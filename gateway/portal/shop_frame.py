"""What the pages of the shop have in common: who may use them, and how many orders wait, in sight on each.

Here alone is said whose orders an account works on.
"""

from dataclasses import dataclass

from aiohttp import web

from gateway.clock import Clock
from gateway.errors import N_, NotFound
from gateway.languages import translate
from gateway.market.records import Counts
from gateway.portal.credentials import Role
from gateway.portal.identity import VISIT, Identity, Visit, demand_role
from gateway.portal.pages import Pages
from gateway.portal.people import Account, may_change_sent, may_see_totals
from gateway.portal.view import Market

_NO_SHOP = N_("The shop is not set up on this box.")


@dataclass(frozen=True, slots=True)
class Desk:
    """Somebody who works for a shop, and the room where its orders are."""

    market: Market
    visit: Visit
    account: Account

    @property
    def shop(self) -> str:
        """The merchant whose orders these are."""
        return self.account.shop

    @property
    def only_unsent(self) -> bool:
        """Whether they may change only what has not left the box."""
        return not may_change_sent(self.account)

    def say(self, sentence: str, **values: object) -> str:
        """Return a sentence in the visitor's language."""
        return translate(self.visit.language, sentence, **values)


class ShopFrame:
    """Lets people of a shop in, and renders its pages."""

    def __init__(self, pages: Pages, identity: Identity, market: Market | None, clock: Clock) -> None:
        self.identity = identity
        self.clock = clock
        self.pages = pages
        self._market = market

    def demand_market(self) -> Market:
        """Return the room of orders.

        Raises: NotFound where there is none.
        """
        if self._market is None:
            raise NotFound(_NO_SHOP, N_("Ask the technician of the box."))
        return self._market

    def demand(self, request: web.Request) -> Desk:
        """Return who asks, when they work for a shop.

        Raises: NotFound, NotSignedIn, NotAllowed.
        """
        market = self.demand_market()
        visit = request[VISIT]
        return Desk(market, visit, demand_role(visit, Role.MERCHANT, Role.CASHIER))

    def render(self, request: web.Request, template: str, *, status: int = 200, **values: object) -> web.Response:
        """Return a page of the shop, with what waits in its head."""
        account, market = request[VISIT].account, self._market
        counts = market.counts(account.shop) if market and account else Counts()
        return self.pages.render(
            request,
            template,
            status=status,
            personal=True,
            has_form=False,
            is_call=False,
            counts=counts,
            sees_totals=account is not None and may_see_totals(account),
            is_merchant=account is not None and account.role is Role.MERCHANT,
            **values,
        )
