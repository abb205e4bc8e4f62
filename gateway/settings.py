"""Every setting of a box: its name, its unit, what is allowed, and the reason for its default.

A field's `description` says what is allowed and its first example shows it: both are what a technician reads when the
value is wrong, so the words stand in one place. Paths are relative to the file they stand in.
`gateway.settings_file` reads the file and finds its faults.
"""

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    StringConstraints,
    ValidationInfo,
)

from gateway.errors import N_, CannotStart
from gateway.hours import Hours, parse_hours
from gateway.units import Address, parse_address

_HOST = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*\Z")

_SITE_PATH = re.compile(r"/(?!/)[^\s#\\\x00-\x1f\x7f]{0,2000}")


def _address(value: object) -> Address:
    if isinstance(value, Address):
        return value
    if not isinstance(value, str):
        raise ValueError("not text")
    return parse_address(value)


def _host(value: str) -> str:
    lowered = value.lower()
    if not _HOST.match(lowered) and not _is_ip(lowered):
        raise ValueError("not a host name")
    return lowered


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _http_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or parts.fragment:
        raise ValueError("not an http URL")
    _ = parts.port  # raises ValueError when it is not a number below 65536
    return value


def _origin(value: str) -> str:
    parts = urlsplit(_http_url(value))
    if parts.path not in {"", "/"} or parts.query:
        raise ValueError("an origin has no path")
    return f"{parts.scheme}://{parts.netloc}"


def _site_path(value: str) -> str:
    if not _SITE_PATH.fullmatch(value):
        raise ValueError("not a path of a site")
    return value


def _hours(value: object) -> Hours:
    if isinstance(value, Hours):
        return value
    if not isinstance(value, str):
        raise ValueError("not text")
    return parse_hours(value)


def _here(value: Path, info: ValidationInfo) -> Path:
    folder: Path = (info.context or {}).get("folder", Path())
    return (folder / value.expanduser()).resolve()


Whole = Annotated[int, Strict()]  # TOML has numbers: text that looks like one is a slip
Listen = Annotated[Address, BeforeValidator(_address)]
Host = Annotated[str, AfterValidator(_host)]
HttpUrl = Annotated[str, AfterValidator(_http_url)]
Origin = Annotated[str, AfterValidator(_origin)]
LocalPath = Annotated[Path, AfterValidator(_here)]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
SitePath = Annotated[str, AfterValidator(_site_path)]
DayHours = Annotated[Hours, BeforeValidator(_hours)]
Class = Literal["realtime", "interactive", "web", "bulk"]

# RFC 1918, RFC 6598, RFC 3927, RFC 4193, RFC 4291 §2.5.6, and this machine itself
_PRIVATE = tuple(
    ipaddress.ip_network(each)
    for each in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16", "127.0.0.0/8",
                 "fc00::/7", "fe80::/10", "::1/128")
)  # fmt: skip
_LISTEN = N_("an address and a port")
_RATE = N_("a whole number of bits per second, at least 1000")


