"""Every setting of a box: its name, its unit, what is allowed, and the reason for its default.

A field's `description` says what is allowed and its first example shows it: both are what a technician reads when the
value is wrong, so the words stand in one place. Paths are relative to the file they stand in.
`gateway.settings_types` says how a value is read, `gateway.settings_web` what there is to set of pages,
`gateway.settings_link` of the link, `gateway.settings_market` of orders, `gateway.settings_clinic` of consultations;
`gateway.settings_file` reads the file and finds its faults.
"""

from pathlib import Path

from pydantic import Field

from gateway.errors import N_, CannotStart
from gateway.settings_clinic import Clinic
from gateway.settings_link import (
    Account,
    Allowance,
    Backhaul,
    Links,
    Modem,
    Probe,
    Radius,
    Reflector,
    Shaper,
    Sharing,
    Tenants,
)
from gateway.settings_market import Market
from gateway.settings_types import LISTEN, Host, Listen, LocalPath, Section, Whole
from gateway.settings_web import Cache, Offline, Proxy, Saver, Site
from gateway.units import Address


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

    http: Listen = Field(default=Address("0.0.0.0", 8080), description=LISTEN, examples=["0.0.0.0:8080"])
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


class Admin(Section):
    """The technician's listener."""

    listen: Listen = Field(default=Address("127.0.0.1", 9090), description=LISTEN, examples=["127.0.0.1:9090"])


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
    links: Links = ()
    modem: Modem = Modem()
    shaper: Shaper = Shaper()
    sharing: Sharing = Sharing()
    tenants: Tenants = ()
    probe: Probe = Probe()
    reflector: Reflector = Reflector()
    account: Account = Account()
    allowance: Allowance = Allowance()
    radius: Radius | None = Field(default=None, description=N_("server, and secret or secret_file"))
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
