"""The demo's site stands on its own: its links resolve, its pages are alike and light, its catalogue has its shape."""

import json
import re
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from gateway.resources import content

DEMO = content() / "demo"
SITE = DEMO / "site"
PAGES = sorted(SITE.glob("*.html"))
PAGE_BYTES_MAX = 20 * 1024
STYLE_BYTES_MAX = 10 * 1024
SCRIPT_BYTES_MAX = 5 * 1024
LOADING = {"src", "srcset", "poster", "data", "action"}  # and a <link>'s href
PUBLIC_LINES = {"tel:106", "tel:113"}

Attributes = dict[str, str | None]


class Page(HTMLParser):
    """What a page says of itself."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, Attributes]] = []
        self.title = ""
        self.navigation: list[str] = []
        self._open: list[str] = []
        self._in_main_navigation = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append((tag, given))
        self._open.append(tag)
        if tag == "nav" and given.get("aria-label") == "Principal":
            self._in_main_navigation = True
        if tag == "a" and self._in_main_navigation:
            self.navigation.append(given.get("href") or "")

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass
        if tag == "nav":
            self._in_main_navigation = False

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "title":
            self.title += data

    def named(self, tag: str) -> list[Attributes]:
        return [given for name, given in self.tags if name == tag]

    def ids(self) -> set[str]:
        return {given["id"] or "" for _, given in self.tags if "id" in given}

    def loaded(self) -> Iterator[str]:
        for tag, given in self.tags:
            for name, value in given.items():
                if name in LOADING or (tag == "link" and name == "href"):
                    yield value or ""

    def linked(self) -> Iterator[str]:
        for given in self.named("a"):
            yield given.get("href") or ""


@cache
def parsed(file: Path) -> Page:
    return Page(file.read_text(encoding="utf-8"))


def target(page: Path, address: str) -> Path:
    """Return the file an internal address means."""
    path = urlsplit(address).path
    if not path:
        return page
    return SITE / (path.removeprefix("/") or "index.html")


def is_external(address: str) -> bool:
    parts = urlsplit(address)
    return bool(parts.scheme or parts.netloc)


every_page = pytest.mark.parametrize("file", PAGES, ids=lambda file: file.name)


def test_the_site_has_its_front_page_and_a_page_for_what_is_missing() -> None:
    assert {"index.html", "404.html"} <= {file.name for file in PAGES}
    assert len(PAGES) == 14


@every_page
def test_every_internal_link_leads_to_a_file_and_a_place_in_it(file: Path) -> None:
    for address in parsed(file).linked():
        if address.startswith("tel:"):
            assert address in PUBLIC_LINES
            continue
        assert not is_external(address), address
        assert address.startswith(("/", "#")), address
        found = target(file, address)
        assert found.is_file(), address
        fragment = urlsplit(address).fragment
        assert not fragment or fragment in parsed(found).ids(), address


@every_page
def test_everything_a_page_loads_is_a_file_of_the_site(file: Path) -> None:
    for address in parsed(file).loaded():
        assert not is_external(address), address
        assert address.startswith("/"), address
        assert target(file, address).is_file(), address


@every_page
def test_every_picture_is_described_and_has_its_size(file: Path) -> None:
    for picture in parsed(file).named("img"):
        assert (picture.get("alt") or "").strip(), picture
        assert (picture.get("width") or "").isdecimal(), picture
        assert (picture.get("height") or "").isdecimal(), picture


@every_page
def test_a_page_is_in_spanish_with_one_heading_and_a_title(file: Path) -> None:
    page = parsed(file)
    assert [given.get("lang") for given in page.named("html")] == ["es"]
    assert len(page.named("h1")) == 1
    assert page.title.strip()


@every_page
def test_an_id_is_given_once_in_a_page(file: Path) -> None:
    given = [attributes["id"] for _, attributes in parsed(file).tags if "id" in attributes]
    assert len(given) == len(set(given))


@every_page
def test_every_page_has_the_same_navigation(file: Path) -> None:
    navigation = parsed(file).navigation
    assert navigation == parsed(SITE / "index.html").navigation
    assert {target(file, address).name for address in navigation} == {page.name for page in PAGES} - {"404.html"}


@every_page
def test_a_page_is_light_and_has_no_script_or_style_of_its_own(file: Path) -> None:
    page = parsed(file)
    assert file.stat().st_size <= PAGE_BYTES_MAX
    assert [given.get("src") for given in page.named("script")] == ["/guion.js"]
    assert not page.named("style")
    assert not [name for _, given in page.tags for name in given if name == "style" or name.startswith("on")]


def test_titles_differ() -> None:
    titles = [parsed(file).title for file in PAGES]
    assert len(titles) == len(set(titles))


def test_style_and_script_are_light_and_load_nothing_from_elsewhere() -> None:
    for name, bytes_max in (("estilo.css", STYLE_BYTES_MAX), ("guion.js", SCRIPT_BYTES_MAX)):
        text = (SITE / name).read_text(encoding="utf-8")
        assert len(text.encode()) <= bytes_max
        assert "//" not in re.sub(r"^\s*//.*$", "", text, flags=re.MULTILINE)
        assert "@import" not in text
    style = (SITE / "estilo.css").read_text(encoding="utf-8")
    for address in re.findall(r"url\(\s*[\"']?([^\"')]+)", style):
        assert target(SITE / "index.html", address).is_file(), address


def test_drawings_load_nothing() -> None:
    for file in SITE.rglob("*.svg"):
        text = file.read_text(encoding="utf-8").replace('xmlns="http://www.w3.org/2000/svg"', "")
        assert "//" not in text, file.name
        assert "<script" not in text, file.name


def test_the_catalogue_has_its_exact_shape() -> None:
    catalogue = json.loads((DEMO / "catalogue.json").read_text(encoding="utf-8"))
    assert list(catalogue) == ["version", "currency", "prices_include_tax", "articles"]
    assert catalogue["version"] == "2026-11-01"
    assert catalogue["currency"] == "PEN"
    articles = catalogue["articles"]
    assert len(articles) == 32
    assert len({article["sku"] for article in articles}) == 32
    for article in articles:
        assert list(article) == ["sku", "name", "unit", "unit_price_minor", "category", "stock", "tax"]
        assert article["category"].strip()
        assert re.fullmatch(r"[0-9]+(\.[0-9])?", article["stock"])
        assert article["tax"] == {"name": "IGV", "rate": "18"}
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", article["sku"])
        assert article["name"].strip()
        assert article["unit"] in {"kg", "unidad", "litro", "saco", "docena"}
        assert type(article["unit_price_minor"]) is int
        assert article["unit_price_minor"] > 0
