"""`tambo clinic`: what the technician sees of the records, and what leaves the box."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import web
from typer.testing import CliRunner

from gateway.cli import app
from gateway.clinic.records.records import Records
from gateway.clinic.records.states import Stage
from gateway.clinic.records.views import delivered
from gateway.durable.recipient import new_pair
from gateway.portal.records_desk import RecordsDesk
from tests.clocks import HandClock
from tests.unit.clinic.record_world import (
    MARK,
    NURSE,
    PHOTO,
    PHOTO_SHA256,
    an_id,
    found_in_clear,
    patient,
    photo,
    pieces,
    request,
    some_records,
)

SECRET, PUBLIC = new_pair()


@dataclass
class Box:
    records: Records
    config: Path

    async def says(self, *words: str, code: int = 0) -> str:
        """Return what a command prints."""
        done = await asyncio.to_thread(
            CliRunner().invoke, app, ["clinic", *words, "--config", str(self.config)], env={"LANGUAGE": "en"}
        )
        assert done.exit_code == code, done.output
        return done.output

    async def a_case(self) -> str:
        record = an_id()
        await self.records.begin(record, Stage.ASKED, by=NURSE, entries=[patient(), photo(), request()])
        await self.records.put_blob(record, PHOTO_SHA256, 0, len(PHOTO), pieces(PHOTO), by=NURSE)
        return record


@pytest.fixture
async def box(tmp_path: Path) -> AsyncIterator[Box]:
    clock = HandClock()
    async with some_records(tmp_path / "clinic", clock, recipient=PUBLIC) as records:
        application = web.Application()
        application.add_routes(RecordsDesk(records, clock, "san-mateo").routes())
        runner = web.AppRunner(application)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        config = tmp_path / "tambo.toml"
        config.write_text(
            f'[box]\nname = "san-mateo"\ndata = "{tmp_path}"\n[admin]\nlisten = "127.0.0.1:{runner.addresses[0][1]}"\n'
        )
        yield Box(records, config)
        await runner.cleanup()


async def test_the_terminal_shows_how_records_stand_and_nothing_of_a_patient(box: Box) -> None:
    record = await box.a_case()
    said = [await box.says("stat"), await box.says("list"), await box.says("audit", record), await box.says("verify")]
    assert "asked 1" in said[0]
    assert record in said[1]
    assert "write:photo" in said[2]
    assert "Not as written: 0" in said[3]
    assert MARK not in "".join(said)
    assert json.loads(await box.says("stat", "--json"))["stages"]["asked"] == 1


async def test_what_was_handed_over_leaves_sealed_and_opens_with_the_secret(box: Box, tmp_path: Path) -> None:
    record = await box.a_case()
    await box.records.hand_over(record, by=NURSE)
    assert await box.records.due() is not None
    await box.records.settle(record, delivered())
    taken, folder, secret = tmp_path / "taken.zip", tmp_path / "opened", tmp_path / "secret"
    assert "sealed" in await box.says("export", record, str(taken))
    assert not found_in_clear(tmp_path, MARK.encode())
    folder.mkdir()
    secret.write_text(SECRET)
    done = await asyncio.to_thread(
        CliRunner().invoke, app, ["clinic", "unseal", str(taken), str(folder), "--secret-file", str(secret)]
    )
    assert done.exit_code == 0, done.output
    assert (folder / PHOTO_SHA256).read_bytes() == PHOTO
    told = json.loads((folder / "entries.json").read_text())
    assert [each["kind"] for each in told["entries"]] == ["patient", "photo", "request"]
    assert "export" in await box.says("audit", record)


async def test_what_was_not_handed_over_leaves_as_a_bundle(box: Box, tmp_path: Path) -> None:
    pytest.importorskip("gateway.clinic.fhir.bundle")
    record = await box.a_case()
    assert "not sealed" in await box.says("export", record, str(tmp_path / "record.json"))
    assert json.loads((tmp_path / "record.json").read_text())["resourceType"] == "Bundle"
    await box.says("export", an_id(), str(tmp_path / "none.json"), code=1)
    assert not (tmp_path / "none.json").exists()


def test_keygen_makes_a_pair(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["clinic", "keygen", str(tmp_path / "secret")])
    assert len(done.output.strip()) == 43
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600
