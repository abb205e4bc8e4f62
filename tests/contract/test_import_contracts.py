"""The rooms stay apart: the contracts of `pyproject.toml` fail when one room imports another, or a rule does I/O."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-logo", "--no-cache"],
        cwd=folder,
        env={"PYTHONPATH": str(folder), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tree")
    shutil.copytree(ROOT / "gateway", folder / "gateway", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def test_the_tree_keeps_every_contract(tree: Path) -> None:
    result = lint(tree)
    assert result.returncode == 0, result.stdout
    assert " 0 broken" in result.stdout


@pytest.mark.parametrize(
    ("module", "imports", "contract"),
    [
        ("gateway/web/room.py", "import gateway.market.room", "Rooms do not know each other"),
        ("gateway/market/room.py", "import gateway.clinic.room", "Rooms do not know each other"),
        ("gateway/clinic/room.py", "import gateway.web.room", "Rooms do not know each other"),
        ("gateway/backhaul/link.py", "import gateway.market.room", "The backhaul knows no room"),
        ("gateway/market/room.py", "import gateway.portal.portal", "No room imports the portal"),
        ("gateway/portal/portal.py", "import gateway.settings", "The portal does not read settings"),
        ("gateway/errors.py", "import gateway.backhaul.link", "The ground knows no room"),
        ("gateway/backhaul/sensing/state.py", "import time", "Rules are pure"),
        ("gateway/market/states.py", "import sqlite3", "Rules are pure"),
    ],
)
def test_a_broken_rule_is_reported_by_name(tree: Path, module: str, imports: str, contract: str) -> None:
    path = tree / module
    whole = path.read_text(encoding="utf-8")
    path.write_text(f"{whole}\n{imports}\n", encoding="utf-8")
    try:
        result = lint(tree)
    finally:
        path.write_text(whole, encoding="utf-8")
    assert result.returncode != 0
    broken = [line for line in result.stdout.splitlines() if line.endswith("BROKEN")]
    assert any(line.startswith(contract) for line in broken), result.stdout
