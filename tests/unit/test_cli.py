"""Each command says what it did, or in one sentence why not."""

import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from typer.testing import CliRunner, Result

from gateway.cli import app, main
from gateway.clinic.invitation import read
from gateway.data_folder import INVITATION_KEY, DataFolder
from tests.village import ROOT

CONFIG = """
[box]
name = "san-mateo"
data = "var"
[portal]
http = "127.0.0.1:{port}"
[clinic]
door = "127.0.0.1:0"
[admin]
listen = "127.0.0.1:0"
"""


@pytest.fixture(autouse=True)
def speaks_english(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    yield
    structlog.reset_defaults()  # a command points the log at its own standard error


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "tambo.toml"
    path.write_text(CONFIG.format(port=0))
    return path


def tambo(config: Path, *arguments: str, given: str | None = None) -> Result:
    return CliRunner().invoke(app, [*arguments, "--config", str(config)], input=given)


def test_check_says_in_plain_words_what_the_box_would_do(config: Path) -> None:
    result = tambo(config, "check")
    assert result.exit_code == 0
    assert "Box san-mateo keeps everything in" in result.output
    assert "No orders are taken" in result.output


def test_check_says_where_clinic_records_go_and_what_is_missing_for_it(config: Path) -> None:
    assert "Clinic records stay on this box" in tambo(config, "check").output
    text = config.read_text()
    assert "[clinic]" in text
    config.write_text(
        text.replace("[clinic]", '[clinic]\nfhir = "https://fhir.example/r4"\nfhir_token_file = "token"', 1)
    )
    missing = tambo(config, "check")
    assert missing.exit_code == 1
    assert "A secret's file cannot be read" in missing.output
    (config.parent / "token").write_text("t0ken")
    found = tambo(config, "check")
    assert found.exit_code == 0
    assert "Clinic records go to https://fhir.example/r4" in found.output
    assert "add [clinic] recipient" in found.output
    assert "t0ken" not in found.output


def test_check_speaks_spanish_to_a_spanish_terminal(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANG", "es_PE.UTF-8")
    assert "Box san-mateo keeps" not in tambo(config, "check").output


def test_help_speaks_spanish_to_a_spanish_terminal() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "user", "--help"],
        env={"PYTHONPATH": str(ROOT), "LANG": "es_PE.UTF-8"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Lista las cuentas" in done.stdout


def test_check_reports_every_fault_and_exits_1(config: Path) -> None:
    config.write_text('[box]\nname = "A"\n[cache]\nsize = 1\n')
    result = tambo(config, "check")
    assert result.exit_code == 1
    assert "box.name" in result.output
    assert "cache.size" in result.output
    assert "Faults in" in result.output
    assert ": 2." in result.output


def test_check_reports_what_the_machine_does_not_have(config: Path) -> None:
    more = (
        '[market]\nmarketplace = "http://a/"\ntoken_file = "gone"\ncatalogue = "gone.json"\n'
        '[backhaul]\ninterface = "none0"\n'
    )
    tls = 'http = "127.0.0.1:0"\nhttps = "127.0.0.1:0"\ncertificate = "a.pem"\nkey = "a.key"\n'
    config.write_text(CONFIG.format(port=0).replace('http = "127.0.0.1:0"\n', tls) + more)
    result = tambo(config, "check")
    assert result.exit_code == 1
    for told in ("certificate", "secret's file", "catalogue", "none0"):
        assert told in result.output


def test_check_alive_fails_when_nothing_answers(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config.write_text(CONFIG.format(port=0).replace('listen = "127.0.0.1:0"', f'listen = "127.0.0.1:{port}"'))
    assert ended(["check", "--alive", "--config", str(config)]) == 1
    assert "does not answer" in capsys.readouterr().err


def ended(arguments: list[str]) -> object:
    """Run `tambo` as its script does; return the exit code."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["tambo", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
    return end.value.code


def test_a_box_that_cannot_have_its_port_says_so_in_a_sentence(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        config.write_text(CONFIG.format(port=taken.getsockname()[1]))
        assert ended(["run", "--config", str(config)]) == 1
    told = capsys.readouterr().err
    assert "The portal listener cannot have 127.0.0.1:" in told
    assert "Traceback" not in told


def test_a_second_copy_says_so_in_a_sentence(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with DataFolder(config.parent / "var"):
        assert ended(["run", "--config", str(config)]) == 1
    assert "Another copy of the box runs" in capsys.readouterr().err


def test_a_settings_file_that_is_missing_is_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(["check", "--config", str(tmp_path / "none.toml")]) == 1
    assert "cannot be read" in capsys.readouterr().err


def test_accounts_are_made_listed_and_removed(config: Path) -> None:
    added = tambo(config, "user", "add", "ana", "--role", "merchant")
    assert added.exit_code == 0
    assert re.search(r"password, shown only this once: \S{12,}", added.output)
    assert tambo(config, "user", "list").output.split() == ["ana", "merchant"]
    token = tambo(config, "user", "token", "ana").output.strip()
    assert len(token) >= 32
    assert token != tambo(config, "user", "token", "ana").output.strip(), "each is new"
    assert tambo(config, "user", "passwd", "ana", "--password-stdin", given="a longer secret\n").exit_code == 0
    assert tambo(config, "user", "remove", "ana").exit_code == 0
    assert tambo(config, "user", "list").output == ""


@pytest.mark.parametrize(
    "arguments",
    [["add", "A B", "--role", "merchant"], ["token", "nobody"], ["passwd", "nobody"], ["remove", "nobody"]],
)
def test_a_command_that_cannot_be_done_is_a_sentence(
    config: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended(["user", *arguments, "--config", str(config)]) == 1
    told = capsys.readouterr().err
    assert "." in told
    assert "Traceback" not in told


def test_a_role_that_is_none_is_a_usage_error(config: Path) -> None:
    result = tambo(config, "user", "add", "ana", "--role", "king")
    assert result.exit_code == 2
    assert "technician" in result.output, "what is allowed is told"


def test_a_short_password_is_refused(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tambo(config, "user", "add", "ana", "--role", "merchant", "--password-stdin", given="short\n").exit_code == 1
    assert tambo(config, "user", "list").output == ""


def test_clinic_open_prints_signed_links(config: Path) -> None:
    links = json.loads(tambo(config, "clinic", "open", "--json").output)
    assert set(links) == {"nurse", "doctor"}
    key = DataFolder(config.parent / "var").key_for(INVITATION_KEY)
    for role, link in links.items():
        invitation = read(key, link.rpartition("/")[2], wall_s=0.0)
        assert invitation.role == role
