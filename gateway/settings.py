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
    ValidationInfo,
)

from gateway.errors import N_, CannotStart
from gateway.units import Address, parse_address

_HOST = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*\Z")


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
Class = Literal["realtime", "interactive", "web", "bulk"]

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


class Backhaul(Section):
    """The one link to the world."""

    interface: str | None = Field(
        default=None,
        pattern=r"^[^\s/]{1,15}$",
        description=N_("the link's network interface; absent: that of the default route"),
        examples=["wwan0"],
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
