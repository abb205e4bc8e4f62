"""The first page: how the link is, and where to from here; useful without script, small enough for a weak phone."""

from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

from gateway.portal.doorkeeper import Doorkeeper
from gateway.portal.identity import VISIT, Visit
from gateway.portal.kept_page import KeptPages
from gateway.portal.origins import port_of
from gateway.portal.pages import Pages
from gateway.portal.trial import Trial
from gateway.portal.view import Market, Site, Web


@dataclass(frozen=True, slots=True)
class SiteLink:
    """A site, as it is linked from the page that is asked for."""

    title: str
    url: str


class StartPage:
    """What the village finds at `/`."""

    def __init__(
        self,
        pages: Pages,
        doorkeeper: Doorkeeper,
        kept: KeptPages,
        web_room: Web,
        market: Market | None,
        *,
        has_clinic: bool,
        has_https: bool,
        trial: Callable[[], Trial | None],
    ) -> None:
        self._pages = pages
        self._doorkeeper = doorkeeper
        self._kept = kept
        self._web = web_room
        self._market = market
        self._has_clinic = has_clinic
        self._has_https = has_https
        self._trial = trial

    def routes(self) -> list[web.RouteDef]:
        """Return the route of this page."""
        return [web.get("/", self._show)]

    async def _show(self, request: web.Request) -> web.StreamResponse:
        visit = request[VISIT]
        noted, arrived = self._kept.standing(request)
        return self._pages.render(
            request,
            "start.html",
            personal=False,
            noted=noted,
            arrived=arrived,
            needs_setup=await self._doorkeeper.needs_setup(),
            sites=[_link(site, visit) for site in self._web.sites],
            waiting=await self._market.waiting() if self._market else None,
            has_clinic=self._has_clinic,
            has_https=self._has_https,
            trial=self._trial(),
        )


def _link(site: Site, visit: Visit) -> SiteLink:
    # sites stand on the portal's own listeners: the port that reached this page reaches them
    return SiteLink(site.title or site.name, f"{visit.scheme}://{site.hosts[0]}{port_of(visit.host)}/")
