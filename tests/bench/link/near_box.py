"""The box of a run: a `tambo run` in the village's namespace, with the settings of the run."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.bench.link.emulator import DEVICE, FAR_NETWORK

START_S = 40.0
CONFIG = "tambo.toml"
PROXY, ADMIN = ("127.0.0.1", 3128), "127.0.0.1:9090"
_BASE: Mapping[str, str] = {
    "box.name": '"bench"',
    "box.data": '"var"',
    "portal.http": '"127.0.0.1:8080"',
    "clinic.door": '"127.0.0.1:0"',
    "admin.listen": f'"{ADMIN}"',
    "proxy.listen": f'"127.0.0.1:{PROXY[1]}"',
    "proxy.allow_private": f'["{FAR_NETWORK}"]',
    "backhaul.interface": f'"{DEVICE}"',
}


def settings_text(settings: Mapping[str, str], more: str = "") -> str:
    """Return a settings file: what every run has, `settings` as dotted names with TOML values, and `more` as it is."""
    tables: dict[str, list[str]] = {}
    for name, value in {**_BASE, **settings}.items():
        table, _, key = name.rpartition(".")
        tables.setdefault(table, []).append(f"{key} = {value}")
    lines = [line for table, keys in tables.items() for line in (f"[{table}]", *keys)]
    return "\n".join([*lines, more, ""])


def toml_value(text: str) -> str:
    """Return a value given on the command line as TOML: as it is where it is a number, a list, true or false."""
    if text[:1] in tuple('"[{0123456789-') or text in {"true", "false"}:
        return text
    return json.dumps(text)


def command(folder: Path, settings: Mapping[str, str], more: str = "") -> list[str]:
    """Write a box's settings; return its command."""
    config = folder / CONFIG
    config.write_text(settings_text(settings, more), encoding="utf-8")
    return [sys.executable, "-m", "gateway", "run", "--config", str(config)]
