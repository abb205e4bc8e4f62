"""The examples in the market's docstrings are true."""

import doctest
import importlib

import pytest


@pytest.mark.parametrize(
    "name",
    [
        "attention",
        "journal.rows",
        "marketplaces.graphql",
        "marketplaces.vendure_shop",
        "order",
        "states",
    ],
)
def test_docstring_examples_of_the_market_hold(name: str) -> None:
    result = doctest.testmod(importlib.import_module(f"gateway.market.{name}"))
    assert result.attempted > 0
    assert result.failed == 0
