"""The portal: the village's pages put together, with what holds for each of them.

Every request is first met (who, which language), must come from our own page if it changes something, and is answered
with guarded headers; a failure is a page in the same frame. `/api/` belongs to programs: they bring a bearer token, and
cookies mean nothing there.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from urllib.parse import quote

from aiohttp import web

from gateway.backhaul.link import Backhaul
from gateway.clinic.whip import Whip
from gateway.clock import Clock
from gateway.errors import BadRequest, GatewayError, NotFound, NotSignedIn, TooLarge, WrongMethod
from gateway.market.shares import Shares
from gateway.portal import apology
from gateway.portal.accounts import Accounts
from gateway.portal.app_pages import AppPages
from gateway.portal.bulk_page import BulkPages
from gateway.portal.clinic_frame import ClinicDesk
from gateway.portal.clinic_pages import ClinicPages
from gateway.portal.consultations import ConsultationPages
from gateway.portal.doorkeeper import Doorkeeper
from gateway.portal.environment import compile_templates
from gateway.portal.guards import guard
from gateway.portal.identity import VISIT, Identity, demand_own_page
from gateway.portal.kept_page import KeptPages
from gateway.portal.link_words import in_words
from gateway.portal.offline_page import Home, load_offline, render_offline
from gateway.portal.pages import Pages
from gateway.portal.proxy_script import ProxyScript
from gateway.portal.sessions import Sessions
from gateway.portal.shop import CURRENCY, ShopPages
from gateway.portal.sign_in import SignInPages, own_path
from gateway.portal.start_page import StartPage
from gateway.portal.statics import Statics
from gateway.portal.team_page import TeamPage
from gateway.portal.trial import Trial
from gateway.portal.verify_page import VerifyPage
from gateway.portal.view import Clinic, Kept, Market, Web
from gateway.portal.whip_pages import PATHS as WHIP_PATHS
from gateway.portal.whip_pages import WhipPages
from gateway.web.offline.kept import KeptForLater

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
PAGES_AT_ONCE = 32  # of one shop: its merchant and cashiers, each with a browser's six connections or fewer
_ROUTER_SAYS: dict[int, type[GatewayError]] = {404: NotFound, 405: WrongMethod, 413: TooLarge}


@dataclass(frozen=True, slots=True)
class PortalLimits:
    """What the portal takes; every one a setting."""

    body_bytes_max: int = 1_048_576
    session_idle_s: float = 43_200.0


class Portal:
    """Pages for people."""

    def __init__(
        self,
        *,
        accounts: Accounts,
        clock: Clock,
        backhaul: Backhaul,
        web: Web,
        market: Market | None,
        clinic: Clinic | None,
        door_url: str,
        secret: bytes,
        limits: PortalLimits,
        has_https: bool,
        trial: Callable[[], Trial | None] = lambda: None,
        proxy_port: Callable[[], int | None] = lambda: None,
        kept: Kept | None = None,
        home: Home | None = None,
        clinic_desk: ClinicDesk | None = None,
        whip: Whip | None = None,
    ) -> None:
        self._limits = limits
        self._home = home
        self._shares = Shares(PAGES_AT_ONCE)
        sessions = Sessions(accounts.database, clock, limits.session_idle_s)
        self._doorkeeper = Doorkeeper(accounts, sessions, clock)
        self._identity = Identity(self._doorkeeper, secret)
        self._statics = Statics()
        self._pages = Pages(self._statics, self._identity, lambda: in_words(backhaul.status(), clock.now_s()))
        self._kept = KeptPages(self._pages, self._identity, kept, web.sites)
        self._start = StartPage(
            self._pages,
            self._doorkeeper,
            self._kept,
            web,
            market,
            has_clinic=clinic is not None,
            has_https=has_https,
            trial=trial,
        )
        self._proxy_script = ProxyScript(web, proxy_port)
        self._sign_in = SignInPages(self._pages, self._identity, self._doorkeeper)
        self._shop = ShopPages(self._pages, self._identity, market, clock)
        self._app = AppPages(self._shop.frame, self._statics, CURRENCY)
        self._team = TeamPage(self._shop.frame, self._doorkeeper)
        self._verify = VerifyPage(self._pages, self._identity, market)
        self._bulk = BulkPages(self._shop.frame, market, clock)
        self._clinic_pages = self._made_clinic(clinic_desk, backhaul, clock, door_url)
        files = self._clinic_pages.files if self._clinic_pages else None
        self._consultations = ConsultationPages(self._pages, clinic, clinic_desk, files)
        self._whip = WhipPages(whip) if whip else None

    async def start(self) -> None:
        """Read and compile all pages, and open the accounts."""
        await asyncio.to_thread(self._load)
        await self._doorkeeper.start()

    async def run(self) -> None:
        """Do what goes on without a page, until cancelled."""
        await asyncio.to_thread(compile_templates)
        await self._bulk.run()

    async def stop(self) -> None:
        """Close the accounts."""
        await self._doorkeeper.stop()

    def application(self) -> web.Application:
        """Return the village's pages, and the nurse's side of consultations."""
        made = web.Application(client_max_size=self._limits.body_bytes_max, middlewares=[self._meet_visitor])
        for part in (self._statics, self._proxy_script, self._start, self._sign_in, self._shop, self._consultations):
            made.add_routes(part.routes())
        if self._clinic_pages is not None:
            made.add_routes(self._clinic_pages.routes())
        if self._whip is not None:
            made.add_routes(self._whip.routes(far=False))
        made.add_routes(self._kept.routes())
        made.add_routes(self._team.routes())
        made.add_routes(self._bulk.routes())
        made.add_routes(self._verify.routes())
        made.add_routes(self._app.routes())
        return made

    def door(self) -> web.Application:
        """Return what the far party's browser may see: its consultation, and what that page needs."""
        made = web.Application(client_max_size=self._limits.body_bytes_max, middlewares=[self._meet_stranger])
        made.add_routes(self._consultations.door_routes())
        if self._clinic_pages is not None:
            made.add_routes(self._clinic_pages.door_routes())
        if self._whip is not None:
            made.add_routes(self._whip.routes(far=True))
        made.add_routes(self._statics.routes())
        return made

    async def merchant_of(self, request: web.Request) -> str:
        """Return the merchant whose bearer token came with a request.

        Raises: NotSignedIn, NotAllowed.
        """
        return await self._identity.merchant_of(request)

    def render_error(self, request: web.BaseRequest, error: GatewayError) -> web.Response:
        """Return the answer for a failure that no page of ours could give."""
        if isinstance(error, KeptForLater):
            return render_offline(request, error, self._home)
        return apology.render_error(request, error)

    def _made_clinic(
        self, desk: ClinicDesk | None, backhaul: Backhaul, clock: Clock, door_url: str
    ) -> ClinicPages | None:
        if desk is None:
            return None
        return ClinicPages(self._pages, self._identity, self._doorkeeper, clock, backhaul.admission, door_url, desk)

    def _load(self) -> None:
        self._statics.load()
        apology.load()
        load_offline()

    @web.middleware
    async def _meet_visitor(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path.startswith(("/api/", "/static/", *WHIP_PATHS)):
            return await handler(request)
        request[VISIT] = await self._identity.visit(request)
        return await self._answer(request, partial(self._within_share, handler))

    @web.middleware
    async def _meet_stranger(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path.startswith(("/static/", *WHIP_PATHS)):
            return await handler(request)
        request[VISIT] = await self._identity.visit(request, ask_session=False)
        return await self._answer(request, handler)

    async def _within_share(self, handler: Handler, request: web.Request) -> web.StreamResponse:
        account = request[VISIT].account
        if account is None or not account.shop:
            return await handler(request)
        with self._shares.one_of(account.shop):
            return await handler(request)

    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            demand_own_page(request)
            response = await handler(request)
        except web.HTTPRedirection as exc:
            response = web.Response(status=exc.status, headers={"Location": exc.headers["Location"]})
        except web.HTTPException as exc:
            response = self._failure(request, _ROUTER_SAYS.get(exc.status, BadRequest)())
        except GatewayError as exc:
            response = self._failure(request, exc)
        if not response.prepared and "Content-Security-Policy" not in response.headers:
            guard(response.headers)
        return response

    def _failure(self, request: web.Request, error: GatewayError) -> web.Response:
        if "text/html" not in request.headers.get("Accept", ""):
            return apology.render_error(request, error)
        if isinstance(error, NotSignedIn):
            wanted = own_path(request.path)
            return web.Response(status=303, headers={"Location": f"/entrar?sigue={quote(wanted)}"})
        response = self._pages.render_failure(request, error)
        if error.status in apology.RETRY_AFTER_S:
            response.headers["Retry-After"] = str(apology.RETRY_AFTER_S[error.status])
        return response
