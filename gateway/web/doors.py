"""The two doors of the web room: sites by their host names, and the forward proxy.

Each request is read and let in here: what no listener of ours takes is refused, a device asks for only so much at once,
and a page that is not there while the link is down is noted.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from aiohttp import HttpVersion11, web
from yarl import URL

from gateway.backhaul.sharing.classes import TrafficClass
from gateway.errors import N_, BadRequest, GatewayError, LinkDown, NoCapacity, NotAllowed, WrongHost, WrongMethod
from gateway.web.access_log import AccessLog
from gateway.web.answer import BareAnswer, send_head_only
from gateway.web.early.answers import EarlyAnswers
from gateway.web.exchange import Exchange
from gateway.web.faults import Loop
from gateway.web.fetching.origin import OriginClient
from gateway.web.means import Means, Route
from gateway.web.offline.kept import KeptForLater
from gateway.web.offline.kept_list import KeptList
from gateway.web.rules.asking import PROXY, Ask
from gateway.web.rules.fields import Fields, delta_seconds, first, from_wire
from gateway.web.rules.forwarding import as_at_site, content_length, end_to_end, has_passed
from gateway.web.rules.status import CACHE, FIELD, refused
from gateway.web.rules.target import bare_query, host_asked_for, of_proxy, of_tunnel, peer_of, same_origin
from gateway.web.saver.pictures import Policy
from gateway.web.site import Site
from gateway.web.tunnel import Tunnels

METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"


@dataclass(frozen=True, slots=True)
class Way:
    """How a door's requests reach the world, and its early answers."""

    client: OriginClient
    early: EarlyAnswers


