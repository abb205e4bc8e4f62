"""What a site is, what its operator chose for it, and whose an address is. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from yarl import URL

from gateway.backhaul.sharing.classes import TrafficClass
from gateway.errors import N_, BadRequest
from gateway.web.ahead.warm_plan import WarmOrder
from gateway.web.rules.asking import PROXY
from gateway.web.rules.query import USUAL, QueryRules, normalised
from gateway.web.rules.target import authority, of_proxy, of_site, same_origin, url_in
from gateway.web.saver.pictures import Policy


@dataclass(frozen=True, slots=True)
class Site:
    """A site that the village reaches by name; `hosts` in small letters, without ports, the one for links first."""

    name: str
    title: str
    hosts: tuple[str, ...]
    origin: str
    traffic_class: TrafficClass
    warm: WarmOrder = WarmOrder()  # noqa: RUF009 - frozen
    query: QueryRules = USUAL
    banner: bool = False  # whether its pages say how old they are while the link is down
    pictures: Policy = Policy()  # noqa: RUF009 - frozen

    def url(self, target: URL, *, bare: bool = False, reads: bool = True) -> str:
        """Return the URL at the origin for what a browser asked the site for: what is stored, and what is sent.

        Where it `reads` nothing that is stored (POST), every byte of it may be what the browser has to say.
        """
        url = of_site(self.origin, target, bare=bare)
        return normalised(url, self.query) if reads else url

    def at(self, path: str) -> str:
        """Return the URL at the origin for a path of the site, as its operator writes it."""
        return self.url(URL(path, encoded=True))


def resources(sites: Sequence[Site], address: str) -> tuple[tuple[str, str], ...]:
    """Return what an address names, as (site, URL): as the village sees it, or as its origin has it.

    An address of an origin may be stored for several sites and for the forward proxy; then it names all of them.

    Raises: BadRequest for what is no http or https address, and for one that nobody here could have asked for.
    """
    target = url_in(address)
    if target is None or target.scheme not in {"http", "https"} or not target.raw_host:
        raise BadRequest(N_("This is not an address that begins with http or https."))
    found = tuple(dict.fromkeys(_resources(sites, target)))
    if not found:
        raise BadRequest(
            N_("This address belongs to no site of this box."),
            N_("Give it as the village sees it, or as its origin has it; tambo cache stat lists the sites."),
        )
    return found


def _resources(sites: Sequence[Site], target: URL) -> Iterator[tuple[str, str]]:
    host = authority(target.raw_authority).host
    for site in sites:
        if host in site.hosts:
            yield site.name, site.url(target)
        at_origin = same_origin(f"{site.origin}/", str(target))
        if at_origin is not None:
            yield site.name, normalised(at_origin, site.query)
    if target.scheme == "http" and not any(host in site.hosts for site in sites):
        yield PROXY, of_proxy(target)
