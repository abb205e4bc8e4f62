"""The box refuses libraries that are not safe."""

import pytest
from aiohttp.http_parser import HttpRequestParser, HttpRequestParserPy

from gateway.app import check_aiohttp
from gateway.errors import CannotStart


def test_the_installed_aiohttp_is_safe() -> None:
    check_aiohttp()
    assert HttpRequestParser is not HttpRequestParserPy, "the C parser is there"


@pytest.mark.parametrize("version", ["3.14.4", "3.13.9", "2.0.0"])
def test_an_old_aiohttp_is_refused(version: str) -> None:
    with pytest.raises(CannotStart, match="not safe"):
        check_aiohttp(version)


def test_the_pure_python_parser_is_refused() -> None:
    with pytest.raises(CannotStart, match="not safe"):
        check_aiohttp(parser=HttpRequestParserPy)
