"""`tambo orders` says what the queue does, carries orders around a link that stays away, and writes nothing over."""

import asyncio
import json
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import brotli
import pytest
from typer.testing import CliRunner

from gateway.cli import app, main
from gateway.data_folder import ORDERS_KEY, RECEIPTS_KEY, DataFolder
from gateway.durable.recipient import as_text
from gateway.market.bundle import MEDIA_TYPE
from gateway.market.journal.journal import FILE, Journal, JournalLimits
from gateway.market.receipts import ReceiptKey
from gateway.market.records import OrderView
from gateway.market.wire.signature import key_from, verify
from tests.clocks import HandClock
from tests.unit.market.carried import BOX, RECIPIENT, SECRET, STRANGER, bundle_of, stored
from tests.unit.market.orders import an_order

CONFIG = """
[box]
name = "san-mateo"
data = "{data}"
[admin]
listen = "127.0.0.1:{port}"
[market]
marketplace = "http://127.0.0.1:9/orders"
trusted_boxes = ["{trusted}"]
"""
OTHER = ReceiptKey("CUS", bytes(range(1, 33)))
Answer = Callable[[str, bytes, dict[str, str]], tuple[int, bytes, bool]]  # status, body, and whether it is whole
STAT = {
    "waiting": 3,
    "attention": 1,
    "recorded": 9,
    "accepted": 5,
    "rejected": 0,
    "failures_in_a_row": 0,
    "heard_wall_s": None,
    "damaged": 0,
    "put_aside": 0,
    "is_taking": True,
    "used_bytes": 90_000,
    "free_bytes": 8_000_000_000,
}


@dataclass
class Far:
    """A server that answers as the test wants: a box's technician's listener, or a marketplace."""

    answer: Answer = lambda path, body, headers: (404, b"{}", True)
    asked: list[tuple[str, bytes, dict[str, str]]] = field(default_factory=list)
    port: int = 0

    def says(self, document: object, status: int = 200) -> None:
        self.answer = lambda path, body, headers: (status, json.dumps(document).encode(), True)

    def gives(self, content: bytes, *, is_whole: bool = True) -> None:
        self.answer = lambda path, body, headers: (200, content, is_whole)


