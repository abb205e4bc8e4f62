"""The list of noted pages: what this browser asked for while the link was down, what has arrived, and a way to open it.

The browser carries the tokens of its requests in a cookie of the portal, and the box knows only their hashes, so a
neighbour sees nothing of it and no account is needed. The cookie is `Lax`: the first token comes by a link from a
site's page, and with `Strict` the browser would not show those that it has. Who only holds the link sees one page.

Source: RFC 6265bis §5.6.7 (SameSite), W3C "Good Practices for Capability URLs" (a token is taken out of the address).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from aiohttp import web

from gateway.errors import N_
from gateway.portal.formats import formats
from gateway.portal.identity import VISIT, Identity, Visit
from gateway.portal.offline_page import LIST_PATH, TOKEN_FIELD
from gateway.portal.origins import port_of
from gateway.portal.pages import Pages
from gateway.portal.view import Kept, Site
from gateway.web.offline.kept import KeptPage, KeptState
from gateway.web.rules.target import origin_of

TOKENS_MAX = 60  # of one browser, the latest: 1,380 bytes of a cookie, sent to the portal alone
KEPT_S = 60 * 86_400  # longer than any page is kept
NAME_CHARS_MAX = 80
_TOKEN = re.compile(r"[A-Za-z0-9_-]{22}")


@dataclass(frozen=True, slots=True)
class StateWords:
    """A state's name, what it means, and its colour; both texts are message ids."""

    name: str
    meaning: str
    tone: str


_WORDS = {
    KeptState.WAITING: StateWords(
        N_("Waiting for the link"), N_("It is fetched by itself when the link is back and has room."), "care"
    ),
    KeptState.ARRIVED: StateWords(N_("Has arrived"), N_("It opens now, even without the link."), "good"),
    KeptState.PERSONAL: StateWords(
        N_("Opens only with the link"),
        N_("Its site does not let it be kept here. Open it while the link works."),
        "care",
    ),
    KeptState.GIVEN_UP: StateWords(
        N_("Could not be fetched"), N_("Its site did not answer, or has no such page. Check the address."), "bad"
    ),
}


@dataclass(frozen=True, slots=True)
class ShownPage:
    """A noted page, as it is listed."""

    token: str
    url: str
    name: str
    place: str
    when: str
    words: StateWords


class KeptPages:
    """What a browser waits for."""

    def __init__(self, pages: Pages, identity: Identity, kept: Kept | None, sites: Sequence[Site]) -> None:
        self._pages = pages
        self._identity = identity
        self._kept = kept
        self._sites = {site.name: site for site in sites}

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of these pages."""
        return [web.get(LIST_PATH, self._show), web.post(LIST_PATH, self._take_back)] if self._kept else []

    def standing(self, request: web.Request) -> tuple[int, int]:
        """Return how many pages of this browser wait, and how many have arrived."""
        states = [page.state for _, page in self._found(request)]
        return states.count(KeptState.WAITING), states.count(KeptState.ARRIVED)

    async def _show(self, request: web.Request) -> web.StreamResponse:
        visit, held = request[VISIT], _tokens(request, request[VISIT])
        fresh = request.query.get(TOKEN_FIELD, "")
        if _TOKEN.fullmatch(fresh):  # it is put where no later visitor of this phone reads it, and no Referer tells it
            response: web.StreamResponse = web.Response(status=303, headers={"Location": LIST_PATH})
            if self._kept is not None and self._kept.shown_by([fresh]):  # any page may lead here, with any token
                _hold(response, visit, [*(each for each in held if each != fresh), fresh])
            return response
        found = self._found(request)
        waiting = sum(page.state is KeptState.WAITING for _, page in found)
        shown = [self._shown(visit, token, page) for token, page in found]
        response = self._pages.render(request, "kept.html", has_form=True, shown=shown, waiting=waiting)
        live = {token for token, _ in found}
        if left := [each for each in held if each not in live]:
            _hold(response, visit, [each for each in held if each not in left])
        return response

    async def _take_back(self, request: web.Request) -> web.StreamResponse:
        form = await self._identity.take_form(request)
        visit, token = request[VISIT], form.get(TOKEN_FIELD, "")
        held = _tokens(request, visit)
        if token in held and self._kept is not None:
            self._kept.take_back(token)
        response = web.Response(status=303, headers={"Location": LIST_PATH})
        _hold(response, visit, [each for each in held if each != token])
        return response

    def _found(self, request: web.Request) -> Sequence[tuple[str, KeptPage]]:
        tokens = _tokens(request, request[VISIT])
        return self._kept.shown_by(tokens) if self._kept is not None and tokens else ()

    def _shown(self, visit: Visit, token: str, page: KeptPage) -> ShownPage:
        site, origin = self._sites.get(page.site), origin_of(page.url)
        path = page.url.removeprefix(origin) or "/"
        url = f"{visit.scheme}://{site.hosts[0]}{port_of(visit.host)}{path}" if site else page.url
        place = (site.title or site.name) if site else origin.partition("://")[2]
        plain = unquote(path, errors="replace")
        return ShownPage(
            token=token,
            url=url,
            name=page.title or (plain if len(plain) <= NAME_CHARS_MAX else f"{plain[:NAME_CHARS_MAX]}…"),
            place=place,
            when=formats(visit.language).when(page.since_s),
            words=_WORDS[page.state],
        )


def _tokens(request: web.Request, visit: Visit) -> list[str]:
    held = request.cookies.get(_cookie(visit), "")[: TOKENS_MAX * 23]
    return [each for each in dict.fromkeys(held.split(".")) if _TOKEN.fullmatch(each)]


def _hold(response: web.StreamResponse, visit: Visit, tokens: Sequence[str]) -> None:
    response.set_cookie(
        _cookie(visit),
        ".".join(tokens[-TOKENS_MAX:]),
        max_age=KEPT_S if tokens else 0,
        path="/",
        secure=visit.trustworthy,
        httponly=True,
        samesite="Lax",
    )


def _cookie(visit: Visit) -> str:
    return "__Host-tambo-kept" if visit.trustworthy else "tambo-kept"