class Section(BaseModel):
    """A table of the file: unknown keys are faults, values never change after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Box(Section):
    """Who this box is and where it keeps everything."""

    name: str = Field(
        pattern=r"^[a-z0-9][a-z0-9-]{0,31}$",
        description=N_("a short name of small letters, digits and hyphens, at most 32"),
        examples=["san-mateo"],
    )
    code: str = Field(
        default="",
        pattern=r"^[A-Z0-9]{0,4}$",
        description=N_("up to 4 capital letters or digits that begin every receipt number"),
        examples=["SMT"],
    )
    data: LocalPath = Field(
        default=Path("var"),
        validate_default=True,
        description=N_("a directory for all state; made with mode 0700 when it is not there"),
        examples=["var"],
    )
    workers: Whole = Field(
        default=1,  # the process that does everything else
        ge=1,
        le=64,
        description=N_("how many processes answer from the cache, 1 to 64; more than 1 needs more than one core"),
        examples=[2],
    )

    @property
    def receipt_code(self) -> str:
        """The letters that begin a receipt number: `code`, or initials and then consonants of the name."""
        if self.code:
            return self.code
        words = [word for word in self.name.upper().split("-") if word]
        rest = [letter for letter in words[-1][1:] if letter not in "AEIOU"]
        return "".join([*(word[0] for word in words), *rest])[:3]


class Portal(Section):
    """The village's own pages."""

    http: Listen = Field(default=Address("0.0.0.0", 8080), description=_LISTEN, examples=["0.0.0.0:8080"])
    https: Listen | None = Field(
        default=None, description=N_("an address and a port; needs certificate and key"), examples=["0.0.0.0:8443"]
    )
    certificate: LocalPath | None = Field(
        default=None, description=N_("a PEM file with the certificate and its chain"), examples=["tls/box.pem"]
    )
    key: LocalPath | None = Field(
        default=None, description=N_("a PEM file with the certificate's private key"), examples=["tls/box.key"]
    )
    hosts: tuple[Host, ...] = Field(
        default=("localhost",),
        min_length=1,
        description=N_("a list of the portal's own host names, without ports"),
        examples=[["localhost", "tambo.example.org"]],
    )
    connections_max: Whole = Field(
        default=2_000,
        ge=10,
        le=100_000,
        description=N_("how many connections a listener holds at once, 10 to 100000"),
        examples=[2_000],
    )
    header_bytes_max: Whole = Field(
        default=16_384,
        ge=4_096,
        le=131_072,  # phones with long cookies pass 8 KB
        description=N_("the longest request line or header field in bytes, 4096 to 131072"),
        examples=[16_384],
    )
    body_bytes_max: Whole = Field(
        default=1_048_576,
        ge=16_384,
        le=1_073_741_824,
        description=N_("the largest request body in bytes, at least 16384"),
        examples=[1_048_576],
    )
    session_idle_s: Whole = Field(
        default=43_200,
        ge=300,
        le=2_592_000,  # a shop's day, opened once in the morning
        description=N_("seconds until an unused sign-in ends, 300 to 2592000"),
        examples=[43_200],
    )


class Warm(Section):
    """Pages of a site that are kept ready."""

    pages: tuple[SitePath, ...] = Field(
        default=("/",),
        description=N_("a list of paths of the site, each beginning with /"),
        examples=[["/", "/salud/"]],
    )
    depth: Whole = Field(
        default=1,  # what the start page leads to; each level is about ten times the one before
        ge=0,
        le=5,
        description=N_("how many links are followed from those pages, 0 to 5"),
        examples=[1],
    )
    sitemap: bool = Field(
        default=False,
        strict=True,
        description=N_("true or false: whether the pages of the site's sitemap are fetched too"),
        examples=[True],
    )
    hours: tuple[DayHours, ...] = Field(
        default=(parse_hours("01:00-05:00"),),  # while a village sleeps, and many contracts count no data
        description=N_("a list of hours of the box's local time, over midnight too; an empty list: only by command"),
        examples=[["22:30-05:00"]],
    )
    bytes_max: Whole = Field(
        default=50_000_000,  # 1.5 GB a month
        ge=100_000,
        description=N_("bytes over the link in one day, at least 100000"),
        examples=[50_000_000],
    )
    pages_max: Whole = Field(
        default=200, ge=1, le=20_000, description=N_("how many pages are kept ready, 1 to 20000"), examples=[200]
    )


class Query(Section):
    """How the queries of a site's addresses are brought into one spelling."""

    sort: bool = Field(
        default=True,  # no site in use reads the order of named parameters; signed addresses are the exception
        strict=True,
        description=N_("true or false: whether the parameters of an address are put in order"),
        examples=[False],
    )
    drop: tuple[Annotated[str, StringConstraints(pattern=r"^[^\s&=#*]{1,64}\*?$")], ...] | None = Field(
        default=None,  # the list that comes with the box: where a visitor came from
        description=N_("a list of parameters that change nothing and are left out; * at the end for any ending"),
        examples=[["utm_*", "fbclid"]],
    )


