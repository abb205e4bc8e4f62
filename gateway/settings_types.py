"""How a value of the settings file is read: what it must be, and the sentence that says so."""

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
    Strict,
    ValidationInfo,
)

from gateway.errors import N_
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

LISTEN = N_("an address and a port")
RATE = N_("a whole number of bits per second, at least 1000")


class Section(BaseModel):
    """A table of the file: unknown keys are faults, values never change after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True)
