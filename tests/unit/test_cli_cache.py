"""`tambo cache` says what the box was asked and what it did, to people and to programs."""

import http.client
import json
import socket
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from typer.testing import CliRunner

from gateway.cli import app, main
from gateway.warm_bar import EXIT_INTERRUPTED

CONFIG = """
[box]
name = "san-mateo"
data = "var"
[admin]
listen = "127.0.0.1:{port}"
"""
SITE = """
[[sites]]
name = "{name}"
hosts = ["{name}.localhost"]
origin = "http://origen.test"
"""


@dataclass
class FakeBox:
    """A technician's listener that answers by script, one answer after another, the last for ever."""

    answers: dict[str, list[tuple[int, object]]] = field(default_factory=dict)
    asked: list[tuple[str, object]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    port: int = 0

    def on(self, path: str, *answers: object, status: int = 200) -> None:
        self.answers[path] = [(status, each) for each in answers]

    def answer(self, path: str) -> tuple[int, object]:
        script = self.answers[path]
        return script.pop(0) if len(script) > 1 else script[0]


@pytest.fixture
def box() -> Iterator[FakeBox]:
    fake = FakeBox()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(None)

        def do_POST(self) -> None:
            self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def _answer(self, document: object) -> None:
            fake.asked.append((self.path, document))
            fake.headers.append(dict(self.headers))
            status, said = fake.answer(self.path)
            body = said if isinstance(said, bytes) else json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            del args

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    fake.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield fake
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def speaks_english(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    with patch("gateway.warm_bar.POLL_S", 0.001):
        yield


@pytest.fixture
def config(tmp_path: Path, box: FakeBox) -> Path:
    path = tmp_path / "tambo.toml"
    path.write_text(CONFIG.format(port=box.port) + SITE.format(name="salud"))
    return path


def said(config: Path, *arguments: str, code: int = 0) -> str:
    """Run a command that ends well, or with `code`; return what it printed."""
    result = CliRunner().invoke(app, ["cache", *arguments, "--config", str(config)])
    assert result.exit_code == code, (result.output, result.exception)
    return str(result.output)


def failed(config: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run a command that ends with a sentence and exit code 1; return the sentence."""
    with pytest.MonkeyPatch.context() as patching:
        patching.setattr("sys.argv", ["tambo", "cache", *arguments, "--config", str(config)])
        with pytest.raises(SystemExit) as end:
            main()
    assert end.value.code == 1
    return str(capsys.readouterr().err)


def run(state: str, done: int = 0, known: int = 0, moved_bytes: int = 0, **more: object) -> dict[str, Any]:
    counts = {"pages_done": done, "pages_known": known, "pieces_done": 0, "failed": 0, "left_s": None}
    sizes = {"moved_bytes": moved_bytes, "allowed_bytes": 50_000_000}
    return {"site": "salud", "state": state, "began_s": 0.0, "ended_s": None, **counts, **sizes, **more}


STAT = {
    "sites": [
        {
            "site": "salud",
            "answers": 120,
            "size_bytes": 4_000_000,
            "hits": 75,
            "misses": 25,
            "saved_bytes": 12_000_000,
            "pinned": 2,
            "waiting": 1,
        },
        {
            "site": "",
            "answers": 1,
            "size_bytes": 10,
            "hits": 0,
            "misses": 0,
            "saved_bytes": 0,
            "pinned": 0,
            "waiting": 0,
        },
    ],
    "whole": {
        "stored_objects": 121,
        "stored_bytes": 4_000_010,
        "memory_bytes": 1_000,
        "failures_in_a_row": 0,
        "size_bytes_max": 8_000_000_000,
    },
}


def test_stat_shows_a_line_a_site_and_the_whole(config: Path, box: FakeBox) -> None:
    box.on("/cache/stat", STAT)
    header, salud, proxy, whole = said(config, "stat").splitlines()
    assert header.split() == ["site", "answers", "size", "from", "here", "saved", "pinned", "waiting"]
    assert salud.split() == ["salud", "120", "4", "MB", "75", "%", "12", "MB", "2", "1"]
    assert proxy.split()[:3] == ["(proxy)", "1", "10"]
    assert whole == "Answers in all: 121; 4 MB of 8 GB on disk, 1 kB in memory."
    assert len({len(header), len(salud), len(proxy)}) == 1


def test_stat_tells_of_a_disk_that_fails(config: Path, box: FakeBox) -> None:
    box.on("/cache/stat", {**STAT, "whole": {**STAT["whole"], "failures_in_a_row": 7}})  # type: ignore[dict-item]
    assert "failed 7 times in a row" in said(config, "stat")


def test_stat_gives_programs_what_the_box_said(config: Path, box: FakeBox) -> None:
    box.on("/cache/stat", STAT)
    assert json.loads(said(config, "stat", "--json")) == STAT


def test_the_box_is_asked_in_the_terminals_language(
    config: Path, box: FakeBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANG", "es_PE.UTF-8")
    box.on("/cache/stat", STAT)
    assert "Respuestas en total: 121" in said(config, "stat")
    assert box.headers[0]["Accept-Language"] == "es"


@pytest.mark.parametrize(
    ("arguments", "order"),
    [
        (["http://salud.localhost/a"], {"url": "http://salud.localhost/a"}),
        (["https://origen.test/a?b=c"], {"url": "https://origen.test/a?b=c"}),
        (["salud", "--yes"], {"site": "salud"}),
        (["--group", "news"], {"group": "news", "site": "salud"}),
        (["--group", "news", "--site", "muni"], {"group": "news", "site": "muni"}),
    ],
)
def test_purge_asks_for_what_was_named_and_says_what_was_removed(
    config: Path, box: FakeBox, arguments: Sequence[str], order: object
) -> None:
    box.on("/cache/purge", {"answers": 3, "size_bytes": 1_500})
    assert said(config, "purge", *arguments) == "Answers removed: 3 (1.5 kB).\n"
    assert box.asked == [("/cache/purge", order)]
    assert json.loads(said(config, "purge", *arguments, "--json")) == {"answers": 3, "size_bytes": 1_500}


@pytest.mark.parametrize(
    "arguments", [[], ["http://a.test/", "--group", "g"], ["salud", "--site", "salud"], ["--site", "salud"]]
)
def test_purge_takes_one_thing_at_a_time(
    config: Path, box: FakeBox, capsys: pytest.CaptureFixture[str], arguments: Sequence[str]
) -> None:
    assert "Name one thing to remove" in failed(config, capsys, "purge", *arguments)
    assert box.asked == []


def test_a_group_needs_its_site_where_there_are_several(
    config: Path, box: FakeBox, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text(config.read_text() + SITE.format(name="muni"))
    assert "There are several sites" in failed(config, capsys, "purge", "--group", "news")
    assert box.asked == []


def test_a_whole_site_is_not_removed_without_a_terminal_or_yes(
    config: Path, box: FakeBox, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "Nothing was removed" in failed(config, capsys, "purge", "salud")
    assert box.asked == []


@pytest.mark.parametrize(("typed", "removed"), [("salud", True), ("sal", False), ("", False)])
def test_a_whole_site_is_removed_once_its_name_was_typed(
    config: Path, box: FakeBox, capsys: pytest.CaptureFixture[str], typed: str, removed: bool
) -> None:
    box.on("/cache/purge", {"answers": 3, "size_bytes": 1_500})
    with (
        patch("typer.prompt", return_value=typed),
        patch("gateway.cli_cache.sys") as system,
    ):
        system.stdin.isatty.return_value = True
        if removed:
            assert "Answers removed: 3" in said(config, "purge", "salud")
        else:
            assert "Nothing was removed" in failed(config, capsys, "purge", "salud")
    assert bool(box.asked) is removed


def test_pin_says_what_is_pinned_and_what_is_to_come(config: Path, box: FakeBox) -> None:
    box.on("/cache/pin", {"pages": 1, "to_come": 0}, {"pages": 1, "to_come": 2}, {"pages": 3, "to_come": 0})
    assert said(config, "pin", "http://salud.localhost/a") == "Pinned: 1.\n"
    assert said(config, "pin", "salud").splitlines()[1] == "Not stored yet, fetched in the next run: 2."
    assert said(config, "pin", "salud", "--off") == "No longer pinned: 3.\n"
    assert box.asked == [
        ("/cache/pin", {"url": "http://salud.localhost/a", "on": True}),
        ("/cache/pin", {"site": "salud", "on": True}),
        ("/cache/pin", {"site": "salud", "on": False}),
    ]


def test_pin_alone_lists_what_is_pinned(config: Path, box: FakeBox) -> None:
    pinned = [{"site": "salud", "url": "http://origen.test/a"}]
    box.on("/cache/pin", {"pinned": pinned}, {"pinned": pinned}, {"pinned": []})
    assert said(config, "pin") == "salud\thttp://origen.test/a\n"
    assert json.loads(said(config, "pin", "--json")) == pinned
    assert said(config, "pin") == "Nothing is pinned.\n"


def test_warm_tells_a_line_a_tenth_where_there_is_no_terminal(config: Path, box: FakeBox) -> None:
    box.on("/cache/warm", run("waiting"))
    box.on(
        "/cache/warm/salud",
        run("running", 0, 20),
        run("running", 1, 20, 900_000, left_s=300),
        run("running", 2, 20, 1_000_000, left_s=90),
        run("held", 2, 20, 1_000_000),
        run("done", 20, 20, 9_000_000, failed=1),
    )
    lines = said(config, "warm", "salud").splitlines()
    assert lines == [
        "salud  waits for its turn  0/0 pages  0 B/50 MB",
        "salud  fetching  0/20 pages  0 B/50 MB",
        "salud  fetching  2/20 pages  1 MB/50 MB  2 min left",
        "salud  waits for the link  2/20 pages  1 MB/50 MB",
        "All of it is ready: 20 pages, 9 MB over the link.",
        "Could not be had, or may not be stored: 1.",
    ]
    assert box.asked[0] == ("/cache/warm", {"site": "salud", "now": False})


def test_warm_shows_a_bar_on_a_terminal(config: Path, box: FakeBox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    box.on("/cache/warm", run("running", 5, 20, 1_000_000, left_s=4_000))
    box.on("/cache/warm/salud", run("done", 20, 20, 9_000_000))
    shown = said(config, "warm", "salud", "--now")
    assert "━" in shown
    assert "20/20 pages" in shown
    assert "9 MB/50 MB" in shown
    assert box.asked[0] == ("/cache/warm", {"site": "salud", "now": True})


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ("stopped", "Stopped: 3 of 9 pages"),
        ("spent", "The day's data is used up: 3 of 9 pages"),
        ("closed", "Its hours are over: 3 of 9 pages"),
        ("failed", "It broke off: 3 of 9 pages"),
    ],
)
def test_warm_says_why_a_run_ended_early(config: Path, box: FakeBox, state: str, told: str) -> None:
    box.on("/cache/warm", run("running"))
    box.on("/cache/warm/salud", run(state, 3, 9, 5_000))
    assert told in said(config, "warm", "salud")


def test_warm_gives_programs_the_run_as_it_ended(config: Path, box: FakeBox) -> None:
    ended = run("done", 2, 2, 5_000)
    box.on("/cache/warm", run("running"))
    box.on("/cache/warm/salud", ended)
    assert json.loads(said(config, "warm", "salud", "--json")) == ended


def test_ctrl_c_asks_the_box_to_stop_and_says_so(config: Path, box: FakeBox) -> None:
    box.on("/cache/warm", run("running", 1, 9))
    box.on("/cache/warm/stop", run("stopped", 1, 9, 5_000))
    with patch("gateway.warm_bar.time.sleep", side_effect=KeyboardInterrupt):
        told = said(config, "warm", "salud", code=EXIT_INTERRUPTED)
    assert "Stopped: 1 of 9 pages" in told
    assert box.asked[-1] == ("/cache/warm/stop", {"site": "salud"})


def test_a_box_that_began_anew_meanwhile_is_told_of(
    config: Path, box: FakeBox, capsys: pytest.CaptureFixture[str]
) -> None:
    box.on("/cache/warm", run("running", 1, 9))
    box.on("/cache/warm/salud", {"site": "salud", "state": "never"})
    assert "no such run" in failed(config, capsys, "warm", "salud")


def test_what_the_box_refuses_is_said_in_its_words(
    config: Path, box: FakeBox, capsys: pytest.CaptureFixture[str]
) -> None:
    box.on("/cache/warm", {"error": {"message": "100 % used up.", "advice": "Wait."}}, status=429)
    assert failed(config, capsys, "warm", "salud") == "100 % used up.\nWait.\n"


@pytest.mark.parametrize("nonsense", [b"<html>", b"\xff", b""])
def test_what_is_no_box_is_not_taken_for_one(
    config: Path, box: FakeBox, capsys: pytest.CaptureFixture[str], nonsense: bytes
) -> None:
    box.on("/cache/stat", nonsense)
    assert "does not answer" in failed(config, capsys, "stat")


@pytest.mark.parametrize("arguments", [["stat"], ["purge", "http://a.test/"], ["pin"], ["warm", "salud"]])
def test_a_box_that_does_not_run_is_a_sentence_and_the_next_step(
    config: Path, capsys: pytest.CaptureFixture[str], arguments: Sequence[str]
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config.write_text(CONFIG.format(port=port))
    told = failed(config, capsys, *arguments)
    assert told == f"The box does not answer on 127.0.0.1:{port}.\nSee its log; start it with tambo run.\n"


def test_emptying_a_large_site_may_take_longer_than_an_answer(config: Path, box: FakeBox) -> None:
    box.on("/cache/purge", {"answers": 3, "size_bytes": 1_500})
    with patch("gateway.running_box.http.client.HTTPConnection", wraps=http.client.HTTPConnection) as opened:
        said(config, "purge", "salud", "--yes")
        said(config, "purge", "http://a.test/")
    assert [call.kwargs["timeout"] for call in opened.call_args_list] == [300.0, 300.0]
