"""Every sentence a person sees is in every catalogue: `python tests/lint_translations.py [--update]`.

Extracts the message ids of `gateway/` and `templates/` and holds them against `content/translations/<tag>/tambo.po`. A
message that is missing, fuzzy or empty, one that nothing says any more, and one whose named places differ from its id's
are listed, and the exit status is 1. `--update` writes the missing ones, empty, and drops the obsolete.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_file
from babel.messages.pofile import read_po, write_po

from gateway.languages import LANGUAGES, SOURCE
from gateway.resources import content, templates

ROOT = Path(__file__).resolve().parent.parent
KEYWORDS = {"N_": None, "_": None, "gettext": None, "ngettext": (1, 2)}
JINJA_OPTIONS = {"trimmed": "true", "newstyle_gettext": "true", "silent": "false"}
HEADER = """\
# Spanish as it is spoken in the Andes of Peru: plain, warm, of "usted".
msgid ""
msgstr ""
"Project-Id-Version: tambo\\n"
"Language: %(locale)s\\n"
"MIME-Version: 1.0\\n"
"Content-Type: text/plain; charset=utf-8\\n"
"Content-Transfer-Encoding: 8bit\\n"
"Plural-Forms: %(plural)s;\\n"

"""
_PLACE = re.compile(r"%(?:\(\w+\))?[sd]")

Id = str | tuple[str, ...] | list[str]


def extracted() -> Catalog:
    """Return every message of the program with the files that say it."""
    found = Catalog(charset="utf-8")
    for path in sorted((ROOT / "gateway").rglob("*.py")):
        if path.is_relative_to(content()) or path.is_relative_to(templates()):
            continue
        for _, message, _, _ in extract_from_file("python", path, KEYWORDS):
            found.add(message, locations=[(str(path.relative_to(ROOT)), 0)])
    for path in sorted(templates().glob("*.html")):
        for _, message, _, _ in extract_from_file("jinja2.ext:babel_extract", path, KEYWORDS, options=JINJA_OPTIONS):
            found.add(message, locations=[(f"templates/{path.name}", 0)])
    return found


def faults(program: Catalog, catalogue: Catalog) -> Iterator[str]:
    """Yield a line for each message that is not as it must be."""
    for message in _messages(program):
        said = catalogue.get(message.id)
        where = ", ".join(sorted({name for name, _ in message.locations}))
        if said is None:
            yield f"missing:  {_shown(message.id)}  ({where})"
        elif said.fuzzy:
            yield f"fuzzy:    {_shown(message.id)}  ({where})"
        elif not _is_said(said):
            yield f"empty:    {_shown(message.id)}  ({where})"
        elif not _has_its_places(said):
            yield f"places:   {_shown(message.id)}  ({where})"
    for message in _messages(catalogue):
        if program.get(message.id) is None:
            yield f"obsolete: {_shown(message.id)}"


def update(program: Catalog, catalogue: Catalog) -> Catalog:
    """Return the program's messages with what the catalogue says of them; new ones are empty."""
    made = Catalog(locale=catalogue.locale, charset="utf-8", fuzzy=False)
    for message in _messages(program):
        said = catalogue.get(message.id)
        made.add(message.id, said.string if said else "", locations=message.locations)
    return made


def main() -> int:
    """Hold every catalogue against the program."""
    program = extracted()
    found = 0
    for language in LANGUAGES:
        if language.tag == SOURCE:
            continue
        path = content() / "translations" / language.tag / "tambo.po"
        with path.open("rb") as source:
            catalogue = read_po(source, locale=language.formats)
        if "--update" in sys.argv:
            catalogue = update(program, catalogue)
            with path.open("wb") as target:
                header = {"locale": language.formats, "plural": catalogue.plural_forms}
                target.write((HEADER % header).encode())
                write_po(target, catalogue, width=110, sort_by_file=True, include_lineno=False, omit_header=True)
        for line in faults(program, catalogue):
            found += 1
            print(f"{language.tag}: {line}")
    return 1 if found else 0


def _messages(catalogue: Catalog) -> list[Message]:
    return [message for message in catalogue if message.id]


def _is_said(message: Message) -> bool:
    return all(message.string) if isinstance(message.string, tuple | list) else bool(message.string)


def _has_its_places(message: Message) -> bool:
    said = [set(_PLACE.findall(each)) for each in _texts(message.string)]
    wanted = {place for each in _texts(message.id) for place in _PLACE.findall(each)}
    return all(places <= wanted for places in said) and wanted <= set().union(*said)


def _texts(text: str | tuple[str, ...] | list[str] | None) -> list[str]:
    return [text] if isinstance(text, str) else list(text or ())


def _shown(message_id: Id) -> str:
    return _texts(message_id)[0]


if __name__ == "__main__":
    sys.exit(main())