class Site(Section):
    """One site that matters, served under its own host names from the cache."""

    name: str = Field(
        pattern=r"^[a-z0-9][a-z0-9-]{0,31}$",
        description=N_("a short name of small letters, digits and hyphens, at most 32"),
        examples=["salud"],
    )
    title: str = Field(
        default="",
        max_length=60,
        description=N_("the name people read, at most 60 characters"),
        examples=["Posta de salud"],
    )
    hosts: tuple[Host, ...] = Field(
        min_length=1, description=N_("a list of host names, without ports"), examples=[["salud.localhost"]]
    )
    origin: Origin = Field(
        description=N_("where the site really is: http or https, a host, and a port if it is not the usual one"),
        examples=["http://127.0.0.1:18000"],
    )
    traffic_class: Class = Field(
        default="web", alias="class", description=N_("one of realtime, interactive, web, bulk"), examples=["web"]
    )
    banner: bool = Field(
        default=False,  # it changes the site's pages
        strict=True,
        description=N_("true or false: whether its pages say how old they are while the link is down"),
        examples=[True],
    )
    images: Literal["off", "save-data", 1080, 720] = Field(
        default="save-data",  # nobody gets less than the site sends who did not ask for it
        description=N_("off, save-data (for browsers that ask for it), 1080 or 720: how wide pictures are at most"),
        examples=["save-data"],
    )
    originals: tuple[SitePath, ...] = Field(
        default=(),
        description=N_("a list of paths below which pictures are never changed, each beginning with /"),
        examples=[["/radiografias/"]],
    )
    warm: Warm | None = Field(default=None, description=N_("a table [sites.warm] that says what is kept ready"))
    query: Query = Query()


class Proxy(Section):
    """The forward proxy for laptops that set one."""

    listen: Listen = Field(description=_LISTEN, examples=["0.0.0.0:3128"])
    allow_private: tuple[Network, ...] = Field(
        default=(),
        description=N_("a list of networks a forwarded request may reach besides public ones"),
        examples=[["10.20.0.0/24"]],
    )
    ports: tuple[Annotated[int, Field(ge=1, le=65_535)], ...] = Field(
        default=(80, 443), description=N_("a list of ports a forwarded request may reach"), examples=[[80, 443]]
    )
    tunnel_idle_s: float = Field(
        default=600.0,
        ge=10,
        le=86_400,  # longer than the pauses of push connections, shorter than a night
        description=N_("seconds until a tunnel in which nothing moves is closed, 10 to 86400"),
        examples=[600.0],
    )
    clients: tuple[Network, ...] = Field(
        default=_PRIVATE,
        description=N_("a list of networks whose devices may use the proxy; by default all private ones"),
        examples=[["192.168.10.0/24"]],
    )
    tunnels_max: Whole = Field(
        default=500, ge=1, le=20_000, description=N_("how many CONNECT tunnels may be open, 1 to 20000"), examples=[500]
    )


