"""`tambo usage` reads the ledger beside the box, writes files that verify, and names the first record that is wrong."""

import asyncio
import itertools
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.backhaul.account.account import Account
from gateway.backhaul.sharing.classes import TrafficClass
from gateway.cli import app, main
from tests.clocks import HandClock

CONFIG = """
[box]
name = "san-mateo"
data = "var"
[allowance]
size_bytes = 5000000000
gigabyte_minor = 300
"""


@pytest.fixture(autouse=True)
def speaks_english_in_january(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("gateway.cli_usage.SystemClock", lambda: HandClock(wall=1_800_010_000.0))


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "tambo.toml"
    path.write_text(CONFIG)
    return path


@pytest.fixture
def ledger(tmp_path: Path, config: Path) -> Path:
    clock, numbers = HandClock(), itertools.count()

    async def fill() -> None:
        account = Account(tmp_path / "var" / "account", clock, box="b", token=lambda: f"token-{next(numbers)}")
        await account.start()
        for _ in range(4):
            account.count("coop", TrafficClass.WEB, down_bytes=500_000_000, up_bytes=1, local_bytes=500_000_000)
            clock.pass_s(900)
            await account.beat()
        account.count("coop", TrafficClass.REALTIME, up_bytes=7_000)
        await account.stop()

    asyncio.run(fill())
    return config


def said(config: Path, *arguments: str) -> str:
    result = CliRunner().invoke(app, ["usage", *arguments, "--config", str(config)])
    assert result.exit_code == 0, (result.output, result.exception)
    return str(result.stdout)


@pytest.mark.parametrize("form", ["csv", "json"])
def test_an_export_verifies_and_a_changed_one_does_not(ledger: Path, tmp_path: Path, form: str) -> None:
    file = tmp_path / f"usage.{form}"
    file.write_bytes(said(ledger, "export", "--format", form).encode())
    whole = CliRunner().invoke(app, ["usage", "verify", str(file)])
    assert whole.exit_code == 0
    assert "Records that are whole and in order: 4, sequence 1 to 4" in whole.output
    file.write_bytes(file.read_bytes().replace(b"500000000", b"400000000", 3))
    changed = CliRunner().invoke(app, ["usage", "verify", str(file)])
    assert changed.exit_code == 1
    assert "Record 1, with sequence 1, is wrong." in changed.output


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00nonsense", b"a,b\r\n1,2\r\n", b"{" * 100_000, b"{}\n"])
def test_a_file_without_records_is_not_whole(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "usage.csv"
    file.write_bytes(content)
    assert CliRunner().invoke(app, ["usage", "verify", str(file)]).exit_code == 1


def test_show_says_the_month_the_savings_and_how_long_the_allowance_lasts(ledger: Path) -> None:
    text = "\n".join(" ".join(line.split()) for line in said(ledger, "show").splitlines())
    assert text.startswith("Since 1 January 2027:")
    assert "coop web 2 GB 4 B 2 GB" in text
    assert "coop realtime 0 B 7 kB 0 B" in text
    assert "Left of the allowance: 3 GB of 5 GB." in text
    assert "Served here without the link: 2 GB." in text
    assert "That saved PEN 6.00." in text.replace("PEN6", "PEN 6")


def test_show_tells_programs_the_same(ledger: Path) -> None:
    told = json.loads(said(ledger, "show", "--json"))
    assert told["saved_bytes"] == 2_000_000_000
    assert told["saved_minor"] == 600
    assert {(each["tenant"], each["class"]) for each in told["usage"]} == {("coop", "realtime"), ("coop", "web")}


def test_without_an_account_a_sentence_says_so(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["tambo", "usage", "show", "--config", str(config)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    assert "There is no account yet" in capsys.readouterr().err
