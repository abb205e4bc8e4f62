"""What an operator may say of pictures and of idle work, and what is meant without a word."""

from pathlib import Path

import pytest

from gateway.settings import Settings
from gateway.settings_file import parse
from gateway.settings_web import Saver
from gateway.web.saver.pictures import Policy
from gateway.web.saver.saver import SaverLimits

SITE = {"name": "salud", "hosts": ["salud.localhost"], "origin": "http://127.0.0.1:18000"}


def read(site: dict[str, object], **tables: object) -> Settings | list[str]:
    found = parse({"box": {"name": "a"}, "sites": [{**SITE, **site}], **tables}, Path())
    return found if isinstance(found, Settings) else [fault.key for fault in found]


@pytest.mark.parametrize("images", ["off", "save-data", 720, 1080])
def test_pictures_are_as_the_site_says(images: object) -> None:
    settings = read({"images": images, "originals": ["/rx/"]})
    assert isinstance(settings, Settings)
    assert (settings.sites[0].images, settings.sites[0].originals) == (images, ("/rx/",))


@pytest.mark.parametrize("images", ["on", "720", 719, True, 720.5])
def test_another_word_for_pictures_is_a_fault(images: object) -> None:
    assert read({"images": images}) == ["sites[0].images"]


@pytest.mark.parametrize("path", ["rx/", "", "//rx", "/rx y"])
def test_a_path_of_originals_is_one_of_the_site(path: str) -> None:
    assert read({"originals": [path]}) == ["sites[0].originals[0]"]


def test_limits_of_the_saver_have_bounds() -> None:
    assert read({}, saver={"processes": 0}) == ["saver.processes"]
    assert read({}, saver={"patience_s": 11}) == ["saver.patience_s"]
    assert read({}, saver={"memory_bytes_max": 1_000}) == ["saver.memory_bytes_max"]


def test_without_a_word_it_is_what_the_room_takes_by_itself() -> None:
    assert SaverLimits(**Saver().model_dump()) == SaverLimits()
    settings = read({})
    assert isinstance(settings, Settings)
    assert Policy(settings.sites[0].images, settings.sites[0].originals) == Policy()