class Cache(Section):
    """What the village keeps of the web."""

    size_bytes_max: Whole = Field(
        default=8_000_000_000,
        ge=10_000_000,
        description=N_("bytes of disk for stored pages, at least 10000000"),
        examples=[8_000_000_000],
    )
    memory_bytes_max: Whole = Field(
        default=128_000_000,
        ge=1_000_000,
        description=N_("bytes of memory for pages asked for often, at least 1000000"),
        examples=[128_000_000],
    )
    object_bytes_max: Whole = Field(
        default=200_000_000,
        ge=100_000,
        description=N_("the largest answer that is stored, in bytes, at least 100000"),
        examples=[200_000_000],
    )
    # at 1 Mbit/s a slice takes 4 s, which hides the round trip of the next; its request costs 0.2 % of it; who leaves a
    # video after a minute has paid for at most two more, 16 s of a lesson at 500 kbit/s
    slice_bytes: Whole = Field(
        default=524_288,
        ge=65_536,
        le=16_777_216,
        description=N_("bytes of a large answer that are fetched at once, 65536 to 16777216"),
        examples=[524_288],
    )
    # the journal of orders lies on the same disk: it stops at 32 MB, and the system's own logs need some, too
    free_bytes_min: Whole = Field(
        default=500_000_000,
        ge=0,
        description=N_("bytes of disk that stored pages leave free for everything else"),
        examples=[500_000_000],
    )
    # a file system writes every 5 s itself, so a power cut takes hardly more; a visit is one write to a memory card
    write_every_s: float = Field(
        default=5.0,
        gt=0,
        le=600,
        description=N_("seconds until what changed in the store of pages is written, more than 0, up to 600"),
        examples=[5.0],
    )

    upload_bytes_max: Whole = Field(
        default=20_000_000,
        ge=16_384,
        le=10_000_000_000,  # a photo of a phone passes 10 MB
        description=N_("the largest body sent to a site, in bytes, at least 16384"),
        examples=[20_000_000],
    )
    fetches_max: Whole = Field(
        default=400,
        ge=4,
        le=10_000,  # each holds up to 256 KB of a body under way
        description=N_("how many answers are fetched at once, 4 to 10000"),
        examples=[400],
    )
    device_requests_max: Whole = Field(
        default=48,
        ge=6,
        le=1_000,  # a browser opens 32 connections to a proxy, 6 to a site
        description=N_("how many requests of one device are under way at once, 6 to 1000"),
        examples=[48],
    )
    patience_s: float = Field(
        default=3.0,
        ge=0.1,
        le=60,  # a weak link answers a validation in 1 s; nobody stares at a blank page for longer than this
        description=N_("seconds an origin has before a stored page is shown instead, 0.1 to 60"),
        examples=[3.0],
    )
    reader_s: float = Field(
        default=120.0,
        ge=5,
        le=3_600,  # a phone that went out of reach does not read on
        description=N_("seconds a browser has to take each piece of an answer, 5 to 3600"),
        examples=[120.0],
    )
    access_log: bool = Field(
        default=False,
        description=N_(
            "true or false: whether each answer's time, site, size and source are written to web/access.log"
        ),
        examples=[True],
    )


class Saver(Section):
    """What the village's Wi-Fi is saved: smaller pictures, and text compressed better in idle time."""

    processes: Whole = Field(
        default=1,  # the other cores are for pages and calls
        ge=1,
        le=32,
        description=N_("how many pictures are worked on at once, 1 to 32"),
        examples=[1],
    )
    pixels_max: Whole = Field(
        default=16_000_000,  # a phone's camera takes 12 million
        ge=100_000,
        le=200_000_000,
        description=N_("the largest picture that is made smaller, in pixels, 100000 to 200000000"),
        examples=[16_000_000],
    )
    picture_s: float = Field(
        default=10.0,  # 12 million pixels take a small ARM board 2 s
        ge=0.5,
        le=120,
        description=N_("seconds until a picture is given up and stays as it is, 0.5 to 120"),
        examples=[10.0],
    )
    memory_bytes_max: Whole = Field(
        default=400_000_000,  # of address space; 16 million pixels of a JPEG take 320 million
        ge=150_000_000,
        le=8_000_000_000,
        description=N_("bytes of memory that one picture may take, 150000000 to 8000000000"),
        examples=[400_000_000],
    )
    patience_s: float = Field(
        default=0.5,  # most pictures take a small ARM board 0.15 s
        ge=0,
        le=10,
        description=N_("seconds a browser waits for a smaller picture before it gets the original, 0 to 10"),
        examples=[0.5],
    )
    often: Whole = Field(
        default=3,
        ge=0,
        le=10_000,
        description=N_("after how many requests a text is compressed once more in idle time, 0 to 10000; 0: never"),
        examples=[3],
    )


