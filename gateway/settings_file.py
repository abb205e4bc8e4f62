"""The settings file: read once, checked whole; every fault is reported, with what is allowed and an example.

What pydantic finds wrong is told in our words; rules that hold between settings are read from the document as it is, so
that they are told beside the other faults and not after them.
"""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from gateway.errors import N_, CannotStart
from gateway.settings import Admin, Portal, Settings
from gateway.settings_clinic import Clinic
from gateway.settings_link import Backhaul, Probe, Sharing
from gateway.settings_market import Market
from gateway.settings_web import Cache
from gateway.units import Address, parse_address


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with the file; `problem` and `allowed` are message ids."""

    key: str
    problem: str
    allowed: str = ""
    example: str = ""


_NOT_ALLOWED = N_("this value is not allowed")
_MISSING = N_("this is needed and not there")
_UNKNOWN = N_("there is no such setting")


def parse(document: Mapping[str, Any], folder: Path) -> Settings | list[Fault]:
    """Return the settings in a TOML document, or every fault in it."""
    across = _across(document)
    try:
        settings = Settings.model_validate(document, context={"folder": folder})
    except ValidationError as exc:
        return _dedupe([*(_fault(tuple(error["loc"]), error["type"]) for error in exc.errors()), *across])
    return across or settings


def load(path: Path) -> Settings | list[Fault]:
    """Return the settings in the file at `path`, or every fault in it.

    Raises: CannotStart when the file cannot be read at all.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as exc:
        raise CannotStart(
            N_("The settings file cannot be read: %(path)s (%(reason)s)."),
            N_("Check the path given with --config."),
            path=path,
            reason=exc.strerror,
        ) from exc
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise CannotStart(
            N_("The settings file is not TOML: %(reason)s."),
            N_("Mend that line; the README shows a whole file."),
            reason=exc,
        ) from exc
    return parse(document, path.resolve().parent)


def _dedupe(faults: Iterable[Fault]) -> list[Fault]:
    by_key = {fault.key: fault for fault in faults}
    # a list is at fault because one of its items is: the item says it better
    return [fault for key, fault in by_key.items() if not any(other.startswith(f"{key}[") for other in by_key)]


def _fault(location: tuple[int | str, ...], kind: str) -> Fault:
    named: list[str] = []
    model: type[BaseModel] | None = Settings
    field = None
    for part in location:
        if isinstance(part, int):
            named[-1] += f"[{part}]" if named else ""
            continue
        found = _field(model, part)
        if found is None and model is None:
            continue  # deeper than a setting: pydantic's own names for alternatives
        named.append(part)
        field, model = found or (None, None)
    key = ".".join(named)
    if kind == "extra_forbidden":
        return Fault(key, _UNKNOWN, _near(location), "")
    if field is None:
        return Fault(key, _NOT_ALLOWED)
    example = field.examples[0] if field.examples else ""
    return Fault(
        key, _MISSING if kind == "missing" else _NOT_ALLOWED, field.description or "", _toml(named[-1], example)
    )


def _field(model: type[BaseModel] | None, name: str) -> tuple[Any, type[BaseModel] | None] | None:
    if model is None:
        return None
    for key, field in model.model_fields.items():
        if name in {key, field.alias}:
            return field, _section(field.annotation)
    return None


def _section(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in getattr(annotation, "__args__", ()) if (found := _section(part))), None)


def _near(location: tuple[int | str, ...]) -> str:
    model: type[BaseModel] | None = Settings
    for part in location[:-1]:
        if isinstance(part, str):
            found = _field(model, part)
            model = found[1] if found else None
    names = [field.alias or key for key, field in model.model_fields.items()] if model else []
    near = get_close_matches(str(location[-1]), names, n=1)
    return near[0] if near else ", ".join(names)


def _toml(name: str, example: object) -> str:
    if example == "":
        return ""
    written = repr(example).replace("'", '"') if isinstance(example, str | list) else str(example)
    if isinstance(example, bool):
        written = written.lower()
    return f"{name.partition('[')[0]} = {written}"


def _across(document: Mapping[str, Any]) -> list[Fault]:
    """Rules that hold between settings."""
    return [
        *_goes_together(document),
        *_too_large(_table(document, "cache")),
        *_taken_twice(document),
        *_of_the_link(document),
    ]


# section, a setting, and those it is worth nothing without
_TOGETHER = (
    ("portal", "https", ("certificate", "key")),
    ("portal", "certificate", ("https",)),
    ("portal", "key", ("https",)),
    ("backhaul", "down_bps", ("up_bps",)),
    ("backhaul", "up_bps", ("down_bps",)),
    ("probe", "reflector", ("key_file",)),
    ("probe", "key_file", ("reflector",)),
)
_MODELS: dict[str, type[BaseModel]] = {"portal": Portal, "backhaul": Backhaul, "probe": Probe}


