"""A settings file is read whole, and every fault is told at once."""

from pathlib import Path

import pytest

from gateway.errors import CannotStart
from gateway.settings import Settings, secret
from gateway.settings_file import Fault, load, parse
from gateway.units import Address

WHOLE = """
[box]
name = "san-mateo"
data = "var"

[portal]
http = "0.0.0.0:8080"
hosts = ["localhost"]

[[sites]]
name = "salud"
hosts = ["salud.localhost"]
origin = "http://127.0.0.1:18000"
class = "web"

[proxy]
listen = "0.0.0.0:3128"
allow_private = []

[cache]
size_bytes_max = 8_000_000_000
memory_bytes_max = 128_000_000

[backhaul]
interface = "wwan0"

[market]
marketplace = "http://127.0.0.1:18100/orders"

[clinic]
door = "0.0.0.0:8444"

[admin]
listen = "127.0.0.1:9090"
"""


def read(tmp_path: Path, text: str) -> Settings | list[Fault]:
    path = tmp_path / "tambo.toml"
    path.write_text(text)
    return load(path)


def faults(document: dict[str, object]) -> dict[str, Fault]:
    found = parse({"box": {"name": "a"}, **document}, Path())
    assert isinstance(found, list)
    return {fault.key: fault for fault in found}


def test_the_documented_file_is_accepted(tmp_path: Path) -> None:
    settings = read(tmp_path, WHOLE)
    assert isinstance(settings, Settings)
    assert settings.portal.http == Address("0.0.0.0", 8080)
    assert settings.sites[0].origin == "http://127.0.0.1:18000"
    assert settings.sites[0].traffic_class == "web"
    assert settings.backhaul.interface == "wwan0"
    assert settings.box.data == tmp_path / "var", "paths are relative to the file"


def test_every_fault_is_reported_at_once_with_key_allowed_and_example() -> None:
    found = faults(
        {
            "box": {"name": "San Mateo"},
            "portal": {"http": "8080", "https": "0.0.0.0:8443"},
            "sites": [{"name": "salud", "hosts": ["a b"], "origin": "ftp://x", "class": "fast"}],
            "cache": {"size_bytes_max": 5, "memory_byte_max": 1},
            "weather": {},
        }
    )
    assert set(found) == {
        "box.name",
        "portal.http",
        "portal.certificate",
        "portal.key",
        "sites[0].hosts[0]",
        "sites[0].origin",
        "sites[0].class",
        "cache.size_bytes_max",
        "cache.memory_byte_max",
        "weather",
    }
    for key, fault in found.items():
        assert fault.problem, key
        assert fault.allowed, key
    assert found["portal.http"].example == 'http = "0.0.0.0:8080"'
    assert found["sites[0].class"].example == 'class = "web"'
    assert found["cache.memory_byte_max"].allowed == "memory_bytes_max", "the nearest name is suggested"


@pytest.mark.parametrize(
    ("document", "key"),
    [
        ({"sites": [{"name": "a", "hosts": ["localhost"], "origin": "http://x"}]}, "sites[0].hosts"),
        (
            {
                "sites": [
                    {"name": "a", "hosts": ["a.b"], "origin": "http://x"},
                    {"name": "a", "hosts": ["c.d"], "origin": "http://x"},
                ]
            },
            "sites[1].name",
        ),
        ({"portal": {"http": "127.0.0.1:9090"}}, "admin.listen"),
        ({"proxy": {"listen": "0.0.0.0:8080"}}, "proxy.listen"),
        ({"portal": {"http": "0.0.0.0:8080"}, "proxy": {"listen": "127.0.0.1:8080"}}, "proxy.listen"),
        ({"portal": {"certificate": "a.pem", "key": "a.key"}}, "portal.https"),
        ({"backhaul": {"down_bps": 5, "up_bps": 5_000}}, "backhaul.down_bps"),
        ({"backhaul": {"down_bps": 4_000_000}}, "backhaul.up_bps"),
        ({"market": {"marketplace": "http://x/", "token": "12345678", "token_file": "t"}}, "market.token_file"),
        ({"cache": {"size_bytes_max": "8000000000"}}, "cache.size_bytes_max"),
        ({"cache": {"size_bytes_max": 100_000_000, "memory_bytes_max": 200_000_000}}, "cache.memory_bytes_max"),
        ({"market": {"marketplace": "http://user:pw@x/"}}, "market.marketplace"),
        ({"market": {}}, "market.marketplace"),
        ({"sites": [{"name": "a", "hosts": [], "origin": "http://x"}]}, "sites[0].hosts"),
        ({"sites": [{"name": "a", "hosts": ["a"], "origin": "http://x/path"}]}, "sites[0].origin"),
        ({"sites": "a"}, "sites"),
        ({"portal": 5}, "portal"),
    ],
)
def test_a_fault_names_its_key(document: dict[str, object], key: str) -> None:
    assert key in faults(document)


def test_a_file_that_is_not_there_or_not_toml_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match="cannot be read"):
        load(tmp_path / "no.toml")
    with pytest.raises(CannotStart, match="not TOML"):
        read(tmp_path, "[box\n")


def test_a_secret_may_be_a_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from-a-file\n")
    assert secret(None, tmp_path / "token") == "from-a-file"
    assert secret("inline-token", None) == "inline-token"
    with pytest.raises(CannotStart):
        secret(None, tmp_path / "gone")


@pytest.mark.parametrize(
    ("name", "code", "letters"),
    [("san-mateo", "", "SMT"), ("san-mateo", "SM1", "SM1"), ("lima", "", "LM"), ("santa-rosa-de-yanac", "", "SRD")],
)
def test_receipt_letters_are_the_code_or_made_from_the_name(name: str, code: str, letters: str) -> None:
    settings = parse({"box": {"name": name, "code": code}}, Path())
    assert isinstance(settings, Settings)
    assert settings.box.receipt_code == letters


def test_a_sites_query_rules_are_the_usual_ones_until_they_are_set(tmp_path: Path) -> None:
    usual = read(tmp_path, WHOLE)
    assert isinstance(usual, Settings)
    assert (usual.sites[0].query.sort, usual.sites[0].query.drop) == (True, None)
    own = read(tmp_path, WHOLE.replace("[proxy]", '[sites.query]\nsort = false\ndrop = ["utm_*", "x"]\n[proxy]'))
    assert isinstance(own, Settings)
    assert (own.sites[0].query.sort, own.sites[0].query.drop) == (False, ("utm_*", "x"))


@pytest.mark.parametrize("name", ["*", "a*b", "a b", "a=b", "a&b", "", "#"])
def test_a_parameter_to_drop_is_a_name_with_perhaps_an_open_end(name: str) -> None:
    site = {"name": "a", "hosts": ["a"], "origin": "http://a", "query": {"drop": [name]}}
    assert any(key.startswith("sites[") for key in faults({"sites": [site]}))
