"""The account commands make, name, block and take back; what would take others along is said before."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from typer.testing import CliRunner, Result

from gateway.cli import app
from gateway.errors import BadRequest, Conflict, NotFound

CONFIG = """
[box]
name = "san-mateo"
data = "var"
[portal]
http = "127.0.0.1:0"
[admin]
listen = "127.0.0.1:0"
"""


@pytest.fixture(autouse=True)
def speaks_english(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    yield
    structlog.reset_defaults()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "tambo.toml"
    path.write_text(CONFIG)
    tambo(path, "add", "ana", "--role", "merchant")
    return path


def tambo(config: Path, *arguments: str, group: str = "account") -> Result:
    return CliRunner().invoke(app, [group, *arguments, "--config", str(config)])


def test_a_cashier_is_made_for_a_shop_and_listed_with_it(config: Path) -> None:
    assert tambo(config, "add", "pedro", "--role", "cashier", "--shop", "ana").exit_code == 0
    lines = [line.split("\t") for line in tambo(config, "list").output.splitlines()]
    assert lines == [["ana", "merchant"], ["pedro", "cashier", "ana"]]


def test_a_cashier_without_a_shop_or_of_none_is_refused(config: Path) -> None:
    assert isinstance(tambo(config, "add", "pedro", "--role", "cashier").exception, BadRequest)
    assert isinstance(tambo(config, "add", "pedro", "--role", "cashier", "--shop", "eva").exception, NotFound)
    assert isinstance(tambo(config, "add", "pedro", "--role", "nurse", "--shop", "ana").exception, BadRequest)
    assert tambo(config, "list").output == "ana\tmerchant\n"


def test_the_older_name_of_the_group_does_the_same(config: Path) -> None:
    assert tambo(config, "list", group="user").output == tambo(config, "list").output


def test_tokens_are_listed_and_revoked_one_by_one(config: Path) -> None:
    first = tambo(config, "token", "ana", "--label", "caja").output.strip()
    second = tambo(config, "token", "ana", "--label", "hoja", "--read-only").output.strip()
    listed = [line.split("\t") for line in tambo(config, "tokens", "ana").output.splitlines()]
    assert [
        (prefix, scope, used, label) for prefix, scope, _, used, label in sorted(listed, key=lambda row: row[4])
    ] == [
        (first[:14], "orders", "-", "caja"),
        (second[:14], "read", "-", "hoja"),
    ]
    assert tambo(config, "revoke", "ana", first[:14]).exit_code == 0
    assert isinstance(tambo(config, "revoke", "ana", first[:14]).exception, NotFound)
    left = tambo(config, "tokens", "ana").output
    assert "hoja" in left
    assert "caja" not in left
    assert "made void: 1" in tambo(config, "revoke", "ana", "--all").output
    assert tambo(config, "tokens", "ana").output == ""


@pytest.mark.parametrize("arguments", [[], ["tambo_x", "--all"]])
def test_revoking_says_which_or_all(config: Path, arguments: list[str]) -> None:
    tambo(config, "token", "ana")
    assert isinstance(tambo(config, "revoke", "ana", *arguments).exception, BadRequest)
    assert tambo(config, "tokens", "ana").output.count("\n") == 1


def test_removing_a_merchant_names_the_cashiers_first_and_asks(config: Path) -> None:
    tambo(config, "add", "pedro", "--role", "cashier", "--shop", "ana")
    refused = tambo(config, "remove", "ana")
    assert isinstance(refused.exception, Conflict)
    assert "pedro" in refused.output
    assert "pedro" in tambo(config, "list").output
    assert tambo(config, "remove", "ana", "--yes").exit_code == 0
    assert tambo(config, "list").output == ""


def test_a_blocked_merchant_is_listed_so_with_the_cashiers_until_unblocked(config: Path) -> None:
    tambo(config, "add", "pedro", "--role", "cashier", "--shop", "ana")
    assert tambo(config, "block", "ana").exit_code == 0
    assert tambo(config, "list").output.count("blocked") == 2
    assert tambo(config, "unblock", "ana").exit_code == 0
    assert "blocked" not in tambo(config, "list").output
