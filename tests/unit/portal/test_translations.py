"""A sentence that is not said in every language is found."""

from babel.messages.catalog import Catalog

from gateway.languages import translate
from tests.lint_translations import extracted, faults, update


def test_missing_empty_and_obsolete_sentences_are_told() -> None:
    program, spanish = Catalog(), Catalog(locale="es")
    for message in ("Said.", "Empty.", "Missing.", "Fuzzy.", "Wait %(seconds)d."):
        program.add(message)
    spanish.add("Said.", "Dicho.")
    spanish.add("Empty.", "")
    spanish.add("Fuzzy.", "Borroso.", flags=["fuzzy"])
    spanish.add("Wait %(seconds)d.", "Espere %(segundos)d.")
    spanish.add("Gone.", "Ido.")
    told = {line.partition(":")[0]: line for line in faults(program, spanish)}
    assert sorted(told) == ["empty", "fuzzy", "missing", "obsolete", "places"]
    assert "Gone." in told["obsolete"]
    updated = update(program, spanish)
    assert updated.get("Gone.") is None
    said = updated.get("Said.")
    assert said is not None
    assert said.string == "Dicho."


def test_sentences_of_python_and_of_templates_are_extracted() -> None:
    program = extracted()
    for message in ("You need to sign in for this.", "What do you need today?", "an address and a port"):
        assert program.get(message) is not None, message


def test_the_language_of_the_page_is_spoken() -> None:
    assert translate("es", "You need to sign in for this.") == "Para esto necesita entrar con su cuenta."
    assert translate("en", "You need to sign in for this.") == "You need to sign in for this."
