"""A relay's credentials end by themselves and name nobody, and nothing is sent to addresses that are nobody's."""

import base64
import hashlib
import hmac
from pathlib import Path

import pytest

from gateway.app import check_surroundings
from gateway.clinic.media.control import Relay
from gateway.clinic.media.sdp import read_offer, usable_candidates
from gateway.clinic.turn import GOOD_S, ice_servers, relays
from gateway.settings import Settings
from tests.unit.clinic.whip_offers import camera

URLS = ("turn:relay.example.org:3478", "turns:relay.example.org:5349")
SPECIAL = [
    *("0.0.0.1", "10.0.0.1", "100.64.0.1", "127.0.0.1", "169.254.1.1", "172.16.0.1", "192.0.0.1", "192.0.0.9"),
    *("192.0.0.170", "192.0.2.1", "192.31.196.1", "192.52.193.1", "192.88.99.1", "192.168.0.1", "192.175.48.1"),
    *("198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "233.252.0.1", "239.1.1.1", "240.0.0.1"),
    "255.255.255.255",
]


def test_credentials_are_those_a_relay_with_the_same_secret_expects() -> None:
    found = relays(URLS, "secret", 1_800_000_000.9)
    assert [each.url for each in found] == list(URLS)
    for each in found:
        assert each.user == str(1_800_000_000 + GOOD_S), "when it ends, and nothing of a person"
        assert base64.b64decode(each.password) == hmac.digest(b"secret", each.user.encode(), hashlib.sha1)


def test_without_a_secret_or_a_relay_nothing_is_named() -> None:
    assert relays(URLS, "", 0.0) == ()
    assert relays((), "secret", 0.0) == ()
    assert ice_servers(()) == []


def test_a_page_is_told_the_relay_as_its_browser_takes_it() -> None:
    (told,) = ice_servers([Relay("turn:relay.example.org", "1", "p")])
    assert told == {"urls": "turn:relay.example.org", "username": "1", "credential": "p"}


@pytest.mark.parametrize("kind", ["host", "srflx", "relay"])
@pytest.mark.parametrize("address", SPECIAL)
def test_nothing_is_sent_to_a_special_purpose_address_through_a_relay(address: str, kind: str) -> None:
    offered = camera(candidate=f"1 1 udp 2113937151 {address} 40000 typ {kind}")
    assert usable_candidates(read_offer(offered), near=False) == []


def test_a_public_address_is_used() -> None:
    offered = camera(candidate="1 1 udp 2113937151 9.9.9.9 40000 typ relay")
    assert [each.host for each in usable_candidates(read_offer(offered), near=False)] == ["9.9.9.9"]


def test_a_secret_that_cannot_be_read_is_said_before_the_box_starts(tmp_path: Path) -> None:
    clinic = {"turn": [URLS[0]], "turn_secret_file": str(tmp_path / "missing")}
    settings = Settings.model_validate({"box": {"name": "posta"}, "clinic": clinic})
    assert [each.values for each in check_surroundings(settings)] == [{"path": tmp_path / "missing"}]
    (tmp_path / "missing").write_text("secret\n", encoding="utf-8")
    assert check_surroundings(settings) == []
