"""A merchant's people and programs: cashiers and access tokens are made, shown, and taken back here.

What makes a new way in (a cashier, a link, a token) asks for the password again, if there is one; its secret stands on
the answer to that form and nowhere else, never in an address that is asked for. What takes access away asks nothing.
"""

import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime

from aiohttp import web
from babel.dates import format_date

from gateway.clock import clock_state
from gateway.errors import N_, BadRequest, Conflict, GatewayError, NotFound
from gateway.languages import locale, translate
from gateway.portal.apology import sentences
from gateway.portal.credentials import Role
from gateway.portal.doorkeeper import Doorkeeper, Paused, Refused
from gateway.portal.identity import VISIT, Visit, demand_role
from gateway.portal.people import Account, Scope, Token
from gateway.portal.shop_frame import ShopFrame

PATH = "/tienda/equipo"
LINK_S = 86_400.0  # a cashier who begins tomorrow
_NEEDS_LABEL = N_("Write what the token is for, so that you can tell it from the others.")
_WRONG = N_("Your password is not right. Nothing was changed.")
_PAUSED = N_("Too many tries. Wait %(seconds)d seconds, then try again.")
_REMOVED = N_("The cashier was removed. The orders stay.")
_SIGNED_OUT = N_("The cashier is signed out everywhere.")
_SEES = N_("The cashier sees the day's totals now.")
_SEES_NOT = N_("The cashier does not see the day's totals any more.")
_REVOKED = N_("The token is void.")
_ADDED = N_("The cashier can sign in now with the password you chose.")


@dataclass(frozen=True, slots=True)
class Done:
    """What came of a form: a sentence (a message id), or a secret that is shown this once."""

    said: str = ""
    link: str = ""
    token: str = ""


@dataclass(frozen=True, slots=True)
class ShownToken:
    """A token in the list."""

    token: Token
    reads_only: bool
    made_on: str
    used_on: str


Act = Callable[[Visit, Account, Mapping[str, str]], Awaitable[Done]]


