"""WHIP and WHEP over HTTP: an offer comes in, an answer goes out, and a session has an address of its own.

These are programs' addresses, without pages, cookies or forms. A link's token is in the address or, as programs have
it, in `Authorization`; a session's address is itself a secret, and a token that comes along must be the session's. What
is refused is a problem document in plain words. Trickling and restarting ICE are not spoken: our addresses stand in the
answer, and the client is found by where it comes from.

A browser's page of another origin is let in only where that origin was named.

Source: RFC 9725 §4.2 (POST), §4.3 (PATCH is 405), §4.6 (relays in `Link`), §4.7 (bearer tokens);
draft-ietf-wish-whep-03; RFC 9457 (problem documents); Fetch §3.3 (CORS).
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from functools import partial

from aiohttp import web

from gateway.clinic.media.control import Relay
from gateway.clinic.media.sdp_text import TEXT_CHARS_MAX
from gateway.clinic.whip import Direction, Whip
from gateway.errors import N_, BadRequest, GatewayError, NotAllowed, NotSignedIn, TooLarge, WrongMethod
from gateway.portal.apology import RETRY_AFTER_S, language_of, sentences
from gateway.portal.guards import guard
from gateway.portal.origins import came_from_here

PATHS = ("/whip", "/whep")
SDP = "application/sdp"
OFFER_S_MAX = 20.0  # 32 kB at 13 kb/s
_ENDPOINT = "OPTIONS, POST"
_SESSION = "DELETE, OPTIONS"

Handler = Callable[[web.Request, Direction], Awaitable[web.Response]]


class UnsupportedError(BadRequest):
    """A body of another kind than the one that is asked for (RFC 9110 §15.5.16)."""

    status = 415
    code = "unsupported"
    what = N_("The body must be an SDP offer.")
    advice = N_("Send it as application/sdp.")


class WhipPages:
    """Answers cameras and screens that have no page."""

    def __init__(self, whip: Whip) -> None:
        self._whip = whip

    def routes(self, *, far: bool) -> list[web.RouteDef]:
        """Return the routes of the village's side, or of the door's."""
        endpoint = partial(self._endpoint, far)
        made = []
        for direction in Direction:
            path = f"/{direction}"
            made += [
                web.route("*", path, partial(self._answer, endpoint, direction, _ENDPOINT)),
                web.route("*", f"{path}/{{token}}", partial(self._answer, endpoint, direction, _ENDPOINT)),
                web.route("*", f"{path}/sessions/{{name}}", partial(self._answer, self._session, direction, _SESSION)),
            ]
        return made

    async def _answer(
        self, handler: Handler, direction: Direction, methods: str, request: web.Request
    ) -> web.StreamResponse:
        try:
            self._check_origin(request)
            if request.method == "OPTIONS":
                response = web.Response(status=204, headers={"Accept-Post": SDP} if methods is _ENDPOINT else {})
            elif request.method not in methods.split(", "):
                raise WrongMethod  # §4.3: of a session neither trickled nor restarted, PATCH too
            else:
                response = await handler(request, direction)
        except web.HTTPRequestEntityTooLarge:
            response = _problem(request, TooLarge())
        except GatewayError as exc:
            response = _problem(request, exc)
        response.headers["Cache-Control"] = "no-store"
        guard(response.headers)
        if response.status in {204, 405}:
            response.headers["Allow"] = methods
        self._allow_origin(request, response, methods)
        return response

    async def _endpoint(self, far: bool, request: web.Request, direction: Direction) -> web.Response:
        token = _bearer(request)
        in_path = request.match_info.get("token")
        if token is None and in_path is None:
            raise NotSignedIn(N_("The request needs the token of a link."), N_("Ask the clinic for a link."))
        if token is not None and in_path is not None and token != in_path:
            raise BadRequest(N_("The address and the request name different links."))
        sdp = await _offer(request)
        made = await self._whip.open(direction, token or in_path or "", sdp, far=far)
        response = web.Response(status=201, text=made.answer, content_type=SDP)
        response.headers["Location"] = f"/{direction}/sessions/{made.name}"
        response.headers["ETag"] = f'"{made.etag}"'
        for each in made.relays:
            response.headers.add("Link", _link(each))
        return response

    async def _session(self, request: web.Request, direction: Direction) -> web.Response:
        self._whip.close(direction, request.match_info["name"], _bearer(request))
        return web.Response(status=200)

    def _check_origin(self, request: web.Request) -> None:
        """Let in programs, pages of our own, and those of origins that were named.

        Raises: NotAllowed.
        """
        headers = request.headers
        is_browser = "Origin" in headers or "Sec-Fetch-Site" in headers
        if not is_browser or headers.get("Origin") in self._whip.origins:
            return
        if not came_from_here(headers, request.scheme, headers.get("Host", "")):
            raise NotAllowed(
                N_("A page of another site may not do this here."), N_("Use a program, or a page of this box.")
            )

    def _allow_origin(self, request: web.Request, response: web.Response, methods: str) -> None:
        if not self._whip.origins:
            return
        response.headers.add("Vary", "Origin")
        origin = request.headers.get("Origin")
        if origin is None or origin not in self._whip.origins:
            return
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Expose-Headers"] = "Location, ETag, Link"
        if request.method == "OPTIONS":
            response.headers["Access-Control-Allow-Methods"] = methods
            response.headers["Access-Control-Allow-Headers"] = "Authorization, Content-Type"


def _link(relay: Relay) -> str:
    return (
        f'<{relay.url}>; rel="ice-server"; username="{relay.user}"; credential="{relay.password}"; '
        'credential-type="password"'
    )


def _bearer(request: web.Request) -> str | None:
    """Return the token that came in `Authorization`.

    Raises: NotSignedIn where something else came in it.
    """
    field = request.headers.get("Authorization")
    if field is None:
        return None
    scheme, _, token = field.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise NotSignedIn(N_("The request needs the token of a link."), N_("Ask the clinic for a link."))
    return token.strip()


async def _offer(request: web.Request) -> str:
    """Return the offer in a request's body.

    Raises: UnsupportedError, TooLarge, BadRequest.
    """
    if request.content_type != SDP or "Content-Encoding" in request.headers:
        raise UnsupportedError
    if request.content_length is not None and request.content_length > TEXT_CHARS_MAX:
        raise TooLarge
    try:
        async with asyncio.timeout(OFFER_S_MAX):
            body = await request.read()
    except TimeoutError as exc:
        raise BadRequest(N_("The offer did not arrive in time.")) from exc
    if len(body) > TEXT_CHARS_MAX:
        raise TooLarge
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise BadRequest(N_("The offer is not written as SDP.")) from exc


def _problem(request: web.Request, error: GatewayError) -> web.Response:
    """Return a refusal as a problem document (RFC 9457 §3)."""
    what, advice = sentences(language_of(request), error)
    body = {"type": "about:blank", "title": what, "status": error.status, "detail": advice, "code": error.code}
    response = web.Response(
        status=error.status,
        body=json.dumps(body, ensure_ascii=False).encode(),
        content_type="application/problem+json",
    )
    response.headers["Vary"] = "Accept-Language"
    if error.status in RETRY_AFTER_S:
        response.headers["Retry-After"] = str(RETRY_AFTER_S[error.status])
    if isinstance(error, NotSignedIn):
        response.headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, UnsupportedError):
        response.headers["Accept-Post"] = SDP
    return response
