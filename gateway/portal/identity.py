"""Who is asking: a browser by its cookie, a program by its bearer token; and whether a form came from our own page.

On a trustworthy origin the cookie is `__Host-`, `Secure` and `SameSite=Lax`. On plain HTTP of a village network no
cookie can be `Secure`: there it is `SameSite=Strict`, and the pages say that the network can read along.

A form's token is an HMAC over the session's id (before sign-in: over a random cookie) and a nonce of its own, so that
it is bound to the browser and differs in each page (compressed pages leak repeated secrets: BREACH).

Source: RFC 6265bis §4.1.3, RFC 6750 §2.1, OWASP ASVS 5.0 §3.3, §3.5.
"""

import asyncio
import hmac
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

from aiohttp import web

from gateway.errors import N_, BadRequest, NotAllowed, NotSignedIn
from gateway.languages import LANGUAGES, negotiate
from gateway.portal.credentials import Role
from gateway.portal.doorkeeper import Doorkeeper
from gateway.portal.origins import SAFE_METHODS, came_from_here, is_trustworthy
from gateway.portal.people import Account, Scope, demand_open, may_record
from gateway.portal.sessions import LIFETIME_S

LANGUAGE_COOKIE = "idioma"
WAITING_COOKIE = "espera"  # the shop's script sets it while an order waits in the phone
LANGUAGE_KEPT_S = 365 * 86_400
FORM_FIELDS_MAX = 1_000  # 200 articles take 400
FORM_S_MAX = 60.0  # 1 MiB at 140 kbit/s on a crowded Wi-Fi
_NONCE_CHARS = 22  # of 16 random bytes
_SECRET_CHARS_MAX = 256  # of a cookie or a bearer token


@dataclass(frozen=True, slots=True)
class Visit:
    """One request of one person: who, in which language, over what kind of connection."""

    account: Account | None
    session: str | None
    binding: str  # what this browser's form tokens are bound to
    binding_is_new: bool
    language: str
    chose_language: bool
    trustworthy: bool
    scheme: str
    host: str
    path: str
    at_door: bool = False  # where nothing of the village is linked

    @property
    def role(self) -> Role | None:
        """The role of whoever is signed in."""
        return self.account.role if self.account else None


VISIT: web.RequestKey[Visit] = web.RequestKey("visit", Visit)


