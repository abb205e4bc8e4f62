"""A catalogue is right, or the box says what is wrong with it."""

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import CannotStart
from gateway.market.catalogue.file import load_catalogue
from gateway.market.catalogue.model import Article
from gateway.market.catalogue.search import categories
from gateway.resources import content

PAPA = {"sku": "papa", "name": "Papa", "unit": "kg", "unit_price_minor": 350}


def written(tmp_path: Path, content: Any) -> Path:
    path = tmp_path / "catalogue.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_a_catalogue_is_read_with_its_currency(tmp_path: Path) -> None:
    found = load_catalogue(written(tmp_path, {"version": "2026-11", "currency": "PEN", "articles": [PAPA]}))
    assert found.version == "2026-11"
    assert found.articles == (Article("papa", "Papa", "kg", 350, "PEN"),)
    assert found.article("papa") == found.articles[0]
    assert found.article("oca") is None


def test_what_an_article_may_say_besides_is_read(tmp_path: Path) -> None:
    tax = {"name": "IGV", "rate": "18"}
    said = PAPA | {"category": "Tubérculos", "stock": "12.50", "tax": tax, "picture": "/papa.jpg"}
    found = load_catalogue(
        written(tmp_path, {"version": "1", "currency": "PEN", "prices_include_tax": False, "articles": [said]})
    )
    assert not found.prices_include_tax
    assert found.articles == (
        Article("papa", "Papa", "kg", 350, "PEN", "Tubérculos", "12.5", "IGV", "18", "/papa.jpg"),
    )


def test_the_demos_catalogue_can_be_used() -> None:
    found = load_catalogue(content() / "demo" / "catalogue.json")
    assert len(found.articles) >= 30
    assert len(categories(found)) >= 5
    assert {each.tax_rate for each in found.articles} == {"18"}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "JSON"),
        ([], "articles"),
        ({"version": "1", "currency": "PEN"}, "articles"),
        ({"version": "1", "currency": "soles", "articles": []}, "currency"),
        ({"version": "1", "currency": "PEN", "articles": [PAPA | {"unit_price_minor": 3.5}]}, "0.unit_price_minor"),
        ({"version": "1", "currency": "PEN", "articles": [PAPA | {"price": 1}]}, "0.price"),
        ({"version": "1", "currency": "PEN", "articles": [PAPA, PAPA]}, "same sku"),
        ({"version": "1", "currency": "PEN", "articles": [PAPA | {"name": "a\x00"}]}, "0.name"),
        ({"version": "1", "currency": "PEN", "articles": [PAPA | {"stock": "some"}]}, "0.stock"),
        ({"version": "1", "currency": "PEN", "articles": [PAPA | {"tax": {"name": "IGV"}}]}, "0.tax.rate"),
    ],
)
def test_a_faulty_catalogue_stops_the_start_and_names_the_place(tmp_path: Path, content: Any, told: str) -> None:
    with pytest.raises(CannotStart, match=told):
        load_catalogue(written(tmp_path, content))


def test_a_catalogue_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match="No such file"):
        load_catalogue(tmp_path / "none.json")
