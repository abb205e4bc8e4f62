"""What there is to set of the link, and of who shares it."""

from ipaddress import IPv4Address, IPv6Address
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, TypeAdapter, model_validator

from gateway.errors import N_
from gateway.settings_types import LISTEN, RATE, DayHours, Host, Listen, LocalPath, Network, Section, Whole
from gateway.units import Address


class Backhaul(Section):
    """The one link to the world."""

    interface: str | None = Field(
        default=None,
        pattern=r"^[^\s/]{1,15}$",
        description=N_("the link's network interface; absent: that of the default route"),
        examples=["wwan0"],
    )
    head_s: float = Field(
        default=120.0,
        ge=1,
        le=3_600,  # one that comes byte by byte; silence has its own limit
        description=N_("seconds until an answer that does not begin is given up, 1 to 3600"),
        examples=[120.0],
    )
    down_bps: Whole | None = Field(
        default=None,
        ge=1_000,
        description=RATE,
        examples=[4_000_000],
    )
    up_bps: Whole | None = Field(
        default=None,
        ge=1_000,
        description=RATE,
        examples=[1_000_000],
    )
    connect_s: float = Field(
        default=8.0,
        ge=0.5,
        le=120,
        description=N_("seconds until a connection that does not come about is given up, 0.5 to 120"),
        examples=[8.0],
    )
    silence_s: float = Field(
        default=20.0,
        ge=1,
        le=600,
        description=N_("seconds without a byte until a transfer is given up, 1 to 600"),
        examples=[20.0],
    )
    marks: bool = Field(
        default=True,
        description=N_("write on each packet how urgent it is (DSCP); false where the operator's network punishes it"),
        examples=[True],
    )


_HOST: TypeAdapter[str] = TypeAdapter(Host)


def _peer(value: object) -> Address:
    if isinstance(value, Address):
        return value
    host, _, port = value.rpartition(":") if isinstance(value, str) else ("", "", "")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if (":" in bare) != (bare != host) or not (port.isascii() and port.isdigit() and 0 < int(port) <= 65_535):
        raise ValueError("not a host and a port")
    return Address(_HOST.validate_python(bare), int(port))


Peer = Annotated[Address, BeforeValidator(_peer)]


class Probe(Section):
    """How the box asks how long the link takes, while there is load."""

    reflector: Peer | None = Field(
        default=None,
        description=N_("the host and port of the far end's echo; needs key_file"),
        examples=["hub.example.org:8445"],
    )
    key_file: LocalPath | None = Field(
        default=None,
        description=N_("a file with this box's line of the echo's keys: a number and 32 or more hexadecimal digits"),
        examples=["secrets/echo"],
    )
    ping: IPv4Address | IPv6Address | None = Field(
        default=None,
        description=N_("the IP address of a machine beyond the link that answers pings, where there is no echo"),
        examples=["192.0.2.1"],
    )
    month_bytes: Whole = Field(
        default=20_000_000,  # 190,000 probes: five minutes a day at 20 a second, and fewer a second for longer
        ge=0,
        le=10_000_000_000,
        description=N_("bytes of the link's data that probing may cost in a month, both ways; 0: none"),
        examples=[20_000_000],
    )


class Reflector(Section):
    """The far end of the boxes' echo, on a machine beyond the link."""

    listen: Listen = Field(default=Address("0.0.0.0", 8445), description=LISTEN, examples=["0.0.0.0:8445"])
    key_file: LocalPath | None = Field(
        default=None,
        description=N_("a file with a line for each box: its number and 32 or more hexadecimal digits"),
        examples=["secrets/echo"],
    )
    per_source_hz: float = Field(
        default=120.0,  # two boxes at their 50 behind one address of a carrier's NAT
        ge=1,
        le=10_000,
        description=N_("answers a second for one address, 1 to 10000"),
        examples=[120.0],
    )
    total_hz: float = Field(
        default=20_000.0,
        ge=1,
        le=1_000_000,
        description=N_("answers a second in all, 1 to 1000000"),
        examples=[20_000.0],
    )
    sources_max: Whole = Field(
        default=20_000,
        ge=1,
        le=1_000_000,
        description=N_("how many addresses are told apart, 1 to 1000000"),
        examples=[20_000],
    )


class Account(Section):
    """The account of what crossed the link, for whom."""

    keep_months: Whole = Field(
        default=13,  # a year, and the month in which it is settled
        ge=1,
        le=120,
        description=N_("how many months of usage records are kept, 1 to 120"),
        examples=[13],
    )
    write_every_s: Whole = Field(
        default=60,  # a crash loses as much of the account; each time costs the card some 5 kB
        ge=10,
        le=900,
        description=N_("seconds between two times that the account is written to disk, 10 to 900"),
        examples=[60],
    )


CAP = N_("a whole number of bytes, at least 1000000")