class Identity:
    """Tells who is asking, and binds forms and answers to them."""

    def __init__(
        self, doorkeeper: Doorkeeper, secret: bytes, random_token: Callable[[int], str] = secrets.token_urlsafe
    ) -> None:
        self._doorkeeper = doorkeeper
        self._secret = secret
        self._random_token = random_token

    async def visit(self, request: web.Request, *, ask_session: bool = True) -> Visit:
        """Return who is asking and how; without `ask_session` nobody is signed in."""
        host = request.headers.get("Host", "")
        trustworthy = is_trustworthy(request.scheme, host)
        session = _short(request.cookies.get(_session_cookie(trustworthy))) if ask_session else None
        account = await self._doorkeeper.who(session) if session else None
        bound = _short(request.cookies.get(_form_cookie(trustworthy)))
        wanted = request.query.get("idioma") if request.method in SAFE_METHODS else None
        chose_language = wanted in {language.tag for language in LANGUAGES}
        remembered = wanted if chose_language else request.cookies.get(LANGUAGE_COOKIE)
        return Visit(
            account=account,
            session=session if account else None,
            binding=(session if account else bound) or self._random_token(16),
            binding_is_new=account is None and bound is None,
            language=negotiate(request.headers.get("Accept-Language", ""), remembered),
            chose_language=chose_language,
            trustworthy=trustworthy,
            scheme=request.scheme,
            host=host,
            path=request.path,
            at_door=not ask_session,
        )

    def form_token(self, visit: Visit) -> str:
        """Return a fresh token for a form of this visit's page."""
        nonce = self._random_token(16)
        return nonce + self._sealed(visit.binding, nonce)

    async def read_form(self, request: web.Request) -> dict[str, str]:
        """Return the fields of a form that one of our own pages sent; the token is not looked at.

        Raises: BadRequest.
        """
        if request.content_type != "application/x-www-form-urlencoded" or "Content-Encoding" in request.headers:
            raise BadRequest(N_("The form could not be read."))
        try:
            async with asyncio.timeout(FORM_S_MAX):
                body = (await request.read()).decode("utf-8", "replace")
        except TimeoutError as exc:
            raise BadRequest(N_("The form did not arrive in time."), N_("Go back and send it again.")) from exc
        try:
            pairs = parse_qsl(body, keep_blank_values=True, max_num_fields=FORM_FIELDS_MAX, errors="replace")
        except ValueError as exc:
            raise BadRequest(N_("The form could not be read.")) from exc
        return dict(pairs)

    def is_genuine(self, visit: Visit, form: Mapping[str, str]) -> bool:
        """Say whether a form carries a token that was made for this browser."""
        token = form.get("token", "")
        nonce, seal = token[:_NONCE_CHARS], token[_NONCE_CHARS:]
        known = not visit.binding_is_new and len(nonce) == _NONCE_CHARS
        return hmac.compare_digest(seal.encode(), self._sealed(visit.binding, nonce).encode()) and known

    async def take_form(self, request: web.Request) -> dict[str, str]:
        """Return the fields of a form that this browser got from us.

        Raises: BadRequest, NotAllowed.
        """
        form = await self.read_form(request)
        if not self.is_genuine(request[VISIT], form):
            raise NotAllowed(
                N_("This page was open too long, or its cookies are blocked."),
                N_("Go back, load the page anew and send it once more."),
            )
        return form

    async def merchant_of(self, request: web.Request) -> str:
        """Return the merchant whose own bearer token came with a request.

        Raises: NotSignedIn, NotAllowed.
        """
        account = await self.caller_of(request)
        if account.role is not Role.MERCHANT:
            raise NotAllowed(N_("Only merchants send orders."))
        return account.shop

    async def caller_of(self, request: web.Request) -> Account:
        """Return the merchant or cashier whose bearer token came with a request, and may do as it asks.

        Raises: NotSignedIn, NotAllowed.
        """
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        token = token.strip()
        known = scheme.lower() == "bearer" and 0 < len(token) <= _SECRET_CHARS_MAX
        bearer = await self._doorkeeper.of_token(token) if known else None
        if bearer is None:
            raise NotSignedIn(N_("The request needs a valid access token."), N_("The technician can make you one."))
        account = demand_open(bearer.account)
        if not may_record(account):
            raise NotAllowed(N_("Only merchants send orders."))
        if bearer.token.scope is Scope.READ and request.method not in SAFE_METHODS:
            raise NotAllowed(N_("This access token only reads."), N_("Use one that may hand in orders."))
        return account

    def remember(self, response: web.StreamResponse, visit: Visit, *, for_form: bool) -> None:
        """Let the browser keep its language, and what its forms are bound to."""
        if visit.chose_language:
            response.set_cookie(LANGUAGE_COOKIE, visit.language, max_age=LANGUAGE_KEPT_S, samesite="Lax", httponly=True)
        if for_form and visit.binding_is_new:
            _set(response, _form_cookie(visit.trustworthy), visit.binding, visit, None)

    def begin(self, response: web.StreamResponse, visit: Visit, account: Account, session: str) -> None:
        """Let the browser keep a new session; a phone of a shop keeps it when the browser is closed."""
        kept_s = int(LIFETIME_S) if may_record(account) else None
        _set(response, _session_cookie(visit.trustworthy), session, visit, kept_s)
        _set(response, _form_cookie(visit.trustworthy), "", visit, 0)

    def end(self, request: web.Request, response: web.StreamResponse) -> None:
        """Let the browser forget its session, and what it stored of our pages; not the orders that wait in it.

        `cookies` is not asked for: it would sign people out of the sites beside the portal too.
        """
        visit = request[VISIT]
        _set(response, _session_cookie(visit.trustworthy), "", visit, 0)
        holds_orders = WAITING_COOKIE in request.cookies
        response.headers["Clear-Site-Data"] = '"cache"' if holds_orders else '"cache", "storage"'

    def _sealed(self, binding: str, nonce: str) -> str:
        return hmac.new(self._secret, f"form\0{binding}\0{nonce}".encode(), "sha256").hexdigest()


def demand_own_page(request: web.Request) -> None:
    """Let a request that changes something pass only when a page of ours made it.

    Raises: NotAllowed.
    """
    if request.method in SAFE_METHODS:
        return
    if not came_from_here(request.headers, request.scheme, request.headers.get("Host", "")):
        raise NotAllowed(N_("This was not asked from a page of this box."), N_("Open the start page and begin there."))


def demand_role(visit: Visit, *roles: Role) -> Account:
    """Return who is signed in, when they have one of the roles.

    Raises: NotSignedIn, NotAllowed.
    """
    if visit.account is None:
        raise NotSignedIn
    if visit.account.role not in roles:
        raise NotAllowed(N_("This account is not for this page."), N_("Sign out, and sign in with the right account."))
    return visit.account


def _session_cookie(trustworthy: bool) -> str:
    return "__Host-tambo" if trustworthy else "tambo"


def _form_cookie(trustworthy: bool) -> str:
    return "__Host-tambo-form" if trustworthy else "tambo-form"


def _short(value: str | None) -> str | None:
    return value if value and len(value) <= _SECRET_CHARS_MAX else None


def _set(response: web.StreamResponse, name: str, value: str, visit: Visit, max_age: int | None) -> None:
    response.set_cookie(
        name,
        value,
        max_age=max_age,
        path="/",
        secure=visit.trustworthy,
        httponly=True,
        samesite="Lax" if visit.trustworthy else "Strict",
    )
