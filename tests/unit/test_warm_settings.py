"""What a site keeps ready is set in a table of its own, and every fault in it is told."""

import tomllib
from pathlib import Path

import pytest

from gateway.hours import parse_hours
from gateway.plan import in_plain_words
from gateway.settings import Settings
from gateway.settings_file import parse

BEGIN = """
[box]
name = "san-mateo"
[[sites]]
name = "salud"
hosts = ["salud.localhost"]
origin = "http://origen.test"
"""


def settings(more: str) -> Settings:
    found = parse(tomllib.loads(BEGIN + more), Path())
    assert isinstance(found, Settings), found
    return found


def test_a_site_without_the_table_keeps_nothing_ready_by_itself() -> None:
    assert settings("").sites[0].warm is None


def test_an_empty_table_is_the_start_page_and_what_it_leads_to_at_night() -> None:
    warm = settings("[sites.warm]").sites[0].warm
    assert warm is not None
    assert (warm.pages, warm.depth, warm.sitemap, warm.hours) == (("/",), 1, False, (parse_hours("01:00-05:00"),))


def test_every_key_of_the_table_is_read() -> None:
    warm = (
        settings(
            "[sites.warm]\n"
            'pages = ["/", "/salud/?a=b"]\ndepth = 0\nsitemap = true\nhours = ["22:30-05:00", "12:00-13:00"]\n'
            "bytes_max = 100000\npages_max = 7\n"
        )
        .sites[0]
        .warm
    )
    assert warm is not None
    assert (warm.pages, warm.depth, warm.sitemap) == (("/", "/salud/?a=b"), 0, True)
    assert (list(map(str, warm.hours)), warm.bytes_max, warm.pages_max) == (
        ["22:30-05:00", "12:00-13:00"],
        100_000,
        7,
    )


@pytest.mark.parametrize(
    ("written", "key"),
    [
        ('pages = ["salud/"]', "sites[0].warm.pages[0]"),
        ('pages = ["//otro.test/"]', "sites[0].warm.pages[0]"),
        ('pages = ["/a#b"]', "sites[0].warm.pages[0]"),
        ('pages = ["/a b"]', "sites[0].warm.pages[0]"),
        ("depth = 6", "sites[0].warm.depth"),
        ('depth = "1"', "sites[0].warm.depth"),
        ("sitemap = 1", "sites[0].warm.sitemap"),
        ('hours = ["5-6"]', "sites[0].warm.hours[0]"),
        ("hours = [5]", "sites[0].warm.hours[0]"),
        ('hours = "01:00-05:00"', "sites[0].warm.hours"),
        ("bytes_max = 5", "sites[0].warm.bytes_max"),
        ("pages_max = 0", "sites[0].warm.pages_max"),
        ("paginas = 5", "sites[0].warm.paginas"),
    ],
)
def test_each_fault_names_its_key(written: str, key: str) -> None:
    faults = parse(tomllib.loads(f"{BEGIN}[sites.warm]\n{written}\n"), Path())
    assert isinstance(faults, list)
    assert [fault.key for fault in faults] == [key]
    assert faults[0].allowed


def test_an_example_of_yes_or_no_is_written_as_toml_has_it() -> None:
    faults = parse(tomllib.loads(f"{BEGIN}[sites.warm]\nsitemap = 1\n"), Path())
    assert isinstance(faults, list)
    assert faults[0].example == "sitemap = true"


def test_check_says_what_is_kept_ready() -> None:
    said = [message % values for message, values in in_plain_words(settings("[sites.warm]\nbytes_max = 7000000"))]
    assert "Its pages are kept ready: fetched at 01:00-05:00, up to 7 MB a day." in said
    assert not any("kept ready" in each for each in (m % v for m, v in in_plain_words(settings(""))))
