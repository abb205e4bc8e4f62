"""Templates are compiled once for each language, escape what they are given, and fail where a value is missing."""

from functools import cache

from jinja2 import BytecodeCache, Environment, FunctionLoader, StrictUndefined
from jinja2.bccache import Bucket

from gateway.languages import LANGUAGES, language, translations
from gateway.portal.formats import formats
from gateway.resources import templates


class _Compiled(BytecodeCache):
    """What was compiled for one language serves the others: sentences are looked up when a page is rendered."""

    def __init__(self) -> None:
        self._kept: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        if bucket.key in self._kept:
            bucket.bytecode_from_string(self._kept[bucket.key])

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._kept[bucket.key] = bucket.bytecode_to_string()


_COMPILED = _Compiled()


@cache
def _sources() -> dict[str, tuple[str, str]]:
    """Return every template's text and path, by name; blocks the first time."""
    return {path.name: (path.read_text(encoding="utf-8"), str(path)) for path in templates().glob("*.html")}


def _source(name: str) -> tuple[str, str, None] | None:
    found = _sources().get(name)
    return (*found, None) if found is not None else None


@cache
def environment(tag: str) -> Environment:
    """Return what renders templates in the language with this tag; reads all of them the first time."""
    _sources()
    made = Environment(
        loader=FunctionLoader(_source),
        autoescape=True,
        undefined=StrictUndefined,
        auto_reload=False,
        bytecode_cache=_COMPILED,
        cache_size=-1,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    said = translations(tag)
    made.install_gettext_translations(said, newstyle=True)  # type: ignore[attr-defined]  # the extension adds it
    figures = formats(language(tag).tag)
    for name in ("figure", "lasting", "money", "quantity", "rate", "size", "when"):
        made.filters[name] = getattr(figures, name)
    made.policies["ext.i18n.trimmed"] = True
    return made


def compile_templates() -> None:
    """Compile every template in every language; blocks for some tenths of a second."""
    for each in LANGUAGES:
        for name in _sources():
            environment(each.tag).get_template(name)