def _goes_together(document: Mapping[str, Any]) -> Iterable[Fault]:
    for section, given, needed in _TOGETHER:
        table = _table(document, section)
        for key in needed if given in table else ():
            if key not in table:
                field = _MODELS[section].model_fields[key]
                example = _toml(key, (field.examples or [""])[0])
                yield Fault(f"{section}.{key}", N_("another setting needs this one"), field.description or "", example)
    yield from _market(document)
    if {"token", "token_file"} <= _table(document, "market").keys():
        yield Fault("market.token_file", N_("there is a token already"), N_("one of token and token_file"))
    if {"secret", "secret_file"} <= _table(document, "radius").keys():
        yield Fault("radius.secret_file", N_("there is a secret already"), N_("one of secret and secret_file"))
    if {"reflector", "ping"} <= _table(document, "probe").keys():
        yield Fault("probe.ping", N_("there is an echo already"), N_("one of reflector and ping"))


def _market(document: Mapping[str, Any]) -> Iterable[Fault]:
    if "market" not in document:
        return
    table = _table(document, "market")
    key = "folder" if table.get("kind") == "file" else "marketplace"
    if key not in table:
        field = Market.model_fields[key]
        example = _toml(key, (field.examples or [""])[0])
        yield Fault(f"market.{key}", _MISSING, field.description or "", example)


def _too_large(cache: Mapping[str, Any]) -> Iterable[Fault]:
    whole = cache.get("size_bytes_max", Cache.model_fields["size_bytes_max"].default)
    for key in cache.keys() & {"memory_bytes_max", "object_bytes_max"}:
        part = cache[key]
        if isinstance(whole, int) and isinstance(part, int) and part > whole:
            yield Fault(f"cache.{key}", N_("this is more than the whole cache"), N_("at most cache.size_bytes_max"))


def _of_the_link(document: Mapping[str, Any]) -> Iterable[Fault]:
    wanted = _table(document, "clinic").get("video_bps_max", Clinic.model_fields["video_bps_max"].default)
    most = _table(document, "sharing").get("call_bps_max", Sharing.model_fields["call_bps_max"].default)
    if isinstance(wanted, int) and isinstance(most, int) and wanted > most:
        key = "clinic.video_bps_max" if "video_bps_max" in _table(document, "clinic") else "sharing.call_bps_max"
        yield Fault(
            key, N_("a picture may take more than a call gets"), N_("clinic.video_bps_max at most sharing.call_bps_max")
        )
    tenants = document.get("tenants")
    listed = [each for each in tenants if isinstance(each, dict)] if isinstance(tenants, list) else []
    names = {str(each.get("name")) for each in listed}
    for name in _table(_table(document, "allowance"), "tenants"):
        if name not in names:
            yield Fault("allowance.tenants", N_("no tenant has this name"), N_("names that stand in [[tenants]]"))
    if document.get("links") and "interface" in _table(document, "backhaul"):
        yield Fault("backhaul.interface", N_("each of [[links]] has an interface"), N_("absent where there are links"))


def _taken_twice(document: Mapping[str, Any]) -> Iterable[Fault]:
    taken: dict[tuple[str, str], str] = {}
    for key, claimed, problem in _names(document):
        if claimed in taken:
            yield Fault(key, problem, taken[claimed])
        else:
            taken[claimed] = key
    listening: list[tuple[str, Address]] = []
    for key, address in _addresses(document):
        clash = next((other for other, each in listening if _same_place(each, address)), None)
        if clash:
            yield Fault(key, N_("two listeners have this address"), clash)
        listening.append((key, address))


def _same_place(one: Address, other: Address) -> bool:
    everywhere = {"0.0.0.0", "::"}
    return one.port == other.port != 0 and (one.host == other.host or bool({one.host, other.host} & everywhere))


def _names(document: Mapping[str, Any]) -> Iterable[tuple[str, tuple[str, str], str]]:
    """Every name that may stand only once: host names, names of sites."""
    host = N_("this host name is taken by another part")
    for name in _texts(_table(document, "portal").get("hosts", Portal.model_fields["hosts"].default)):
        yield "portal.hosts", ("host", name), host
    sites = document.get("sites")
    for index, site in enumerate(sites if isinstance(sites, list) else []):
        if isinstance(site, dict):
            yield f"sites[{index}].name", ("site", str(site.get("name", index))), N_("two sites have this name")
            for name in _texts(site.get("hosts")):
                yield f"sites[{index}].hosts", ("host", name), host


def _addresses(document: Mapping[str, Any]) -> Iterable[tuple[str, Address]]:
    for section, key, default in _LISTENERS:
        text = _table(document, section).get(key, default)
        try:
            yield f"{section}.{key}", parse_address(text)
        except (ValueError, AttributeError):
            continue  # not there, or a fault that is told elsewhere


_LISTENERS = (
    ("portal", "http", str(Portal.model_fields["http"].default)),
    ("portal", "https", None),
    ("proxy", "listen", None),
    ("clinic", "door", str(Clinic.model_fields["door"].default)),
    ("admin", "listen", str(Admin.model_fields["listen"].default)),
)


def _table(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = document.get(name)
    return found if isinstance(found, dict) else {}


def _texts(value: object) -> list[str]:
    return [item.lower() for item in value if isinstance(item, str)] if isinstance(value, list | tuple) else []
