"""The pages that let people in and out: by password, by token, by a one-time link, and once by the set-up code.

Where somebody wanted to go is kept through the sign-in, as a path of our own and nothing else. So is a form that was
sent after its session had ended: it comes back after the sign-in, to be sent with one press.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from aiohttp import web

from gateway.errors import N_, BadRequest, Conflict, GatewayError, NotAllowed, NotFound, TooMany
from gateway.languages import translate
from gateway.portal.apology import sentences
from gateway.portal.credentials import Role
from gateway.portal.doorkeeper import Doorkeeper, Paused, Refused, SignedIn
from gateway.portal.identity import VISIT, Identity
from gateway.portal.pages import Pages

_OWN_PATH = re.compile(r"/(tienda|clinica)(/[A-Za-z0-9-]{1,64})*\Z")
_HOME = {
    Role.MERCHANT: "/tienda",
    Role.CASHIER: "/tienda",
    Role.NURSE: "/clinica",
    Role.TECHNICIAN: "/clinica",
    Role.DOCTOR: "/clinica",
}
_REFUSED = N_("The user name or the password is not right. Check both; capital letters count in a password.")
_PAUSED = N_("Too many tries. Wait %(seconds)d seconds, then try again.")
_STALE = N_("This page was open too long, or its cookies are blocked. Please send it once more.")


_KEPT = "kept."
_NOTHING_KEPT: Mapping[str, str] = MappingProxyType({})


def own_path(wanted: str) -> str:
    """Return a path to go on to after signing in, when it is one of ours; else nothing.

    >>> own_path("/tienda/pedidos"), own_path("//evil.example"), own_path("/tienda/../x"), own_path("https://x")
    ('/tienda/pedidos', '', '', '')
    """
    return wanted if _OWN_PATH.match(wanted) else ""


class SignInPages:
    """In and out."""

    def __init__(self, pages: Pages, identity: Identity, doorkeeper: Doorkeeper) -> None:
        self._pages = pages
        self._identity = identity
        self._doorkeeper = doorkeeper

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of these pages."""
        return [
            web.get("/entrar", self._show),
            web.post("/entrar", self._sign_in),
            web.get("/entrar/{code}", self._show_link),
            web.post("/entrar/{code}", self._use_link),
            web.post("/salir", self._sign_out),
            web.get("/preparar", self._show_setup),
            web.post("/preparar", self._set_up),
        ]

    async def _show(self, request: web.Request) -> web.StreamResponse:
        visit = request[VISIT]
        wanted = own_path(request.query.get("sigue", ""))
        if visit.account:
            raise web.HTTPSeeOther(wanted or _HOME[visit.account.role])
        return self._form(request, wanted)

    async def _sign_in(self, request: web.Request) -> web.StreamResponse:
        visit = request[VISIT]
        form = await self._identity.read_form(request)
        name, wanted = form.get("name", ""), own_path(form.get("next", ""))
        kept = {field.removeprefix(_KEPT): value for field, value in form.items() if field.startswith(_KEPT)}
        if not self._identity.is_genuine(visit, form):
            return self._form(request, wanted, name, translate(visit.language, _STALE), 403, kept)
        outcome = await self._doorkeeper.sign_in(name, form.get("password", ""), request.remote or "", visit.session)
        match outcome:
            case SignedIn():
                return self._resume(request, outcome, wanted, kept) if kept else self._welcome(request, outcome, wanted)
            case Paused():
                response = self._form(request, wanted, name, _wait_sentence(visit.language, outcome), 429, kept)
                response.headers["Retry-After"] = str(math.ceil(outcome.wait_s))
                return response
            case Refused():
                return self._form(request, wanted, name, translate(visit.language, _REFUSED), 403, kept)

    async def _show_link(self, request: web.Request) -> web.StreamResponse:
        # the link is not used by looking at it: messengers fetch what they are sent
        return self._pages.render(request, "use_link.html", has_form=True)

    async def _use_link(self, request: web.Request) -> web.StreamResponse:
        await self._identity.take_form(request)
        visit = request[VISIT]
        code = request.match_info["code"]
        outcome = await self._doorkeeper.sign_in_by_link(code, request.remote or "", visit.session)
        match outcome:
            case SignedIn():
                return self._welcome(request, outcome, "")
            case Paused():
                raise TooMany
            case Refused():
                raise NotAllowed(
                    N_("This link was used already or has run out."), N_("Ask the technician for a new one.")
                )

    async def _sign_out(self, request: web.Request) -> web.StreamResponse:
        visit = request[VISIT]
        await self._identity.take_form(request)
        if visit.session:
            await self._doorkeeper.sign_out(visit.session)
        response = web.Response(status=303, headers={"Location": "/"})
        self._identity.end(request, response)
        return response

    async def _show_setup(self, request: web.Request) -> web.StreamResponse:
        await self._demand_new()
        return self._setup_form(request)

    async def _set_up(self, request: web.Request) -> web.StreamResponse:
        await self._demand_new()
        visit = request[VISIT]
        form = await self._identity.read_form(request)
        code, name = form.get("code", ""), form.get("name", "").strip().lower()
        if not self._identity.is_genuine(visit, form):
            return self._setup_form(request, code, name, translate(visit.language, _STALE), 403)
        try:
            outcome = await self._doorkeeper.set_up(code, name, form.get("password", ""), request.remote or "")
        except (BadRequest, Conflict, NotAllowed) as exc:
            return self._setup_form(request, code, name, _said(visit.language, exc), exc.status)
        if isinstance(outcome, Paused):
            return self._setup_form(request, code, name, _wait_sentence(visit.language, outcome), 429)
        return self._welcome(request, outcome, "")

    def _welcome(self, request: web.Request, signed_in: SignedIn, wanted: str) -> web.Response:
        response = web.Response(status=303, headers={"Location": wanted or _HOME[signed_in.account.role]})
        self._identity.begin(response, request[VISIT], signed_in.account, signed_in.session)
        return response

    def _resume(self, request: web.Request, signed_in: SignedIn, wanted: str, kept: Mapping[str, str]) -> web.Response:
        """Return the kept form, bound to the new session."""
        account, session = signed_in.account, signed_in.session
        visit = replace(request[VISIT], account=account, session=session, binding=session, binding_is_new=False)
        request[VISIT] = visit
        response = self._pages.render(request, "resume.html", action=wanted or "/tienda", kept=kept)
        self._identity.begin(response, visit, account, session)
        return response

    def _form(
        self,
        request: web.Request,
        wanted: str,
        name: str = "",
        problem: str = "",
        status: int = 200,
        kept: Mapping[str, str] = _NOTHING_KEPT,
    ) -> web.Response:
        return self._pages.render(
            request,
            "signin.html",
            status=status,
            has_form=True,
            next=wanted,
            name=name[:64],
            problem=problem,
            kept=kept,
        )

    def _setup_form(
        self, request: web.Request, code: str = "", name: str = "", problem: str = "", status: int = 200
    ) -> web.Response:
        return self._pages.render(
            request, "setup.html", status=status, has_form=True, code=code[:64], name=name[:32], problem=problem
        )

    async def _demand_new(self) -> None:
        if not await self._doorkeeper.needs_setup():
            raise NotFound


def _wait_sentence(tag: str, paused: Paused) -> str:
    return translate(tag, _PAUSED, seconds=math.ceil(paused.wait_s))


def _said(tag: str, error: GatewayError) -> str:
    return " ".join(sentences(tag, error))