class Offline(Section):
    """Pages that were asked for while the link was down: noted, and fetched when it is back."""

    pages_max: Whole = Field(
        default=500,  # at 1 MB each a night of a 200 kbit/s link
        ge=0,
        le=5_000,
        description=N_("how many pages the village may have noted, 0 to 5000; 0: none is"),
        examples=[500],
    )
    per_device_max: Whole = Field(
        default=20,
        ge=1,
        le=5_000,
        description=N_("how many pages one device may wait for, 1 to 5000"),
        examples=[20],
    )
    url_chars_max: Whole = Field(
        default=1_000,
        ge=100,
        le=2_000,
        description=N_("the longest address that is noted, in characters, 100 to 2000"),
        examples=[1_000],
    )
    days_max: Whole = Field(
        default=7, ge=1, le=60, description=N_("days until a noted page is forgotten, 1 to 60"), examples=[7]
    )
    page_bytes_max: Whole = Field(
        default=3_000_000,  # the median page of the web has 2.6 MB (HTTP Archive, 2025)
        ge=100_000,
        le=100_000_000,
        description=N_("bytes over the link for one page with its pictures, 100000 to 100000000"),
        examples=[3_000_000],
    )
    bytes_max: Whole = Field(
        default=100_000_000,  # forty median pages; two sites' warm-up
        ge=100_000,
        description=N_("bytes over the link in one day, at least 100000"),
        examples=[100_000_000],
    )
    parts_max: Whole = Field(
        default=60,
        ge=0,
        le=500,
        description=N_("how many pictures, styles and scripts come with one page, 0 to 500"),
        examples=[60],
    )
    tries_max: Whole = Field(
        default=5,
        ge=1,
        le=20,
        description=N_("how often a page is tried before it is given up, 1 to 20"),
        examples=[5],
    )


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
        description=_RATE,
        examples=[4_000_000],
    )
    up_bps: Whole | None = Field(
        default=None,
        ge=1_000,
        description=_RATE,
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


class Market(Section):
    """Where merchants' orders go."""

    marketplace: HttpUrl = Field(
        description=N_("the http or https address that takes batches of orders"),
        examples=["http://127.0.0.1:18100/orders"],
    )
    token: str | None = Field(
        default=None, min_length=8, description=N_("the bearer token the marketplace gave you"), examples=["…"]
    )
    token_file: LocalPath | None = Field(
        default=None,
        description=N_("a file that holds the marketplace's bearer token"),
        examples=["secrets/marketplace"],
    )
    catalogue: LocalPath | None = Field(
        default=None, description=N_("a JSON file of articles shown in the shop"), examples=["catalogue.json"]
    )
    batch_orders_max: Whole = Field(
        default=100, ge=1, le=1_000, description=N_("orders sent at once, 1 to 1000"), examples=[100]
    )
    retry_s_max: float = Field(
        default=300.0,
        ge=1,
        le=86_400,
        description=N_("the longest pause between two tries in seconds, 1 to 86400"),
        examples=[300.0],
    )


class Clinic(Section):
    """Consultations by video."""

    door: Listen = Field(
        default=Address("0.0.0.0", 8444),
        description=N_("an address and a port, where the far party's browser comes in"),
        examples=["0.0.0.0:8444"],
    )
    door_url: HttpUrl | None = Field(
        default=None,
        description=N_("the address of the door as the doctor's browser sees it"),
        examples=["https://tambo.example.org:8444"],
    )
    link_s: Whole = Field(
        default=7_200,
        ge=60,
        le=604_800,
        description=N_("seconds until a consultation's links expire, 60 to 604800"),
        examples=[7_200],
    )
    video_bps_max: Whole = Field(
        default=700_000,
        ge=30_000,
        le=10_000_000,
        description=N_("the most one picture may take in bits per second, 30000 to 10000000"),
        examples=[700_000],
    )
    calls_max: Whole = Field(
        default=4, ge=1, le=100, description=N_("how many consultations may run at once, 1 to 100"), examples=[4]
    )


class Admin(Section):
    """The technician's listener."""

    listen: Listen = Field(default=Address("127.0.0.1", 9090), description=_LISTEN, examples=["127.0.0.1:9090"])


class Settings(Section):
    """Everything a box is told."""

    box: Box
    portal: Portal = Portal()
    sites: tuple[Site, ...] = ()
    proxy: Proxy | None = None
    cache: Cache = Cache()
    saver: Saver = Saver()
    offline: Offline = Offline()
    backhaul: Backhaul = Backhaul()
    market: Market | None = None
    clinic: Clinic = Clinic()
    admin: Admin = Admin()


def secret(value: str | None, file: Path | None) -> str | None:
    """Return a secret given in the file itself or in a file beside it.

    Raises: CannotStart when the file cannot be read.
    """
    if file is None:
        return value
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as exc:
        raise CannotStart(
            N_("A secret's file cannot be read: %(path)s."), N_("Check its path and its rights."), path=file
        ) from exc
