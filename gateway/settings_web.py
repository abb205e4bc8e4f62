"""The settings of pages: sites, the proxy, the cache, the saver, and what is done while the link is down."""

import ipaddress
from typing import Annotated, Literal

from pydantic import (
    Field,
    StringConstraints,
)

from gateway.errors import N_
from gateway.hours import parse_hours
from gateway.settings_types import LISTEN, Class, DayHours, Host, Listen, Network, Origin, Section, SitePath, Whole

# RFC 1918, RFC 6598, RFC 3927, RFC 4193, RFC 4291 §2.5.6, and this machine itself
_PRIVATE = tuple(
    ipaddress.ip_network(each)
    for each in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16", "127.0.0.0/8",
                 "fc00::/7", "fe80::/10", "::1/128")
)  # fmt: skip


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

    listen: Listen = Field(description=LISTEN, examples=["0.0.0.0:3128"])
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