@pytest.fixture
def far() -> Iterator[Far]:
    fake = Far()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(b"")

        def do_POST(self) -> None:
            self._answer(self.rfile.read(int(self.headers["Content-Length"])))

        def _answer(self, body: bytes) -> None:
            fake.asked.append((self.path, body, {name.lower(): value for name, value in self.headers.items()}))
            status, said, is_whole = fake.answer(self.path, body, fake.asked[-1][2])
            self.send_response(status)
            self.send_header("Transfer-Encoding", "chunked")
            self.send_header("Content-Type", MEDIA_TYPE)
            self.end_headers()
            for at in range(0, len(said), 50_000):
                piece = said[at : at + 50_000]
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.write(b"0\r\n\r\n" if is_whole else b"")
            self.close_connection = True

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
def speaks_english(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def config(tmp_path: Path, far: Far) -> Path:
    path = tmp_path / "tambo.toml"
    path.write_text(CONFIG.format(port=far.port, data=tmp_path / "var", trusted=OTHER.public))
    return path


def said(*arguments: str | Path, config: Path | None = None, code: int = 0, given: str | None = None) -> str:
    """Run a command that ends well, or with `code`; return what it printed."""
    command = ["orders", *map(str, arguments), *(["--config", str(config)] if config else [])]
    result = CliRunner().invoke(app, command, input=given)
    assert result.exit_code == code, (result.output, result.exception)
    return str(result.output)


def failed(capsys: pytest.CaptureFixture[str], *arguments: str | Path, config: Path | None = None) -> str:
    """Run a command that ends with a sentence and exit code 1; return the sentence."""
    command = ["tambo", "orders", *map(str, arguments), *(["--config", str(config)] if config else [])]
    with pytest.MonkeyPatch.context() as patching:
        patching.setattr("sys.argv", command)
        with pytest.raises(SystemExit) as end:
            main()
    assert end.value.code == 1
    told = capsys.readouterr()
    assert "Traceback" not in told.err
    return str(told.out + told.err)


# The queue.


def test_stat_says_what_waits_and_when_the_marketplace_last_answered(config: Path, far: Far) -> None:
    far.says(STAT)
    lines = said("stat", config=config).splitlines()
    assert lines[0] == "Waiting: 3. Need a person: 1."
    assert "last answered: not since the start" in lines[2]
    assert len(lines) == 4
    assert json.loads(said("stat", "--json", config=config)) == STAT
    far.says(STAT | {"heard_wall_s": 1_800_000_000.0, "is_taking": False, "damaged": 2})
    text = said("stat", config=config)
    assert "2027" in text
    assert "No new orders are taken" in text
    assert "Damaged rows: 2." in text


def row(number: int) -> dict[str, object]:
    told = {"number": number, "id": an_order().id, "receipt": f"SMT-0001-{number:04d}", "merchant": "Lucía Quispe"}
    return told | {
        "state": "needs-attention",
        "code": "undeliverable",
        "revision": 1,
        "age_s": 7_200 if number else None,
    }


def test_list_shows_receipts_and_ids_and_no_names(config: Path, far: Far) -> None:
    rows = [row(2), row(1), row(0)]
    far.says({"orders": rows, "before": None})
    text = said("list", "--attention", config=config)
    assert far.asked[0][0] == "/orders/attention"
    assert len(text.splitlines()) == 4
    assert "SMT-0001-0002" in text
    assert "2 hours" in text
    assert "Quispe" not in text + said("list", "--json", config=config)
    assert far.asked[1][0] == "/orders/open"
    far.says({"orders": [], "before": None})
    assert said("list", config=config) == "There is none.\n"


def test_a_long_list_is_asked_for_page_by_page_up_to_a_limit(config: Path, far: Far) -> None:
    far.answer = lambda path, body, headers: (
        200,
        json.dumps({"orders": [row(1)] * 200, "before": 7}).encode(),
        True,
    )
    assert "There are more" in said("list", config=config)
    assert [path for path, _, _ in far.asked] == ["/orders/open", *["/orders/open?before=7"] * 4]


def test_requeue_names_one_order_or_all(config: Path, far: Far, capsys: pytest.CaptureFixture[str]) -> None:
    far.says({"requeued": 4})
    assert said("requeue", "--all", config=config) == "Orders that go once more: 4.\n"
    said("requeue", "an-id", config=config)
    assert [json.loads(body) for _, body, _ in far.asked] == [{"all": True}, {"id": "an-id"}]
    for arguments in ([], ["an-id", "--all"]):
        assert "Which order is not clear" in failed(capsys, "requeue", *arguments, config=config)
    far.says({"error": {"message": "No.", "advice": "Wait."}}, 409)
    assert failed(capsys, "requeue", "an-id", config=config) == "No.\nWait.\n"


# The bundle.


@pytest.mark.parametrize(("recipient", "words"), [("", "It is not sealed"), (RECIPIENT, "It is sealed")])
def test_export_writes_the_bundle_and_says_what_it_is(
    config: Path, far: Far, tmp_path: Path, recipient: str, words: str
) -> None:
    whole = bundle_of([stored() for _ in range(1_500)], recipient=recipient)
    far.gives(whole)
    file = tmp_path / "stick.tambo"
    text = said("export", file, config=config)
    assert f"Orders in {file}: 1500." in text
    assert words in text
    assert file.read_bytes() == whole
    assert file.stat().st_mode & 0o777 == 0o600
    assert far.asked == [("/orders/bundle", b"{}", far.asked[0][2])]


def test_export_writes_over_nothing(config: Path, far: Far, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "stick.tambo"
    file.write_text("mine")
    assert "already" in failed(capsys, "export", file, config=config)
    assert (file.read_text(), far.asked) == ("mine", [])


@pytest.mark.parametrize("fault", ["broken off", "refused", "nonsense", "changed", "no directory"])
def test_an_export_that_fails_leaves_no_file_that_looks_whole(
    config: Path, far: Far, tmp_path: Path, capsys: pytest.CaptureFixture[str], fault: str
) -> None:
    whole = bundle_of([stored()])
    file = tmp_path / "stick.tambo"
    match fault:
        case "broken off":
            far.gives(whole, is_whole=False)
        case "refused":
            far.says({"error": {"message": "Busy.", "advice": "Wait."}}, 429)
        case "nonsense":
            far.gives(b"hello")
        case "changed":
            far.gives(whole[:-1] + bytes([whole[-1] ^ 1]))
        case _:
            far.gives(whole)
            file = tmp_path / "no" / "stick.tambo"
    failed(capsys, "export", file, config=config)
    assert not file.exists()


# Keys and receipts.


def own_key(config: Path) -> ReceiptKey:
    return ReceiptKey("SMT", DataFolder(config.parent / "var").make().key_for(RECEIPTS_KEY))


def receipt(key: ReceiptKey, code: str) -> str:
    from gateway.document import canonical

    words = {"box": code, "hash": "ab" * 16, "id": an_order().id, "receipt": f"{code}-0001-0002"}
    text = canonical(words | {"time": "2027-01-15T08:00:00.250Z", "total": "2323 PEN"})
    return f"TAMBO1.{as_text(text)}.{as_text(key.sign(text))}"


def test_key_prints_the_line_for_another_box(config: Path) -> None:
    assert said("key", config=config) == f"{own_key(config).public}\n"


def test_verify_says_in_plain_words_what_a_receipt_says(config: Path) -> None:
    text = said("verify", receipt(own_key(config), "SMT"), config=config)
    assert "Genuine: receipt SMT-0001-0002, signed by the box SMT." in text
    assert "23.23" in text
    assert "abababababababab." in text
    assert "receipt CUS-0001-0002" in said("verify", "-", config=config, given=f"{receipt(OTHER, 'CUS')}\n")


@pytest.mark.parametrize("text", ["", "no", "TAMBO1.a.b", receipt(STRANGER, "SMT"), "x" * 100_000])
def test_verify_refuses_what_no_trusted_box_signed(config: Path, text: str) -> None:
    assert "not a receipt" in said("verify", text, config=config, code=1)
    assert "not a receipt" in said("verify", "-", config=config, code=1, given=text)


def test_keygen_makes_a_pair_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "secret"
    public = said("keygen", file).strip()
    assert len(public) == 43
    assert file.stat().st_mode & 0o777 == 0o600
    before = file.read_text()
    assert public not in before
    assert "already" in failed(capsys, "keygen", file)
    assert file.read_text() == before


# The far side.


@pytest.fixture
def stick(tmp_path: Path) -> Path:
    file = tmp_path / "stick.tambo"
    file.write_bytes(bundle_of(ORDERS))
    return file


ORDERS = [stored() for _ in range(1_200)]


def receiving(far: Far, outcome: str = "accepted", answers_max: int = 1_000, coding: str = "") -> list[Any]:
    """Let the far side be a marketplace that keeps what comes; return where it keeps it."""
    came: list[Any] = []

    def answer(path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes, bool]:
        if len(came) == answers_max:
            return 503, b"", True
        batch = json.loads(brotli.decompress(body))
        came.append(batch)
        told = [
            {"id": each["id"], "outcome": outcome, "reason": "", "revision": each.get("revision", 1)}
            for each in batch["orders"]
        ]
        return 200, json.dumps({"receipts": told}).encode(), True

    far.answer = answer
    return came


def imported(far: Far, stick: Path, *more: str | Path) -> Sequence[str | Path]:
    return ["import", stick, "--to", f"http://127.0.0.1:{far.port}/orders?shop=1", "--key", BOX.public, *more]


def test_import_delivers_every_order_once_and_writes_what_came_of_it(far: Far, stick: Path, tmp_path: Path) -> None:
    came = receiving(far)
    (tmp_path / "token").write_text("abcdefgh\n")
    text = said(*imported(far, stick, "--token-file", tmp_path / "token"))
    assert "Orders of box san-mateo in the bundle: 1200." in text
    assert "accepted\t1200\n" in text
    assert [len(each["orders"]) for each in came] == [500, 500, 200]
    assert [each["id"] for batch in came for each in batch["orders"]] == [each.id for each in ORDERS]
    assert {each["box"] for each in came} == {"san-mateo"}
    path, _, headers = far.asked[0]
    assert (path, headers["authorization"]) == ("/orders?shop=1", "Bearer abcdefgh")
    assert "webhook-signature" not in headers
    told = json.loads((tmp_path / "stick.tambo.receipts.json").read_text())
    assert (told["is_whole"], told["orders"], told["sums"]) == (True, 1200, {"accepted": 1200})
    assert len(told["receipts"]) == 1200
    assert "Quispe" not in text + json.dumps(told, ensure_ascii=False)


def test_an_import_given_again_sends_the_same_batches(far: Far, stick: Path) -> None:
    came = receiving(far)
    said(*imported(far, stick))
    said(*imported(far, stick))
    assert came[:3] == came[3:]


def test_an_import_that_is_cut_short_says_so_and_keeps_what_it_heard(far: Far, stick: Path) -> None:
    receiving(far, answers_max=1)
    text = said(*imported(far, stick), code=1)
    assert "accepted\t500\n" in text
    assert "status 503" in text
    told = json.loads(stick.with_name("stick.tambo.receipts.json").read_text())
    assert (told["is_whole"], told["sums"]) == (False, {"accepted": 500})
    receiving(far)
    assert "accepted\t1200\n" in said(*imported(far, stick))


@pytest.mark.parametrize("answer", [b"", b"[]", b'{"receipts": 5}', b"x" * 1_100_000])
def test_an_answer_that_is_none_stops_the_import(far: Far, stick: Path, answer: bytes) -> None:
    far.gives(answer)
    assert "cannot be read" in said(*imported(far, stick), code=1)
    assert len(far.asked) == 1


def test_a_redirection_is_not_followed(far: Far, stick: Path) -> None:
    far.says({}, 307)
    assert "status 307" in said(*imported(far, stick), code=1)


def test_orders_that_got_no_receipt_are_told(far: Far, stick: Path) -> None:
    far.says({"receipts": [{"id": ORDERS[0].id, "outcome": "rejected", "reason": "no"}]})
    text = said(*imported(far, stick), code=1)
    assert "rejected\t1\n" in text
    assert "no-answer\t1199\n" in text


def test_deliveries_are_signed_where_the_marketplace_wants_it(far: Far, stick: Path, tmp_path: Path) -> None:
    receiving(far)
    secret = "whsec_" + "a" * 32
    (tmp_path / "whsec").write_text(secret)
    said(*imported(far, stick, "--signing-secret-file", tmp_path / "whsec"))
    _, body, headers = far.asked[0]
    assert verify(key_from(secret), headers, brotli.decompress(body), 0.0, tolerance_s=None) == "genuine"


def test_a_sealed_bundle_is_imported_with_its_secret(
    far: Far, stick: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    came = receiving(far)
    stick.write_bytes(bundle_of(ORDERS[:3], recipient=RECIPIENT))
    assert "sealed" in failed(capsys, *imported(far, stick))
    (tmp_path / "wrong").write_text(as_text(bytes(32)))
    assert "another key" in failed(capsys, *imported(far, stick, "--secret-file", tmp_path / "wrong"))
    assert came == []
    (tmp_path / "secret").write_text(as_text(SECRET))
    assert "accepted\t3\n" in said(*imported(far, stick, "--secret-file", tmp_path / "secret"))


@pytest.mark.parametrize(
    "fault", ["changed", "cut", "stranger", "no key", "no file", "no url", "no secret", "no token"]
)
def test_an_import_that_cannot_be_trusted_sends_nothing(
    far: Far, stick: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], fault: str
) -> None:
    came, whole, arguments = receiving(far), stick.read_bytes(), [*imported(far, stick)]
    match fault:
        case "changed":
            stick.write_bytes(whole[:5_000] + bytes([whole[5_000] ^ 4]) + whole[5_001:])
        case "cut":
            stick.write_bytes(whole[:-1])
        case "stranger":
            stick.write_bytes(bundle_of(ORDERS[:3], STRANGER))
        case "no key":
            arguments[-1] = "SMT:short"
        case "no file":
            stick.unlink()
        case "no url":
            arguments[3] = "http://["
        case "no secret":
            arguments += ["--secret-file", tmp_path / "nowhere"]
        case _:
            arguments += ["--token-file", tmp_path]
    failed(capsys, *arguments)
    assert came == []
    assert not stick.with_name("stick.tambo.receipts.json").exists()


# Copies of the journal.


def with_journal(config: Path, orders: int) -> list[OrderView]:
    """Let the box have run, and taken orders."""

    folder, limits = DataFolder(config.parent / "var").make(), JournalLimits(ballast_bytes=0, free_bytes_min=0)
    key = folder.key_for(ORDERS_KEY)

    async def run() -> list[OrderView]:
        journal = Journal(folder.path / "market", "SMT", key, HandClock(), limits)
        await journal.start()
        for _ in range(orders):
            await journal.record(an_order(), "ana")
        found = await journal.newest(None, 1_000)
        await journal.stop()
        return found

    return asyncio.run(run())


def test_backup_and_restore_go_there_and_back(config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no journal of orders yet" in failed(capsys, "backup", tmp_path / "copy", config=config)
    before = with_journal(config, 3)
    text = said("backup", tmp_path / "copy", config=config)
    assert "Orders in the copy: 3 " in text
    assert str(tmp_path / "var" / "key") in text
    assert "already" in failed(capsys, "backup", tmp_path / "copy", config=config)
    with_journal(config, 2)
    with DataFolder(tmp_path / "var"):
        assert "Another copy of the box runs" in failed(capsys, "restore", tmp_path / "copy", config=config)
    text = said("restore", tmp_path / "copy", config=config)
    assert "Orders in the journal now: 3." in text
    assert "orders.damaged-1.sqlite3" in text
    assert with_journal(config, 0) == before


def test_restore_of_a_damaged_copy_must_be_wanted(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with_journal(config, 3)
    said("backup", tmp_path / "copy", config=config)
    with closing(sqlite3.connect(tmp_path / "copy", isolation_level=None)) as copy:
        copy.execute("UPDATE orders SET merchant='eva' WHERE number=2")
    journal = tmp_path / "var" / "market" / FILE
    before = journal.read_bytes()
    assert "Damaged rows in the copy: 1" in failed(capsys, "restore", tmp_path / "copy", config=config)
    assert journal.read_bytes() == before
    assert "Orders in the journal now: 3." in said("restore", tmp_path / "copy", "--damaged", config=config)


def test_restore_refuses_what_is_no_copy(config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with_journal(config, 1)
    (tmp_path / "copy").write_bytes(b"no")
    assert "no whole copy" in failed(capsys, "restore", tmp_path / "copy", config=config)
    assert "cannot be used" in failed(capsys, "restore", tmp_path / "nowhere", config=config)
