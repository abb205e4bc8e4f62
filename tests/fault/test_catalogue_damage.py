"""Whatever happens to the kept catalogue's file, what is shown is what was written, or nothing and fetched anew."""

from pathlib import Path
from random import Random

import pytest

from gateway.market.catalogue.kept import KeptCatalogue
from gateway.market.catalogue.pair import joined
from gateway.market.catalogue.shelf import Shelf, name_of
from tests.unit.market.memory_catalogue import a_catalogue, an_article

SHOP = a_catalogue(*(an_article(f"a{number}", name=f"Papa {number}", stock="5") for number in range(20)), version="7")
FLIPS = 400


@pytest.fixture
def kept(tmp_path: Path) -> KeptCatalogue:
    kept = KeptCatalogue(tmp_path, "shop")
    kept.save(SHOP, 1_800_000_000.0)
    return kept


def flipped(content: bytes, bit: int) -> bytes:
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def test_no_flipped_bit_is_ever_shown(kept: KeptCatalogue, tmp_path: Path) -> None:
    path = tmp_path / "catalogue.json"
    right = path.read_bytes()
    for bit in Random(1).sample(range(len(right) * 8), FLIPS):
        path.write_bytes(flipped(right, bit))
        assert kept.load() is None
        assert kept.aside.read_bytes() == flipped(right, bit), "set aside, not away"
        assert not path.exists()
    kept.save(SHOP, 1_800_000_000.0)
    loaded = kept.load()
    assert loaded is not None
    assert loaded.catalogue == SHOP


def test_no_cut_file_is_ever_shown(kept: KeptCatalogue, tmp_path: Path) -> None:
    path = tmp_path / "catalogue.json"
    right = path.read_bytes()
    for size in [0, 1, 40, *Random(2).sample(range(len(right)), 60)]:
        path.write_bytes(right[:size])
        assert kept.load() is None


@pytest.mark.parametrize("left", [b"", b"{", b"x" * 100])
def test_a_write_that_was_cut_short_leaves_the_one_before(kept: KeptCatalogue, tmp_path: Path, left: bytes) -> None:
    (tmp_path / "catalogue.json.new").write_bytes(left)
    loaded = kept.load()
    assert loaded is not None
    assert loaded.catalogue == SHOP
    kept.save(a_catalogue(version="8"), 1_800_000_000.0)
    after = kept.load()
    assert after is not None
    assert after.catalogue.version == "8"


def test_no_flipped_bit_of_a_thumbnail_is_ever_given(tmp_path: Path) -> None:
    webp = b"RIFF\x10\x00\x00\x00WEBP" + bytes(40)
    shelf = Shelf(tmp_path, bytes_max=10_000_000, free_bytes_min=0)
    shelf.open()
    name = name_of("/a.jpg")
    shelf.put(name, joined(webp, webp * 2))
    right = (tmp_path / name).read_bytes()
    for bit in range(0, len(right) * 8, 7):
        (tmp_path / name).write_bytes(flipped(right, bit))
        shelf.open()
        assert shelf.take(name) is None
        assert not shelf.holds(name), "and it is fetched anew"
        assert not (tmp_path / name).exists()
    shelf.put(name, joined(webp, webp * 2))
    assert shelf.take(name) == (webp, webp * 2)
