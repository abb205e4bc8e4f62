"""A catalogue that was kept is there after a start, whole, and for its marketplace alone."""

import json
import os
import time
from pathlib import Path

import pytest

from gateway.market.catalogue.kept import KeptCatalogue
from gateway.market.catalogue.model import Catalogue
from gateway.market.catalogue.search import Index
from tests.unit.market.memory_catalogue import a_catalogue, an_article

SHOP = a_catalogue(
    an_article("papa", category="Tubérculos", stock="2.5", tax_name="IGV", tax_rate="18", picture="/a.jpg"),
    an_article("ñuña", name="Ñuña «fina»"),
    version="7",
    prices_include_tax=False,
)
CONFIRMED_S = 1_800_000_000.0


@pytest.fixture
def kept(tmp_path: Path) -> KeptCatalogue:
    return KeptCatalogue(tmp_path / "catalogue", "https://shop.example/orders")


def path_of(tmp_path: Path) -> Path:
    return tmp_path / "catalogue" / "catalogue.json"


def test_what_was_kept_is_loaded_with_its_date(kept: KeptCatalogue) -> None:
    assert kept.load() is None
    kept.save(SHOP, CONFIRMED_S)
    loaded = kept.load()
    assert loaded is not None
    assert (loaded.catalogue, loaded.confirmed_wall_s) == (SHOP, CONFIRMED_S)


def test_a_confirmation_changes_the_date_and_not_a_byte(kept: KeptCatalogue, tmp_path: Path) -> None:
    kept.save(SHOP, CONFIRMED_S)
    before = path_of(tmp_path).read_bytes()
    kept.confirm(CONFIRMED_S + 900)
    loaded = kept.load()
    assert loaded is not None
    assert loaded.confirmed_wall_s == CONFIRMED_S + 900
    assert path_of(tmp_path).read_bytes() == before


def test_a_confirmation_of_what_is_not_there_is_no_fault(kept: KeptCatalogue) -> None:
    kept.confirm(CONFIRMED_S)
    assert kept.load() is None


def test_the_file_is_json_and_names_no_address(kept: KeptCatalogue, tmp_path: Path) -> None:
    kept.save(SHOP, CONFIRMED_S)
    said = json.loads(path_of(tmp_path).read_text(encoding="utf-8"))
    assert said["catalogue"]["version"] == "7"
    assert "shop.example" not in path_of(tmp_path).read_text(encoding="utf-8")


def test_another_marketplaces_catalogue_is_not_used_nor_called_damaged(kept: KeptCatalogue, tmp_path: Path) -> None:
    kept.save(SHOP, CONFIRMED_S)
    other = KeptCatalogue(tmp_path / "catalogue", "https://other.example/orders")
    assert other.load() is None
    assert not other.aside.exists()


def test_one_that_cannot_be_read_is_set_aside(kept: KeptCatalogue, tmp_path: Path) -> None:
    path_of(tmp_path).mkdir(parents=True)
    assert kept.load() is None
    assert kept.aside.is_dir()


def test_what_was_there_stays_where_a_new_one_cannot_be_written(
    kept: KeptCatalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    kept.save(SHOP, CONFIRMED_S)
    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            kept.save(a_catalogue(version="8"), CONFIRMED_S)
    loaded = kept.load()
    assert loaded is not None
    assert loaded.catalogue == SHOP
    assert [path.name for path in path_of(tmp_path).parent.iterdir()] == ["catalogue.json"]


def test_ten_thousand_articles_are_loaded_and_searchable_at_once(kept: KeptCatalogue) -> None:
    shelf = tuple(
        an_article(
            f"sku-{number}",
            name=f"Artículo número {number} de la tienda",
            category=f"Categoría {number % 20}",
            stock=str(number),
            tax_name="IGV",
            tax_rate="18",
            picture=f"https://shop.example/assets/{number}.jpg",
        )
        for number in range(10_000)
    )
    kept.save(Catalogue("1", "PEN", shelf), CONFIRMED_S)
    took_s = []
    for _ in range(3):
        began_s = time.process_time()  # what it takes, whoever else works here
        loaded = kept.load()
        assert loaded is not None
        assert Index(loaded.catalogue).search("numero").total == 10_000
        took_s.append(time.process_time() - began_s)
    assert min(took_s) < 0.3
