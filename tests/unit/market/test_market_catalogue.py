"""A catalogue is right, or the box says what is wrong with it."""

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import CannotStart
from gateway.market.catalogue import Article, load_catalogue

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
    ],
)
def test_a_faulty_catalogue_stops_the_start_and_names_the_place(tmp_path: Path, content: Any, told: str) -> None:
    with pytest.raises(CannotStart, match=told):
        load_catalogue(written(tmp_path, content))


def test_a_catalogue_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match="No such file"):
        load_catalogue(tmp_path / "none.json")
