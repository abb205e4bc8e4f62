"""The technician's listener says how the box is, to the technician alone."""

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from gateway.backhaul.link import LinkStatus, Moved
from gateway.backhaul.sensing.state import LinkState
from gateway.backhaul.sharing.classes import TrafficClass
from gateway.backhaul.sharing.shares import Capacity
from gateway.listener import Listener
from gateway.portal.admin import admin_application
from gateway.portal.apology import render_error
from gateway.portal.figures import figures
from gateway.portal.view import LinkWatch, Part
from gateway.units import Address
from gateway.web.ahead.warm_plan import Progress
from gateway.web.ahead.warm_record import Run, State


@dataclass(frozen=True)
class Statistics:
    waiting: int = 2
    recorded: int = 7
    sent_bytes: int = 1_000
    hit_ratio: float = 0.5
    is_taking: bool = True


@dataclass
class FakeBox:
    ready: bool = True

    def parts(self) -> Sequence[Part]:
        return [Part("orders", True, "The link works"), Part("clinic", self.ready, "The box is busy.")]

    def link(self) -> LinkStatus:
        return LinkStatus(LinkState.UP, "progress", 1.0, Capacity(8_000_000, 800_000))

    def moved(self) -> Mapping[TrafficClass, Moved]:
        return {TrafficClass.WEB: Moved(5_000, 300)}

    def web(self) -> object | None:
        return None

    def market(self) -> object | None:
        return Statistics()

    def clinic(self) -> object | None:
        return None

    def warmed(self) -> Sequence[Run]:
        return [Run("salud", State.SPENT, Progress(3, 9, 20, 1, 1_200_000, 2_000_000), 1_800_000_000.0)]

    def watch(self) -> LinkWatch | None:
        return None


@pytest.fixture
def box() -> FakeBox:
    return FakeBox()


@pytest.fixture
async def base(box: FakeBox) -> AsyncIterator[str]:
    async def change(request: web.Request) -> web.StreamResponse:
        return web.json_response(await request.json())

    application = admin_application(box, {"localhost", "127.0.0.1"}, [web.post("/demo/link", change)])
    listener = Listener("admin", Address("127.0.0.1", 0), application, render_error)
    await listener.start()
    yield f"http://{listener.address}"
    await listener.stop()


async def test_alive_is_said_whatever_else_is_wrong(base: str, box: FakeBox) -> None:
    box.ready = False
    async with aiohttp.ClientSession() as session, session.get(f"{base}/healthz") as answer:
        assert (answer.status, await answer.json()) == (200, {"alive": True})


async def test_readiness_names_each_part_with_its_reason(base: str, box: FakeBox) -> None:
    async with aiohttp.ClientSession(headers={"Accept-Language": "en"}) as session:
        async with session.get(f"{base}/readyz") as answer:
            assert answer.status == 200
        box.ready = False
        async with session.get(f"{base}/readyz") as answer:
            assert answer.status == 503
            said = await answer.json()
    assert said["ready"] is False
    assert said["parts"][1] == {"name": "clinic", "ready": False, "reason": "The box is busy."}


async def test_metrics_have_their_units_and_kinds(base: str) -> None:
    async with aiohttp.ClientSession() as session, session.get(f"{base}/metrics") as answer:
        assert answer.headers["Content-Type"].startswith("text/plain")
        text = await answer.text()
    for line in (
        "tambo_link_capacity_bytes_per_second" + '{way="down"} 1e+06',
        'tambo_link_moved_bytes_total{class="web",way="down"} 5000.0',
        'tambo_link_state{state="up"} 1.0',
        "tambo_market_waiting 2.0",
        "tambo_market_recorded_total 7.0",
        "tambo_market_sent_bytes_total 1000.0",
        "tambo_market_hit_ratio 0.5",
        "tambo_tasks ",
        "process_open_fds ",
    ):
        assert line in text
    assert all(re.match(r"#|(tambo|process)_[a-z_]+(\{[^}]*\})? ", line) for line in text.splitlines())


async def test_status_is_json_and_the_page_is_for_eyes(base: str) -> None:
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{base}/status.json") as answer:
            status = await answer.json()
        async with session.get(f"{base}/") as answer:
            page = await answer.text()
            assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert status["link"]["capacity"] == {"down_bps": 8_000_000, "up_bps": 800_000}
    assert status["market"]["waiting"] == 2
    assert "Estado del tambo" in page
    assert status["warm"][0]["state"] == "spent"
    assert (status["warm"][0]["pages_done"], status["warm"][0]["moved_bytes"]) == (3, 1_200_000)
    assert "1.2\xa0MB" in page


@pytest.mark.parametrize("host", ["evil.example", "evil.example:9090", "10.0.0.1", ""])
async def test_a_foreign_host_name_is_refused(base: str, host: str) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{base}/status.json", headers={"Host": host}) as answer,
    ):
        assert answer.status == 421


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "application/json"}, 200),
        ({"Content-Type": "text/plain"}, 400),
        ({"Content-Type": "application/json", "Origin": "http://evil.example"}, 403),
        ({"Content-Type": "application/json", "Origin": "null"}, 403),
        ({"Content-Type": "application/json", "Sec-Fetch-Site": "cross-site"}, 403),
    ],
)
async def test_a_change_must_be_json_and_not_from_a_foreign_page(
    base: str, headers: dict[str, str], status: int
) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{base}/demo/link", data=b"{}", headers=headers) as answer,
    ):
        assert answer.status == status


def test_the_rooms_figures_keep_their_names() -> None:
    from gateway.clinic.room import ClinicStatistics
    from gateway.market.drain import DrainStatistics
    from gateway.market.journal.writer import JournalStatistics
    from gateway.market.room import MarketStatistics
    from gateway.web.statistics import WarmStatistics, WebStatistics

    figured: dict[str, Any] = {each.name: 1 for each in fields(WebStatistics) if each.name != "warm"}
    records = {
        "web": WebStatistics(**figured, warm=WarmStatistics()),
        "market": MarketStatistics(JournalStatistics(), DrainStatistics(), 0),
        "clinic": ClinicStatistics(*range(len(fields(ClinicStatistics)))),
    }
    told = {each.name: each.grows for room, record in records.items() for each in figures(room, record)}
    now = {name for name, grows in told.items() if not grows}
    assert now == {
        "tambo_clinic_calls",
        "tambo_clinic_consultations",
        "tambo_clinic_people",
        "tambo_clinic_sockets",
        "tambo_market_drain_failures_in_a_row",
        "tambo_web_disk_is_full",
        "tambo_web_failures_in_a_row",
        "tambo_market_journal_damaged",
        "tambo_market_journal_is_taking",
        "tambo_market_journal_put_aside",
        "tambo_market_journal_waiting",
        "tambo_web_fetches_open",
        "tambo_web_kept_arrived",
        "tambo_web_kept_given_up",
        "tambo_web_kept_personal",
        "tambo_web_kept_waiting",
        "tambo_web_memory_bytes",
        "tambo_web_stored_bytes",
        "tambo_web_stored_objects",
        "tambo_web_tunnels_open",
        "tambo_web_warm_ended_seconds",
        "tambo_web_warm_under_way",
    }
    assert {"tambo_web_hits", "tambo_web_from_link_bytes", "tambo_market_drain_accepted"} <= set(told)
