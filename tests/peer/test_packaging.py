"""The Dockerfile's install steps work in fresh environments, and what they install runs from any directory."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.village import ROOT, started, stopped


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile as (INSTRUCTION, rest), continuation lines joined, comments left out."""
    text = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text(encoding="utf-8"))
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(line.split(" ", 1)[0], line.split(" ", 1)[1]) for line in lines]


def of(kind: str) -> list[str]:
    return [rest for name, rest in instructions() if name == kind]


def test_the_image_is_multi_stage_and_runs_as_a_numeric_user() -> None:
    assert len(of("FROM")) == 2
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", of("USER")[-1])
    kinds = [name for name, _ in instructions()]
    assert kinds.index("USER") < kinds.index("ENTRYPOINT")
    assert "RUN" not in kinds[kinds.index("USER") :], "nothing is written to the root as the user"


def test_the_image_has_one_volume_and_asks_its_own_health() -> None:
    assert of("VOLUME") == ["/data"]
    assert of("HEALTHCHECK")[0].endswith('CMD ["tambo", "check", "--alive"]')
    assert of("ENTRYPOINT") == ['["tambo"]']
    assert of("STOPSIGNAL") == ["SIGTERM"]


def test_everything_installed_is_pinned_by_hash() -> None:
    installs = [rest for rest in of("RUN") if "pip install" in rest]
    assert installs
    assert all("--require-hashes" in rest or "--no-index" in rest for rest in installs)
    for name in ("requirements.txt", "requirements-dev.txt"):
        text = (ROOT / name).read_text(encoding="utf-8")
        assert "://" not in text, "no package index is named"
        pins = re.findall(r"^[a-z0-9-]+==", text, re.MULTILINE)
        assert len(pins) > 20
        assert text.count("--hash=sha256:") >= len(pins)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run the build stage's steps with its paths moved under a temporary root; return the environment it made."""
    root = tmp_path_factory.mktemp("image")
    source = root / "src"
    source.mkdir()
    for kind, rest in instructions()[1:]:
        if kind == "FROM":
            break
        if kind == "COPY":
            *names, target = rest.split()
            for name in names:
                copy(ROOT / name, source / target)
        if kind == "RUN":
            run_step(rest, root, source)
    return root / "opt" / "tambo"


def copy(origin: Path, target: Path) -> None:
    if origin.is_dir():
        shutil.copytree(origin, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(origin, target / origin.name if target.is_dir() else target)


def run_step(step: str, root: Path, source: Path) -> None:
    moved = step.replace("/opt/", f"{root}/opt/").replace("/dist", f"{root}/dist")
    words = [sys.executable if word == "python" else word for word in shlex.split(moved)]
    expanded = [str(found) for word in words for found in (sorted(Path("/").glob(word[1:])) if "*" in word else [word])]
    done = subprocess.run(expanded, cwd=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{step}\n{done.stdout}\n{done.stderr}"


def test_the_installed_demo_runs_from_any_directory(installed: Path, tmp_path: Path) -> None:
    ready, log = tmp_path / "ready.json", tmp_path / "log"
    demo, _ = started(
        [installed / "bin" / "tambo", "demo", "--ready-file", ready], log, PATH=f"{installed}/bin", PYTHONPATH=""
    )
    try:
        where = json.loads(ready.read_text())
        assert set(where) >= {"portal", "site", "proxy", "admin", "door", "merchant", "consultation"}
    finally:
        stopped(demo, log)
