"""`tambo reflect` starts with a key file and an address, and says in a sentence what is wrong with either."""

from pathlib import Path

import pytest

from gateway.backhaul.sensing.echo_keys import key_in, keys_in
from gateway.cli_reflect import journey, told
from gateway.errors import CannotStart
from gateway.settings_link import Probe, Reflector
from gateway.units import Address

LINE = "7 " + "ab" * 32 + "\n"


def test_the_command_line_comes_before_the_file(tmp_path: Path) -> None:
    settings = told(Reflector(listen=Address("::", 9)), "127.0.0.1:8445", tmp_path / "keys")
    assert settings.listen == Address("127.0.0.1", 8445)
    assert settings.key_file == tmp_path / "keys"
    assert told(settings, None, None) == settings


def test_what_is_no_address_is_said() -> None:
    with pytest.raises(CannotStart, match="address and a port"):
        told(Reflector(), "everywhere", None)


def test_without_keys_there_is_no_echo(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match="no key file"):
        journey(Reflector())
    with pytest.raises(CannotStart, match="cannot be used"):
        journey(Reflector(key_file=tmp_path / "none"))
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(CannotStart, match="cannot be used"):
        keys_in(tmp_path / "binary")


def test_a_box_has_its_own_key_and_no_other(tmp_path: Path) -> None:
    (tmp_path / "own").write_text(LINE)
    (tmp_path / "all").write_text(LINE + "8 " + "cd" * 32)
    assert key_in(tmp_path / "own").id == 7
    assert set(keys_in(tmp_path / "all")) == {7, 8}
    with pytest.raises(CannotStart, match="more than this box"):
        key_in(tmp_path / "all")


@pytest.mark.parametrize(
    ("text", "peer"),
    [("Hub.example.org:8445", ("hub.example.org", 8445)), ("[2001:db8::1]:8445", ("2001:db8::1", 8445))],
)
def test_the_far_end_is_a_host_and_a_port(text: str, peer: tuple[str, int]) -> None:
    assert Probe.model_validate({"reflector": text}).reflector == peer


@pytest.mark.parametrize(
    "text", ["hub.example.org", ":8445", "2001:db8::1:8445", "hub example:1", "hub:0", "hub:70000"]
)
def test_what_is_no_host_and_port_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Probe.model_validate({"reflector": text})
