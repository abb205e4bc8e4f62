"""Who shares the link, and how, is set in tables of its own; every fault in them is told."""

import tomllib
from ipaddress import ip_network
from pathlib import Path

import pytest

from gateway.backhaul.sharing.policy import Policy
from gateway.plan import in_plain_words
from gateway.settings import Settings
from gateway.settings_file import Fault, parse

BEGIN = """
[box]
name = "san-mateo"
"""
TWO = """
[[tenants]]
name = "coop-norte"
weight = 3
networks = ["10.1.0.0/16", "10.1.2.0/24", "fd00:1::/64"]
guaranteed_down_bps = 500000
ceiling_down_bps = 3000000

[[tenants]]
name = "escuela"
networks = ["10.2.0.0/16"]
"""


def read(more: str) -> Settings | list[Fault]:
    return parse(tomllib.loads(BEGIN + more), Path())


def settings(more: str) -> Settings:
    found = read(more)
    assert isinstance(found, Settings), found
    return found


def faults(more: str) -> dict[str, Fault]:
    found = read(more)
    assert isinstance(found, list)
    return {fault.key: fault for fault in found}


def test_nobody_shares_the_link_until_somebody_is_named() -> None:
    assert settings("").tenants == ()


def test_without_a_word_the_classes_share_as_the_policy_does() -> None:
    sharing = settings("").sharing
    policy = Policy()
    assert {name: getattr(policy, name) for name in type(sharing).model_fields} == sharing.model_dump()


def test_every_key_of_a_tenant_is_read() -> None:
    coop, school = settings(TWO).tenants
    assert (coop.name, coop.weight, coop.guaranteed_down_bps, coop.ceiling_down_bps) == (
        "coop-norte",
        3,
        500_000,
        3_000_000,
    )
    assert coop.networks == tuple(map(ip_network, ("10.1.0.0/16", "10.1.2.0/24", "fd00:1::/64")))
    assert (school.weight, school.guaranteed_up_bps, school.ceiling_up_bps) == (1, None, None)


def test_every_key_of_sharing_is_read() -> None:
    table = "[sharing]\ninteractive_floor_bps = 16000\ninteractive_ratio = 0.4\ncalls_ratio_max = 0.8\n"
    found = settings(table + "call_bps_max = 900000\nbulk_ratio = 0.2\n").sharing
    assert found.model_dump() == {
        "interactive_floor_bps": 16_000,
        "interactive_ratio": 0.4,
        "calls_ratio_max": 0.8,
        "call_bps_max": 900_000,
        "bulk_ratio": 0.2,
    }


@pytest.mark.parametrize(
    ("more", "key"),
    [
        (TWO.replace("escuela", "coop-norte"), "tenants"),
        (TWO.replace("10.2.0.0/16", "10.1.2.128/25"), "tenants"),
        (TWO.replace("10.2.0.0/16", "10.1.0.0/16"), "tenants"),
        (TWO.replace("10.2.0.0/16", "10.0.0.0/8"), "tenants"),
        (TWO.replace("10.2.0.0/16", "10.1.200.0/24"), "tenants"),
        (TWO.replace("10.2.0.0/16", "fd00:1::8/125"), "tenants"),
        (TWO.replace("ceiling_down_bps = 3000000", "ceiling_down_bps = 400000"), "tenants[0]"),
        (TWO.replace("10.2.0.0/16", "10.2.0.1/16"), "tenants[1].networks[0]"),
        (TWO.replace('["10.2.0.0/16"]', "[]"), "tenants[1].networks"),
        (TWO.replace("weight = 3", "weight = 0"), "tenants[0].weight"),
        (TWO.replace("escuela", "La Escuela"), "tenants[1].name"),
        ("[sharing]\ncalls_ratio_max = 1.0", "sharing.calls_ratio_max"),
        ("[sharing]\nfloor = 1", "sharing.floor"),
    ],
)
def test_a_fault_is_told_where_it_stands(more: str, key: str) -> None:
    found = faults(more)
    assert set(found) == {key}
    assert found[key].allowed


def test_networks_of_two_tenants_that_only_touch_are_apart() -> None:
    assert settings(TWO.replace("10.2.0.0/16", "10.0.255.0/24")).tenants


def test_what_is_guaranteed_in_all_may_be_more_than_the_link_carries() -> None:
    link = "[backhaul]\ndown_bps = 100000\nup_bps = 100000\n"
    assert settings(link + TWO).tenants[0].guaranteed_down_bps == 500_000


def test_the_number_of_tenants_has_a_limit() -> None:
    many = "".join(f'[[tenants]]\nname = "t{n}"\nnetworks = ["10.{n}.0.0/16"]\n' for n in range(65))
    assert set(faults(many)) == {"tenants"}


@pytest.mark.parametrize(
    ("more", "key"),
    [
        ('[probe]\nreflector = "hub.example.org:8445"', "probe.key_file"),
        ('[probe]\nkey_file = "echo"', "probe.reflector"),
        ('[probe]\nreflector = "hub.example.org:8445"\nkey_file = "echo"\nping = "192.0.2.1"', "probe.ping"),
        (TWO + "[allowance.tenants]\nmuseo = 5000000", "allowance.tenants"),
        ("[allowance]\ntenants = { escuela = 5000000 }", "allowance.tenants"),
        ("[clinic]\nvideo_bps_max = 3000000", "clinic.video_bps_max"),
        ("[sharing]\ncall_bps_max = 200000", "sharing.call_bps_max"),
        (
            '[radius]\nserver = "192.0.2.1"\nsecret = "0123456789abcdef"\nsecret_file = "radius"',
            "radius.secret_file",
        ),
        (
            '[backhaul]\ninterface = "wwan0"\n'
            '[[links]]\nname = "uno"\ninterface = "wwan0"\n[[links]]\nname = "dos"\ninterface = "sat0"',
            "backhaul.interface",
        ),
    ],
)
def test_what_does_not_go_together_is_told(more: str, key: str) -> None:
    found = faults(more)
    assert set(found) == {key}
    assert found[key].allowed


def test_the_plan_tells_what_is_set_of_the_link() -> None:
    more = (
        "[backhaul]\ndown_bps = 100000\nup_bps = 100000\n"
        '[probe]\nping = "192.0.2.1"\n'
        "[allowance]\nsize_bytes = 50000000000\ntenants = { escuela = 5000000 }\nbulk_hours = ['22:00-05:00']\n"
        '[radius]\nserver = "192.0.2.10"\nsecret = "0123456789abcdef"\n'
    )
    said = "\n".join(message % values for message, values in in_plain_words(settings(more + TWO)))
    for text in (
        "pings of 192.0.2.1",
        "among: coop-norte (3), escuela (1)",
        "guaranteed more than the link is taken to carry: 500 kbit/s of 100 kbit/s",
        "Up to 50 GB may cross the link each month, from day 1 on",
        "Of that, escuela may use 5 MB.",
        "moves at 22:00-05:00 only",
        "kept for 13 months",
        "RADIUS server at 192.0.2.10:1813",
    ):
        assert text in said, text
    assert said.count("guaranteed more") == 1
    assert "the box measures it" in "\n".join(message for message, _ in in_plain_words(settings("")))
