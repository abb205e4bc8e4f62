"""What a box would do with its settings, in plain words; and the addresses people are given. Pure."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from gateway.errors import N_
from gateway.settings import Settings
from gateway.settings_clinic import Clinic
from gateway.settings_link import Allowance, Probe
from gateway.units import Address, in_bits, in_bytes

Line = tuple[str, dict[str, object]]

_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def reachable(address: Address) -> Address:
    """Return where a listener is reached from this machine.

    >>> reachable(Address("0.0.0.0", 9090))
    Address(host='127.0.0.1', port=9090)
    """
    return Address(_ANY.get(address.host, address.host), address.port)


def portal_url(settings: Settings) -> str:
    """Return the portal's address as a person types it, without a slash at its end."""
    portal = settings.portal
    scheme, address, usual = ("https", portal.https, 443) if portal.https else ("http", portal.http, 80)
    return f"{scheme}://{portal.hosts[0]}" + ("" if address.port == usual else f":{address.port}")


def door_url(settings: Settings) -> str:
    """Return the door's address as the doctor's browser sees it, without a slash at its end."""
    if settings.clinic.door_url:
        return settings.clinic.door_url.rstrip("/")
    scheme = "https" if settings.portal.https else "http"
    return f"{scheme}://{settings.portal.hosts[0]}:{settings.clinic.door.port}"


def site_url(settings: Settings, host: str) -> str:
    """Return a site's address on this box."""
    parts = urlsplit(portal_url(settings))
    return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port else "") + "/"


def in_plain_words(settings: Settings) -> Iterator[Line]:
    """Yield what the box would do, a message id and its values a line."""
    yield N_("Box %(name)s keeps everything in %(data)s."), {"name": settings.box.name, "data": settings.box.data}
    yield (
        N_("The village opens %(url)s (listening on %(address)s)."),
        {
            "url": portal_url(settings),
            "address": settings.portal.https or settings.portal.http,
        },
    )
    if settings.portal.https is None:
        yield N_("Without [portal] https, phones get no camera: consultations work on this machine only."), {}
    yield from _pages(settings)
    yield from _link(settings)
    yield from _orders(settings)
    yield (
        N_("Doctors come in at %(url)s (listening on %(address)s); links hold %(minutes)d minutes."),
        {
            "url": door_url(settings),
            "address": settings.clinic.door,
            "minutes": settings.clinic.link_s // 60,
        },
    )
    yield from _clinic(settings.clinic)
    yield N_("The technician looks at http://%(address)s."), {"address": reachable(settings.admin.listen)}


def _pages(settings: Settings) -> Iterator[Line]:
    for site in settings.sites:
        yield (
            N_("Site %(name)s: %(url)s comes from %(origin)s, in class %(class)s."),
            {
                "name": site.name,
                "url": site_url(settings, site.hosts[0]),
                "origin": site.origin,
                "class": site.traffic_class,
            },
        )
        if site.warm and site.warm.hours:
            yield (
                N_("Its pages are kept ready: fetched at %(hours)s, up to %(size)s a day."),
                {"hours": ", ".join(map(str, site.warm.hours)), "size": in_bytes(site.warm.bytes_max)},
            )
    if not settings.sites:
        yield N_("No sites are kept yet: add [[sites]]."), {}
    yield (
        N_("Up to %(disk)s of pages stay on disk, %(memory)s of them in memory."),
        {
            "disk": in_bytes(settings.cache.size_bytes_max),
            "memory": in_bytes(settings.cache.memory_bytes_max),
        },
    )
    if settings.proxy:
        yield (
            N_("The forward proxy listens on %(address)s and reaches public addresses only%(besides)s."),
            {
                "address": settings.proxy.listen,
                "besides": "".join(f", {network}" for network in settings.proxy.allow_private),
            },
        )
    else:
        yield N_("There is no forward proxy: add [proxy] listen for one."), {}


