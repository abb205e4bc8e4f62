"""Every sentence a person sees is said in a language they chose, and Spanish where they chose none.

Message ids are the English sentences; `content/translations/<tag>/tambo.po` holds the others, read as they are (no
compiled files to go stale). A tag is not always a CLDR locale (`quy` and `ay` are unknown to Babel), so each language
names the locale that formats its numbers and dates.

Source: RFC 9110 §12.5.4 (Accept-Language), RFC 4647 §3.4 (lookup).
"""

import gettext
import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from babel import Locale
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

from gateway.resources import content


@dataclass(frozen=True, slots=True)
class Language:
    """One language of the pages: its tag, its own name, and the locale that formats for it."""

    tag: str
    own_name: str
    formats: str


LANGUAGES = (Language("es", "Español", "es_PE"), Language("en", "English", "en_GB"))
DEFAULT = "es"
SOURCE = "en"  # the language the message ids are written in
_BY_TAG = {language.tag: language for language in LANGUAGES}
_RANGES_MAX = 20  # ranges of one Accept-Language that are looked at


def language(tag: str) -> Language:
    """Return the language with this tag, or the default one."""
    return _BY_TAG.get(tag, _BY_TAG[DEFAULT])


def locale(tag: str) -> Locale:
    """Return the locale that formats numbers and dates for this tag."""
    return Locale.parse(language(tag).formats)


@cache
def translations(tag: str) -> gettext.NullTranslations:
    """Return the sentences of a language; the source language is the message ids themselves."""
    if tag not in _BY_TAG or tag == SOURCE:
        return gettext.NullTranslations()
    with (content() / "translations" / tag / "tambo.po").open("rb") as source:
        catalogue = read_po(source, locale=language(tag).formats)
    compiled = io.BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)


def translate(tag: str, message: str, **values: object) -> str:
    """Say `message` in a language, its named places filled."""
    said = translations(tag).gettext(message) if message else ""
    return said % values if values else said


def negotiate(accept_language: str, chosen: str | None = None) -> str:
    """Return the tag to speak: what the person chose, else the best the browser asks for, else Spanish.

    >>> negotiate("fr;q=0.9, en-GB;q=0.8, *;q=0.1")
    'en'
    >>> negotiate("en", chosen="es"), negotiate(""), negotiate("qu")
    ('es', 'es', 'es')
    """
    if chosen in _BY_TAG:
        return str(chosen)
    for wanted in _preferred(accept_language):
        primary = wanted.split("-", 1)[0].lower()
        if primary in _BY_TAG:
            return primary
    return DEFAULT


def of_terminal(environment: Sequence[str | None]) -> str:
    """Return the tag for a terminal from `LC_ALL`, `LC_MESSAGES`, `LANG`; C and unset are the source language.

    >>> of_terminal([None, None, "es_PE.UTF-8"]), of_terminal([None, None, "C.UTF-8"])
    ('es', 'en')
    """
    named = next((value for value in environment if value), "")
    primary = named.split(".", 1)[0].split("_", 1)[0].lower()
    return primary if primary in _BY_TAG else SOURCE


def _preferred(accept_language: str) -> list[str]:
    ranges: list[tuple[float, str]] = []
    for item in accept_language.split(",")[:_RANGES_MAX]:
        name, _, parameter = item.strip().partition(";")
        key, _, weight = parameter.strip().partition("=")
        try:
            quality = float(weight) if key.strip() == "q" else 1.0
        except ValueError:
            quality = 0.0
        if name and quality > 0:
            ranges.append((quality, name.strip()))
    return [name for _, name in sorted(ranges, key=lambda pair: -pair[0])]
