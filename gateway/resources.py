"""What travels with the program: `content/` and `templates/`; beside the package, or inside it in a wheel."""

from functools import cache
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


@cache
def content() -> Path:
    """Return the folder of assets, translations and the demo's site."""
    return _shipped("content")


@cache
def templates() -> Path:
    """Return the folder of Jinja2 templates."""
    return _shipped("templates")


def _shipped(name: str) -> Path:
    inside = _PACKAGE / name
    return inside if inside.is_dir() else _PACKAGE.parent / name
