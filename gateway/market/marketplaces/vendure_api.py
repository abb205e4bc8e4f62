"""Each call to a Vendure shop is one request to its Admin API, signed in and in the right channel.

An API key (Vendure 3.6 and newer, `tokenMethod: ['bearer', 'api-key']`) signs each request; with a user and password a
session token is asked for, and asked for anew once it is refused. What the shop's set-up lacks is nobody's order's
fault: it ends the delivery and counts against none.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from yarl import URL

from gateway.backhaul.sharing.classes import TrafficClass
from gateway.exchange.exchange import Answer, Exchange
from gateway.market.marketplaces.graphql import Reply, read_reply, request
from gateway.market.marketplaces.port import NotDelivered
from gateway.market.marketplaces.vendure_documents import SIGN_IN

_SESSION = "vendure-auth-token"
_TOKEN_CHARS_MAX = 512
_REFUSED_STATUSES = frozenset({401, 403})


@dataclass(frozen=True, slots=True)
class Credentials:
    """How the box is known to the shop: an API key, or a user with a password."""

    api_key: str = ""
    user: str = ""
    password: str = ""

    def __repr__(self) -> str:
        """Say nothing of them."""
        return "Credentials(…)"


class AdminApi:
    """A shop's Admin API."""

    def __init__(self, url: URL, exchange: Exchange, credentials: Credentials, *, channel_token: str = "") -> None:
        self._url = url
        self._exchange = exchange
        self._credentials = credentials
        self._fields = {
            "Content-Type": "application/json",
            **({"vendure-token": channel_token} if channel_token else {}),
            **({"vendure-api-key": credentials.api_key} if credentials.api_key else {}),
        }
        self._token = ""

    async def ask(
        self,
        document: str,
        variables: Mapping[str, object] | None = None,
        *,
        traffic_class: TrafficClass = TrafficClass.INTERACTIVE,
    ) -> Reply:
        """Return what the shop says, refusals and errors included; signed in anew when that is what it lacks.

        Raises: NotDelivered.
        """
        for is_last in (False, True):
            if not self._token and self._credentials.user:
                await self._sign_in()
            reply = await self._post(document, variables or {}, traffic_class)
            if "FORBIDDEN" not in reply.errors:
                return reply
            self._token = ""
            if is_last or not self._credentials.user:
                break
        raise NotDelivered(is_silent=False, reason="not allowed")

    async def _sign_in(self) -> None:
        variables = {"user": self._credentials.user, "password": self._credentials.password}
        reply = await self._post(SIGN_IN, variables, TrafficClass.INTERACTIVE)
        if reply.errors or reply.refusal is not None or not self._token:
            self._token = ""
            raise NotDelivered(is_silent=False, reason="sign-in refused")

    async def _post(self, document: str, variables: Mapping[str, object], traffic_class: TrafficClass) -> Reply:
        fields = {**self._fields, **({"Authorization": f"Bearer {self._token}"} if self._token else {})}
        answer = await self._exchange.ask(
            "POST", self._url, request(document, variables), fields=fields, traffic_class=traffic_class
        )
        if answer.status in _REFUSED_STATUSES:
            self._token = ""  # the next delivery signs in anew
        if answer.status == 400:  # Apollo's word for a query that the schema does not know
            raise NotDelivered(is_silent=False, reason="shop not set up")
        if not answer.is_success:
            raise self._exchange.failure(answer)
        reply = read_reply(await asyncio.to_thread(answer.document), _date(answer))
        if reply is None:
            raise NotDelivered(is_silent=False, reason="answer unreadable")
        token = answer.fields.get(_SESSION, "")
        if token and len(token) <= _TOKEN_CHARS_MAX and token.isascii() and token.isprintable():
            self._token = token
        return reply


def _date(answer: Answer) -> float | None:
    """Return when the shop answered, by its own clock (RFC 9110 §6.6.1)."""
    try:
        return parsedate_to_datetime(answer.fields.get("date", "")).timestamp()
    except (ValueError, OverflowError):
        return None
