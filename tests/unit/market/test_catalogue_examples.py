"""The examples in the docstrings of the catalogue's rules are true."""

import doctest
import importlib

import pytest


@pytest.mark.parametrize("name", ["articles", "search", "stock", "taxes"])
def test_docstring_examples_of_the_catalogue_hold(name: str) -> None:
    result = doctest.testmod(importlib.import_module(f"gateway.market.catalogue.{name}"))
    assert result.attempted > 0
    assert result.failed == 0
