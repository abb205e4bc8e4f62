"""Templates are compiled once for each language, escape what they are given, and fail where a value is missing."""

from functools import cache

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from gateway.languages import language, translations
from gateway.portal.formats import formats
from gateway.resources import templates


@cache
def environment(tag: str) -> Environment:
    """Return what renders templates in the language with this tag."""
    made = Environment(
        loader=FileSystemLoader(templates()),
        autoescape=True,
        undefined=StrictUndefined,
        auto_reload=False,
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
