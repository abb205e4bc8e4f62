"""What the portal's docstrings show is so."""

import doctest
import importlib

import pytest


@pytest.mark.parametrize(
    "name",
    ["coding", "credentials", "day_summary", "figures", "formats", "lockout", "typed_figures", "origins", "sign_in"],
)
def test_examples_hold(name: str) -> None:
    result = doctest.testmod(importlib.import_module(f"gateway.portal.{name}"))
    assert result.attempted
    assert not result.failed