class TeamPage:
    """The cashiers and the tokens of a shop, for its merchant."""

    def __init__(self, frame: ShopFrame, doorkeeper: Doorkeeper) -> None:
        self._frame = frame
        self._doorkeeper = doorkeeper
        self._makes: dict[str, Act] = {
            "cashier": self._add_cashier,
            "link": self._make_link,
            "token": self._make_token,
            "token-read": self._make_token,
        }
        self._takes: dict[str, Act] = {
            "remove": self._remove,
            "sign-out": self._sign_out,
            "totals": self._let_see_totals,
            "no-totals": self._let_see_totals,
            "revoke": self._revoke,
        }

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of this page."""
        return [web.get(PATH, self._show), web.post(PATH, self._change)]

    async def _show(self, request: web.Request) -> web.StreamResponse:
        account = demand_role(request[VISIT], Role.MERCHANT)
        return await self._page(request, account, Done())

    async def _change(self, request: web.Request) -> web.StreamResponse:
        visit = request[VISIT]
        account = demand_role(visit, Role.MERCHANT)
        form = await self._frame.identity.take_form(request)
        wanted = form.get("do", "")
        act = self._makes.get(wanted) or self._takes.get(wanted)
        if act is None:
            raise BadRequest(N_("The form could not be read."))
        if wanted in self._makes:
            refusal = await self._doorkeeper.confirm(account, form.get("own", ""), request.remote or "")
            if refusal is not None:
                return await self._refused(request, account, form, refusal)
        try:
            done = await act(visit, account, form)
        except (BadRequest, Conflict, NotFound) as exc:
            return await self._page(request, account, Done(), form, _said(visit.language, exc), exc.status)
        return await self._page(request, account, done)

    async def _add_cashier(self, visit: Visit, account: Account, form: Mapping[str, str]) -> Done:
        name, password = form.get("name", "").strip().lower(), form.get("password", "") or None
        await self._doorkeeper.add_cashier(account.shop, name, password)
        return Done(said=_ADDED) if password else Done(link=await self._link(visit, account, name))

    async def _make_link(self, visit: Visit, account: Account, form: Mapping[str, str]) -> Done:
        return Done(link=await self._link(visit, account, form.get("who", "")))

    async def _link(self, visit: Visit, account: Account, name: str) -> str:
        shop = account.shop
        code = await self._doorkeeper.ask(lambda accounts: accounts.new_link(name, LINK_S, shop=shop))
        return f"{visit.scheme}://{visit.host}/entrar/{code}"

    async def _make_token(self, visit: Visit, account: Account, form: Mapping[str, str]) -> Done:
        del visit
        label = form.get("label", "").strip()
        if not label:
            raise BadRequest(_NEEDS_LABEL, N_("Nothing was changed."))
        scope = Scope.READ if form["do"] == "token-read" else Scope.ORDERS
        return Done(token=await self._doorkeeper.ask(lambda accounts: accounts.tokens.make(account.name, label, scope)))

    async def _remove(self, visit: Visit, account: Account, form: Mapping[str, str]) -> Done:
        del visit
        await self._doorkeeper.ask(lambda accounts: accounts.team.remove(account.shop, form.get("who", "")))
        return Done(said=_REMOVED)

    async def _sign_out(self, visit: Visit, account: Account, form: Mapping[str, str]) -> Done:
        del visit
        await self._doorkeeper.ask(lambda accounts: accounts.team.sign_out(account.shop, form.get("who", "")))
        return Done(said=_SIGNED_OUT)

    async def _let_see_totals(self, visit: Visit, account: Account, form: Mapping[str, str]) -> Done:
        del visit
        name, sees = form.get("who", ""), form["do"] == "totals"
        await self._doorkeeper.ask(lambda accounts: accounts.team.let_see_totals(account.shop, name, sees=sees))
        return Done(said=_SEES if sees else _SEES_NOT)

    async def _revoke(self, visit: Visit, account: Account, form: Mapping[str, str]) -> Done:
        del visit
        await self._doorkeeper.ask(lambda accounts: accounts.tokens.revoke(account.name, form.get("which", "")))
        return Done(said=_REVOKED)

    async def _refused(
        self, request: web.Request, account: Account, form: Mapping[str, str], refusal: Refused | Paused
    ) -> web.Response:
        tag = request[VISIT].language
        if isinstance(refusal, Refused):
            return await self._page(request, account, Done(), form, translate(tag, _WRONG), 403)
        wait_s = math.ceil(refusal.wait_s)
        response = await self._page(request, account, Done(), form, translate(tag, _PAUSED, seconds=wait_s), 429)
        response.headers["Retry-After"] = str(wait_s)
        return response

    async def _page(
        self,
        request: web.Request,
        account: Account,
        done: Done,
        typed: Mapping[str, str] | None = None,
        problem: str = "",
        status: int = 200,
    ) -> web.Response:
        tag = request[VISIT].language
        cashiers, tokens, stored = await self._doorkeeper.ask(
            lambda accounts: (
                accounts.team.list(account.shop),
                accounts.tokens.list(account.name),
                accounts.password_hash(account.name),
            )
        )
        return self._frame.render(
            request,
            "team.html",
            status=status,
            done=done,
            problem=problem,
            cashiers=cashiers,
            tokens=[_shown(tag, each) for each in tokens],
            has_password=stored is not None,
            name=(typed or {}).get("name", "")[:32],
            label=(typed or {}).get("label", "")[:40],
        )


def _shown(tag: str, token: Token) -> ShownToken:
    made_on = datetime.fromtimestamp(token.made_s, UTC).astimezone().date()
    known = clock_state(token.made_s) != "unknown"
    used_on = _day(tag, date.fromisoformat(token.used_on)) if token.used_on else ""
    return ShownToken(token, token.scope is Scope.READ, _day(tag, made_on) if known else "", used_on)


def _day(tag: str, day: date) -> str:
    return format_date(day, "medium", locale=locale(tag))


def _said(tag: str, error: GatewayError) -> str:
    return " ".join(sentences(tag, error))