def _link(settings: Settings) -> Iterator[Line]:
    link = settings.backhaul
    if link.down_bps and link.up_bps:
        yield (
            N_("The link is taken to carry %(down)s down and %(up)s up."),
            {
                "down": in_bits(link.down_bps),
                "up": in_bits(link.up_bps),
            },
        )
    else:
        yield N_("The link's rate is not stated: the box measures it, from the first download on."), {}
    if link.interface:
        yield N_("The link is up while %(interface)s has its carrier."), {"interface": link.interface}
    if settings.links:
        names = ", ".join(f"{each.name} ({each.interface})" for each in settings.links)
        yield N_("There is more than one link, the preferred first: %(links)s."), {"links": names}
    yield from _probing(settings.probe)
    yield from _tenants(settings)
    yield from _allowance(settings.allowance)
    yield N_("Usage records are kept for %(months)d months."), {"months": settings.account.keep_months}
    if settings.radius:
        told = Address(settings.radius.server, settings.radius.port)
        yield N_("The RADIUS server at %(address)s is told of them."), {"address": told}


def _probing(probe: Probe) -> Iterator[Line]:
    size = in_bytes(probe.month_bytes)
    if not probe.month_bytes or not (probe.reflector or probe.ping):
        yield N_("Nobody is asked how long the link takes: the connections tell, both directions together."), {}
    elif probe.reflector:
        said = N_("Under load, the echo at %(address)s tells each direction's delay, for up to %(size)s a month.")
        yield said, {"address": probe.reflector, "size": size}
    else:
        said = N_("Under load, pings of %(address)s tell how long the link takes, for up to %(size)s a month.")
        yield said, {"address": probe.ping, "size": size}


def _tenants(settings: Settings) -> Iterator[Line]:
    if not settings.tenants:
        return
    names = ", ".join(f"{each.name} ({each.weight})" for each in settings.tenants)
    yield N_("The link is shared by weight among: %(names)s."), {"names": names}
    link = settings.backhaul
    for guaranteed_bps, link_bps in (
        (sum(each.guaranteed_down_bps or 0 for each in settings.tenants), link.down_bps),
        (sum(each.guaranteed_up_bps or 0 for each in settings.tenants), link.up_bps),
    ):
        if link_bps and guaranteed_bps > link_bps:
            yield (
                N_("Tenants are guaranteed more than the link is taken to carry: %(all)s of %(rate)s. Each gets less."),
                {"all": in_bits(guaranteed_bps), "rate": in_bits(link_bps)},
            )


def _allowance(told: Allowance) -> Iterator[Line]:
    if told.size_bytes and told.every == "month":
        said = N_("Up to %(size)s may cross the link each month, from day %(day)d on; it slows before that ends.")
        yield said, {"size": in_bytes(told.size_bytes), "day": told.day}
    elif told.size_bytes:
        said = N_("Up to %(size)s may cross the link each day; it slows before that ends.")
        yield said, {"size": in_bytes(told.size_bytes)}
    for name, size_bytes in told.tenants.items():
        yield N_("Of that, %(name)s may use %(size)s."), {"name": name, "size": in_bytes(size_bytes)}
    if told.bulk_hours:
        hours = ", ".join(map(str, told.bulk_hours))
        yield N_("Background traffic moves at %(hours)s only."), {"hours": hours}


def _orders(settings: Settings) -> Iterator[Line]:
    if settings.market is None:
        yield N_("No orders are taken: add [market] marketplace."), {}
        return
    yield (
        N_("Orders get receipts %(code)s-… and go to %(marketplace)s, up to %(batch)d at once."),
        {
            "code": settings.box.receipt_code,
            "marketplace": settings.market.marketplace,
            "batch": settings.market.batch_orders_max,
        },
    )


def _clinic(clinic: Clinic) -> Iterator[Line]:
    if clinic.turn:
        yield N_("Media may take the relays %(relays)s."), {"relays": ", ".join(clinic.turn)}
        if clinic.turn_secret_file is None:
            yield N_("No relay is used without its secret: add [clinic] turn_secret_file."), {}
    if clinic.doctors:
        yield N_("The clinic may call: %(names)s."), {"names": ", ".join(each.name for each in clinic.doctors)}
    if clinic.fhir is None:
        yield N_("Clinic records stay on this box: add [clinic] fhir to hand them over."), {}
        return
    yield (
        N_("Clinic records go to %(server)s; answers are asked for every %(seconds)d seconds."),
        {"server": clinic.fhir, "seconds": clinic.answers_s},
    )
    if clinic.recipient:
        said = N_("What was handed over is sealed to its recipient, and stays for %(days)d days.")
    else:
        said = N_("What was handed over stays readable here for %(days)d days: add [clinic] recipient to seal it.")
    yield said, {"days": clinic.keep_days}