class Doors:
    """Where browsers come in."""

    def __init__(
        self,
        means: Means,
        sites: Sequence[Site],
        *,
        site_way: Way,
        proxy_way: Way | None,
        tunnels: Tunnels | None,
        kept: KeptList,
        log: AccessLog,
    ) -> None:
        self._means = means
        self._sites = sites
        self._by_host = {host: site for site in sites for host in site.hosts}
        self._site_way = site_way
        self._proxy_way = proxy_way
        self._tunnels = tunnels
        self._kept = kept
        self._log = log
        self._busy: Counter[str] = Counter()  # requests under way of each device

    def serves(self, host: str) -> bool:
        """Say whether a host name, in small letters and without port, is that of a site."""
        return host in self._by_host

    async def site(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request for one of the sites.

        Raises: GatewayError.
        """
        fields, target = self._read(request)
        if request.method == "CONNECT":
            raise WrongMethod  # a site is no proxy, and an origin that takes it would be a tunnel without a guard
        host = first(fields, "host")
        site = self._by_host.get(host_asked_for(target, host))
        if site is None:
            raise WrongHost
        if target.raw_path == "*" or _ends_here(request.method, fields):
            return await self._options(request)
        moved = as_at_site(fields, host=host or "", scheme=request.scheme, origin=site.origin)
        reads = request.method in {"GET", "HEAD"}
        url = site.url(target, bare=bare_query(request._message.path), reads=reads)
        ask = replace(_ask(request, url, moved, site.name), rules=site.query)
        return await self._answer(request, ask, replace(self._route(site), device=_device(request)))

    async def proxy(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request of a browser that has this box as its proxy.

        Raises: GatewayError.
        """
        fields, target = self._read(request)
        if self._proxy_way is None or self._tunnels is None:
            raise NotAllowed
        if request.method == "CONNECT":
            if content_length(fields) or first(fields, "transfer-encoding"):
                raise BadRequest(N_("A tunnel's request has no body."))  # RFC 9110 §9.3.6
            return await self._tunnels.serve(request, *of_tunnel(target))
        url = of_proxy(target, bare=bare_query(request._message.path))
        if _ends_here(request.method, fields):
            return await self._options(request)
        way = self._proxy_way
        pictures = pictures_by_proxy(self._sites, url)
        route = Route(way.client, TrafficClass.WEB, way.early, pictures=pictures, device=_device(request))
        return await self._answer(request, _ask(request, url, fields, PROXY), route)

    async def _answer(self, request: web.BaseRequest, ask: Ask, route: Route) -> web.StreamResponse:
        device = route.device
        if self._busy[device] >= self._means.limits.device_requests_max:
            raise NoCapacity(N_("This device asks for too much at once."))
        self._busy[device] += 1
        try:
            response = await Exchange(self._means, request, ask, route).answer()
            self._log.note(self._means.clock.wall_s(), ask.site, response.status, _sent_bytes(response), _how(response))
            return response
        except GatewayError as exc:
            error = self._kept_instead(exc, ask, device)
            self._means.counters.refused += 1
            self._log.note(self._means.clock.wall_s(), ask.site, error.status, 0, error.code)
            error.headers["Cache-Status"] = refused(error.code)
            raise error from exc.__cause__
        finally:
            self._busy[device] -= 1
            if not self._busy[device]:
                del self._busy[device]

    def _kept_instead(self, error: GatewayError, ask: Ask, device: str) -> GatewayError:
        """Return what a page that is not there is answered with while the link is down: that it is kept for later."""
        token = self._kept.keep(ask, device) if isinstance(error, LinkDown) and self._means.backhaul.is_down else None
        if token is None:
            return error
        down_s = self._means.clock.now_s() - self._means.backhaul.status().since_s
        return KeptForLater(token, down_s=down_s, by_proxy=ask.site == PROXY)

    def _read(self, request: web.BaseRequest) -> tuple[Fields, URL]:
        """Return a request's fields and target; what no listener of ours takes is refused here."""
        fields = from_wire(request.raw_headers)
        if request.method == "TRACE":
            raise WrongMethod  # RFC 9110 §9.3.8: it would show a browser's cookies to its scripts
        if request.version < HttpVersion11 and first(fields, "transfer-encoding") is not None:
            raise BadRequest(N_("The request is not valid HTTP."))  # RFC 9112 §6.1
        if has_passed(fields, self._means.name):
            raise Loop
        return fields, request._message.url  # the target as it was sent; `request.url` changes its scheme

    def _route(self, site: Site) -> Route:
        way = self._site_way
        return Route(way.client, site.traffic_class, way.early, site.origin, site.pictures, banner=site.banner)

    async def _options(self, request: web.BaseRequest) -> web.StreamResponse:
        return await send_head_only(request, 200, (("Allow", METHODS),))


def pictures_by_proxy(sites: Sequence[Site], url: str) -> Policy:
    """Return what may be done to pictures of a URL that came by the proxy: what its site allows, elsewhere nothing.

    Nobody here answers for the rest of the web; where several sites have the same origin, all must say the same.
    """
    host, _ = peer_of(url)
    allowed = {site.pictures for site in sites if host in site.hosts or same_origin(f"{site.origin}/", url)}
    return allowed.pop() if len(allowed) == 1 else Policy("off")


def _device(request: web.BaseRequest) -> str:
    return request.remote or ""


def _ask(request: web.BaseRequest, url: str, fields: Fields, site: str) -> Ask:
    version = "1.1" if request.version >= HttpVersion11 else "1.0"
    return Ask(request.method, url, end_to_end(fields), request.body_exists, site, version=version)


def _how(response: web.StreamResponse) -> str:
    """Return what the cache did, in a word: the first parameter of its own `Cache-Status`."""
    _, found, told = response.headers.get(FIELD, "").rpartition(f"{CACHE}; ")
    return told.partition(";")[0] if found else "own"


def _sent_bytes(response: web.StreamResponse) -> int:
    return response.sent_bytes if isinstance(response, BareAnswer) else 0


def _ends_here(method: str, fields: Fields) -> bool:
    """RFC 9110 §7.6.2: an OPTIONS request that may go no further is answered here."""
    return method == "OPTIONS" and delta_seconds(first(fields, "max-forwards")) == 0
