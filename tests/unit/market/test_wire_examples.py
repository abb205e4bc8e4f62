"""The examples in the docstrings of the wire's modules hold."""

import doctest
import importlib

import pytest


@pytest.mark.parametrize("name", ["intake_fields", "wire.columns", "wire.receipts", "wire.signature"])
def test_docstring_examples_of_the_wire_hold(name: str) -> None:
    result = doctest.testmod(importlib.import_module(f"gateway.market.{name}"))
    assert result.attempted > 0
    assert result.failed == 0