class Allowance(Section):
    """How much data the link may move, and what it costs."""

    size_bytes: Whole | None = Field(default=None, ge=1_000_000, description=CAP, examples=[50_000_000_000])
    every: Literal["month", "day"] = Field(
        default="month", description=N_("month or day: how often the allowance begins anew"), examples=["month"]
    )
    day: Whole = Field(
        default=1,
        ge=1,
        le=31,
        description=N_("the day of the month on which it begins anew, 1 to 31; in shorter months the last one"),
        examples=[1],
    )
    hour: Whole = Field(
        default=0,
        ge=0,
        le=23,
        description=N_("the hour of the day at which it begins anew, 0 to 23, on the box's clock"),
        examples=[0],
    )
    tenants: dict[str, Annotated[Whole, Field(ge=1_000_000)]] = Field(
        default={},
        max_length=64,
        description=N_("for each tenant that has a cap of its own, its name and bytes in the same period"),
        examples=["{ coop-norte = 10000000000 }"],
    )
    bulk_slows_ratio: float = Field(
        default=0.8,
        ge=0.1,
        le=1,
        description=N_("the part of the allowance from which on bulk traffic is slowed so that it lasts, 0.1 to 1"),
        examples=[0.8],
    )
    web_slows_ratio: float = Field(
        default=0.9,
        ge=0.1,
        le=0.99,
        description=N_("the part of the allowance from which on pages are slowed so that it lasts, 0.1 to 0.99"),
        examples=[0.9],
    )
    web_floor_bps: Whole = Field(
        default=64_000,  # a text page of 30 kB in 4 s
        ge=8_000,
        le=10_000_000,
        description=N_("bits per second that pages keep when the allowance is used up, 8000 to 10000000"),
        examples=[64_000],
    )
    bulk_hours: tuple[DayHours, ...] = Field(
        default=(),
        max_length=8,
        description=N_("a list of hours in which bulk traffic may move; empty: at all hours"),
        examples=[["22:00-05:00"]],
    )
    gigabyte_minor: Whole | None = Field(
        default=None,
        ge=0,
        le=1_000_000_000,
        description=N_("what a gigabyte over the link costs, in the currency's smallest unit"),
        examples=[250],
    )
    currency: str = Field(
        default="PEN", pattern=r"^[A-Z]{3}$", description=N_("the three letters of a currency"), examples=["PEN"]
    )


class Radius(Section):
    """The accounting server of an operator."""

    server: Host = Field(description=N_("the name or address of the RADIUS server"), examples=["192.0.2.10"])
    port: Whole = Field(
        default=1_813, ge=1, le=65_535, description=N_("the server's accounting port, 1 to 65535"), examples=[1_813]
    )
    secret: str | None = Field(
        default=None,
        min_length=16,  # RFC 2865 §3
        max_length=128,
        description=N_("the secret shared with the server, 16 characters or more; or name secret_file"),
        examples=["…"],
    )
    secret_file: LocalPath | None = Field(
        default=None, description=N_("a file that holds the secret shared with the server"), examples=["secrets/radius"]
    )
    interim_s: Whole = Field(
        default=900,
        ge=60,
        le=86_400,
        description=N_("seconds between two reports of what a session has come to, 60 to 86400"),
        examples=[900],
    )
    session_s: Whole = Field(
        default=86_400,
        ge=3_600,
        le=2_678_400,
        description=N_("seconds after which a session ends and the next begins, 3600 to 2678400"),
        examples=[86_400],
    )

    @model_validator(mode="after")
    def _has_a_secret(self) -> Self:
        if self.secret is None and self.secret_file is None:
            raise ValueError("no secret")
        return self


class Sharing(Section):
    """How the classes of traffic share the link."""

    interactive_floor_bps: Whole = Field(
        default=8_000,  # an order of 134 B in a batch each second, and its receipt (2026-11)
        ge=1_000,
        le=1_000_000,
        description=N_("bits per second that orders always get, beside calls too, 1000 to 1000000"),
        examples=[8_000],
    )
    interactive_ratio: float = Field(
        default=0.5,  # a batch is small, and soon over
        ge=0.05,
        le=0.95,
        description=N_("the part of what calls leave that orders under way get, 0.05 to 0.95"),
        examples=[0.5],
    )
    calls_ratio_max: float = Field(
        default=0.9,  # the rest keeps signalling and acknowledgements of other flows alive
        ge=0.1,
        le=0.95,
        description=N_("the part of the link that all calls together get at most, 0.1 to 0.95"),
        examples=[0.9],
    )
    call_bps_max: Whole = Field(
        default=2_000_000,  # more than twice a 640×480 picture at 700 kb/s, voice and headers
        ge=100_000,
        le=50_000_000,
        description=N_("bits per second that one call gets at most in each direction, 100000 to 50000000"),
        examples=[2_000_000],
    )
    bulk_ratio: float = Field(
        default=0.1,
        ge=0.01,
        le=0.5,
        description=N_("the part that bulk traffic gets beside pages somebody waits for, 0.01 to 0.5"),
        examples=[0.1],
    )


