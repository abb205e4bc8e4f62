"""The account is handed out as files that verify, for the dates that were asked for."""

import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from gateway.backhaul.account.account import Account
from gateway.backhaul.account.formats import read
from gateway.backhaul.account.radius import Heard, RadiusStatistics
from gateway.backhaul.account.record import check
from gateway.backhaul.sharing.classes import TrafficClass
from gateway.errors import NoCapacity
from gateway.listener import Listener
from gateway.portal.admin import admin_application
from gateway.portal.apology import render_error
from gateway.portal.usage_desk import UsageDesk
from gateway.units import parse_address
from tests.clocks import HandClock
from tests.unit.portal.test_admin import FakeBox


@dataclass
class Desk:
    """A technician's listener with the account of two hours."""

    account: Account
    base: str
    session: aiohttp.ClientSession

    async def get(self, path: str) -> tuple[int, str, str]:
        async with self.session.get(f"{self.base}{path}", headers={"Accept-Language": "en"}) as answer:
            return answer.status, answer.headers["Content-Type"], await answer.text()


@pytest.fixture
async def desk(tmp_path: Path, clock: HandClock) -> AsyncIterator[Desk]:
    numbers = itertools.count()
    account = Account(tmp_path, clock, box="b", token=lambda: f"token-{next(numbers)}")
    await account.start()
    for _ in range(8):
        account.count("coop", TrafficClass.WEB, down_bytes=100, device="10.9.8.7")
        clock.pass_s(900)
        await account.beat()
    radius = RadiusStatistics(Heard.SILENT, waiting=3)
    routes = UsageDesk(account, lambda: radius).routes()
    application = admin_application(FakeBox(), {"127.0.0.1"}, routes)
    listener = Listener("admin", parse_address("127.0.0.1:0"), application, render_error=render_error)
    await listener.start()
    async with aiohttp.ClientSession() as session:
        yield Desk(account, f"http://{listener.address}", session)
    await listener.stop()
    await account.stop()


@pytest.mark.parametrize(("path", "kind"), [("/usage.csv", "text/csv"), ("/usage.json", "application/x-ndjson")])
async def test_a_file_holds_every_record_and_verifies(desk: Desk, path: str, kind: str) -> None:
    status, content_type, text = await desk.get(path)
    checked = check(read(text.splitlines(keepends=True)))
    assert (status, content_type) == (200, f"{kind}; charset=utf-8")
    assert (checked.records, checked.fault) == (8, None)
    assert "10.9.8.7" not in text


async def test_a_file_of_some_hours_holds_theirs(desk: Desk) -> None:
    _, _, text = await desk.get("/usage.json?from=2027-01-15T08:15:00Z&to=2027-01-15T09:00:00Z")
    checked = check(read(text.splitlines(keepends=True)))
    assert (checked.records, checked.fault) == (3, None)
    assert checked.first is not None
    assert checked.first.sequence == 2


async def test_a_time_without_records_is_an_empty_file(desk: Desk) -> None:
    status, _, text = await desk.get("/usage.csv?from=2030-01-01")
    assert status == 200
    assert text.startswith("sequence,")
    assert text.count("\n") == 1


@pytest.mark.parametrize("date", ["gestern", "2027-13-01", "9" * 100, "0001-01-01T00:00:00+23:59"])
async def test_what_is_no_date_is_refused_with_a_sentence(desk: Desk, date: str) -> None:
    status, _, text = await desk.get(f"/usage.csv?from={date.replace('+', '%2B')}")
    if date.startswith("0001"):
        assert status in {200, 400}
        return
    assert status == 400
    assert "not a date" in text
    assert date not in text


async def test_a_ledger_that_cannot_be_read_is_said(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails(*_: object) -> None:
        raise NoCapacity

    monkeypatch.setattr(desk.account, "ask", fails)
    assert (await desk.get("/usage.csv"))[0] == 503


async def test_how_the_account_and_the_radius_server_are_is_said(desk: Desk) -> None:
    status, _, text = await desk.get("/usage/stat")
    assert status == 200
    assert "does not answer" in text
    assert '"sequence": 8' in text
