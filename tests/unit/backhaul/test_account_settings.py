"""What is set of account, allowance and RADIUS is read whole; what is wrong is said with what is allowed."""

from pathlib import Path
from typing import Any

import pytest

from gateway.hours import parse_hours
from gateway.settings import Settings
from gateway.settings_file import Fault, parse

BOX = {"name": "san-mateo"}


def faults(**sections: dict[str, Any]) -> list[Fault]:
    found = parse({"box": BOX, **sections}, Path("/tmp"))
    assert not isinstance(found, Settings)
    return found


def test_all_of_it_can_be_set() -> None:
    found = parse(
        {
            "box": BOX,
            "account": {"keep_months": 24, "write_every_s": 120},
            "allowance": {
                "size_bytes": 50_000_000_000,
                "day": 15,
                "hour": 6,
                "tenants": {"coop": 10_000_000_000},
                "bulk_hours": ["22:00-05:00"],
                "gigabyte_minor": 250,
            },
            "radius": {"server": "192.0.2.10", "secret_file": "secrets/radius"},
            "tenants": [{"name": "coop", "networks": ["10.1.0.0/16"]}],
        },
        Path("/tmp"),
    )
    assert isinstance(found, Settings)
    assert found.allowance.bulk_hours == (parse_hours("22:00-05:00"),)
    assert found.allowance.tenants == {"coop": 10_000_000_000}
    assert found.radius is not None
    assert (found.radius.port, found.radius.secret_file) == (1_813, Path("/tmp/secrets/radius"))


def test_a_box_without_them_has_no_allowance_and_tells_no_server() -> None:
    found = parse({"box": BOX}, Path("/tmp"))
    assert isinstance(found, Settings)
    assert found.radius is None
    assert found.allowance.size_bytes is None
    assert (found.account.keep_months, found.account.write_every_s) == (13, 60)


@pytest.mark.parametrize(
    ("section", "values", "key"),
    [
        ("radius", {"server": "192.0.2.10"}, "radius"),
        ("radius", {"server": "192.0.2.10", "secret": "short"}, "radius.secret"),
        ("radius", {"server": "not a host", "secret": "x" * 16}, "radius.server"),
        ("allowance", {"size_bytes": 5}, "allowance.size_bytes"),
        ("allowance", {"day": 32}, "allowance.day"),
        ("allowance", {"tenants": {"coop": "viel"}}, "allowance.tenants"),
        ("allowance", {"bulk_hours": ["abends"]}, "allowance.bulk_hours[0]"),
        ("allowance", {"currency": "soles"}, "allowance.currency"),
        ("account", {"keep_months": 0}, "account.keep_months"),
    ],
)
def test_what_is_wrong_is_named_with_what_is_allowed(section: str, values: dict[str, Any], key: str) -> None:
    (fault,) = faults(**{section: values})
    assert fault.key == key
    assert fault.allowed