class Tenant(Section):
    """One of several operators or institutions that share the link."""

    name: str = Field(
        pattern=r"^[a-z0-9][a-z0-9-]{0,31}$",
        description=N_("a short name of small letters, digits and hyphens, at most 32"),
        examples=["coop-norte"],
    )
    weight: Whole = Field(
        default=1,  # as the devices that are nobody's together
        ge=1,
        le=1_000,
        description=N_("its part of the link in proportion to the others' weights, 1 to 1000"),
        examples=[3],
    )
    networks: tuple[Network, ...] = Field(
        min_length=1,
        max_length=64,
        description=N_("a list of 1 to 64 networks its devices are in"),
        examples=[["10.20.0.0/16"]],
    )
    guaranteed_down_bps: Whole | None = Field(default=None, ge=1_000, description=RATE, examples=[500_000])
    guaranteed_up_bps: Whole | None = Field(default=None, ge=1_000, description=RATE, examples=[200_000])
    ceiling_down_bps: Whole | None = Field(default=None, ge=1_000, description=RATE, examples=[3_000_000])
    ceiling_up_bps: Whole | None = Field(default=None, ge=1_000, description=RATE, examples=[1_000_000])

    @model_validator(mode="after")
    def _guarantee_is_within_ceiling(self) -> Self:
        for guaranteed_bps, ceiling_bps in (
            (self.guaranteed_down_bps, self.ceiling_down_bps),
            (self.guaranteed_up_bps, self.ceiling_up_bps),
        ):
            if guaranteed_bps and ceiling_bps and guaranteed_bps > ceiling_bps:
                raise ValueError("more is guaranteed than allowed")
        return self


class Shaper(Section):
    """The process that shapes what phones send past the proxy (`tambo shaper`)."""

    silence_s: float = Field(
        default=15.0,
        ge=3,
        le=600,  # the box speaks every two seconds
        description=N_("seconds without a word of the box until the shaper takes its queues away, 3 to 600"),
        examples=[15.0],
    )
    devices: Whole = Field(
        default=64,
        ge=8,
        le=250,
        description=N_("how many devices have a queue of their own in each class, 8 to 250; more share them"),
        examples=[64],
    )


TENANTS = N_("up to 64 tenants with names and networks of their own, each with a guarantee below its ceiling")


def _apart(tenants: tuple[Tenant, ...]) -> tuple[Tenant, ...]:
    if len({tenant.name for tenant in tenants}) < len(tenants):
        raise ValueError("two tenants have one name")
    ranges = sorted(
        (network.version, int(network.network_address), network.prefixlen, int(network.broadcast_address), tenant.name)
        for tenant in tenants
        for network in tenant.networks
    )
    around: list[tuple[int, int, str]] = []  # one network holds another, or they are apart: those that hold this one
    for version, first, _, last, name in ranges:
        while around and around[-1][:2] < (version, first):
            around.pop()
        if around and around[-1][2] != name:
            raise ValueError("two tenants have one network")
        around.append((version, last, name))
    return tenants


Tenants = Annotated[tuple[Tenant, ...], AfterValidator(_apart), Field(max_length=64, description=TENANTS)]


class Modem(Section):
    """What the box asks a mobile modem, through ModemManager."""

    watch: bool = Field(
        default=True,
        description=N_("whether ModemManager is asked for signal, network and data used; where there is none, nothing"),
        examples=[True],
    )


class Way(Section):
    """One of several links; the first in the file is preferred."""

    name: str = Field(
        pattern=r"^[a-z0-9][a-z0-9-]{0,31}$",
        description=N_("a short name of small letters, digits and hyphens, at most 32"),
        examples=["satellite"],
    )
    interface: str = Field(
        pattern=r"^[^\s/]{1,15}$",
        description=N_("this link's network interface, which needs a default route of its own"),
        examples=["wwan1"],
    )
    month_bytes: Whole | None = Field(
        default=None,
        ge=1_000_000,
        description=N_("bytes that may cross it in a month before the other links come first"),
        examples=[20_000_000_000],
    )


LINKS = N_("2 to 4 links with names and interfaces of their own, the preferred one first")


def _different(links: tuple[Way, ...]) -> tuple[Way, ...]:
    if len(links) == 1:
        raise ValueError("one link is [backhaul]'s")
    if len({link.name for link in links}) < len(links) or len({link.interface for link in links}) < len(links):
        raise ValueError("two links have one name or interface")
    return links


Links = Annotated[tuple[Way, ...], AfterValidator(_different), Field(max_length=4, description=LINKS)]
