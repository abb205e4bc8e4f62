"""The examples in the ground modules' docstrings are true."""

import doctest
import importlib

import pytest


@pytest.mark.parametrize(
    "name",
    [
        "gateway.clock",
        "gateway.units",
        "gateway.languages",
        "gateway.plan",
        "gateway.backhaul.reach",
        "gateway.exchange.backoff",
        "gateway.exchange.coding",
    ],
)
def test_docstring_examples_hold(name: str) -> None:
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted > 0
    assert result.failed == 0
