"""The link's page has every figure as it comes, and tells what is new to few, only while they look."""

import asyncio
import doctest
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from gateway.backhaul.account.history_rings import CELLS, Span
from gateway.backhaul.sensing.figures import Estimate, LinkFigures, WayFigures
from gateway.backhaul.sensing.state import LinkState
from gateway.backhaul.sharing.classes import TrafficClass
from gateway.listener import Limits, Listener
from gateway.portal import link_desk, link_shown
from gateway.portal.admin import admin_application
from gateway.portal.apology import render_error
from gateway.portal.view import WayOut
from gateway.resources import templates
from gateway.units import Address
from tests.unit.portal.link_watch import FakeWatch, WatchedBox
from tests.waiting import wait_until

ENGLISH = {"Accept-Language": "en"}
NO_SECONDS = (b"-1", b"1e9", b"true", b'"60"', b"NaN", b"null")
SPANS = [each.value for each in Span]


@pytest.fixture
def box() -> WatchedBox:
    return WatchedBox()


@pytest.fixture
def watch(box: WatchedBox) -> FakeWatch:
    assert box.watching is not None
    return box.watching


@pytest.fixture
async def listener(box: WatchedBox, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Listener]:
    monkeypatch.setattr(link_desk.LinkDesk.__init__, "__kwdefaults__", {"watchers_max": 2, "beat_s": 0.01})
    made = Listener("admin", Address("127.0.0.1", 0), admin_application(box, {"127.0.0.1"}), render_error, Limits())
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
def base(listener: Listener) -> str:
    return f"http://{listener.address}"


async def got(url: str, **headers: str) -> tuple[int, str]:
    async with aiohttp.ClientSession(headers=ENGLISH | headers) as session, session.get(url) as answer:
        return answer.status, await answer.text()


class Stream:
    """What a browser hears."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self.answer = answer
        self.last_id = ""

    async def event(self) -> dict[str, Any]:
        """Return the next event."""
        data = None
        async with asyncio.timeout(10):
            while True:
                line = (await self.answer.content.readline()).decode()
                if not line:
                    raise EOFError
                name, _, value = line.rstrip("\n").partition(": ")
                if name == "id":
                    self.last_id = value
                elif name == "data":
                    data = json.loads(value)
                elif not line.strip() and data is not None:
                    assert isinstance(data, dict)
                    return data


@asynccontextmanager
async def listening(base: str, **headers: str) -> AsyncIterator[Stream]:
    async with (
        aiohttp.ClientSession(headers=ENGLISH | headers) as session,
        session.get(f"{base}/link/events") as answer,
    ):
        assert answer.status == 200
        assert answer.content_type == "text/event-stream"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        yield Stream(answer)


async def test_the_page_has_every_figure_without_a_script(base: str, watch: FakeWatch) -> None:
    for _ in range(5):
        watch.look()
    status, page = await got(f"{base}/link")
    assert status == 200
    figures = dict(re.findall(r'data-fig="([^"]+)">([^<]*)<', page))
    assert {name: text.replace("\xa0", " ") for name, text in figures.items()} | {
        "headline": "The link works",
        "capacity.down": "4 Mbit/s",
        "capacity.down.sure": "measured",
        "capacity.up.sure": "estimated",
        "queueing.down": "12 ms",
        "queueing.up": "200 ms",
        "base.up": "40 ms",
        "loss.down": "1.25 %",
        "use.web.down": "800 kbit/s",
        "use.realtime.up": "400 kbit/s",
        "use.down": "1.2 Mbit/s",
        "use.most": "Most of it: Pages.",
        "budget": "A consultation would get 300 kbit/s.",
        "allowance.left": "12 GB of 40 GB",
        "saved.size": "3.2 GB",
        "span.congested.up": "3 seconds",
        "span.congested.down": "0",
    } == {name: text.replace("\xa0", " ") for name, text in figures.items()}
    for text in ("Posta médica", "5.5\xa0GB", "PEN", "At this pace it ends on"):
        assert text in page
    assert "<script>" not in page
    assert "style=" not in page
    assert "onclick" not in page


async def test_the_page_is_within_its_budget(base: str, watch: FakeWatch) -> None:
    watch.live(600)
    stated = re.match(r"\{# Budget: (\d+) bytes", (templates() / "link.html").read_text())
    assert stated
    async with (
        aiohttp.ClientSession(auto_decompress=False) as session,
        session.get(f"{base}/link", headers={"Accept-Encoding": "br"}) as answer,
    ):
        assert answer.headers["Content-Encoding"] == "br"
        assert len(await answer.read()) + sum(len(a) + len(b) + 4 for a, b in answer.raw_headers) <= int(stated[1])


async def test_a_link_that_nobody_watches_still_has_its_page(base: str, box: WatchedBox) -> None:
    box.watching = None
    status, page = await got(f"{base}/link")
    assert (status, "Nothing is measured" in page) == (200, True)
    for path in ("/link/history.json", "/link/events"):
        assert (await got(base + path))[0] == 404


async def test_the_page_tells_of_each_way_its_modem_and_what_cannot_be_done(base: str, watch: FakeWatch) -> None:
    watch.links.append(WayOut("satelite", "sat0", False, True, LinkState.DOWN, "silence"))
    _, page = await got(f"{base}/link")
    figures = {name: text.replace("\xa0", " ") for name, text in re.findall(r'data-fig="([^"]+)">([^<]*)<', page)}
    assert figures["way.0.state"] == "works, in use"
    assert figures["way.0.used"] == "5 GB"
    assert figures["way.0.modem"].startswith("4G, signal: fair, RSRP -97 dBm, RSRQ -11 dB, SINR 12.5 dB. ")
    assert "roaming" in figures["way.0.modem"]
    assert (figures["way.1.state"], figures["way.1.used"]) == ("carries nothing, its month&#39;s data is used up", "–")
    assert "The table for marks is missing." in page
    _, status = await got(f"{base}/status.json")
    link = json.loads(status)["link"]
    assert link["cannot"] == ["The table for marks is missing."]
    assert [each["name"] for each in link["ways"]] == ["", "satelite"]
    assert link["ways"][0]["modem"]["rsrp_dbm"] == -97


async def test_without_a_modem_the_page_says_that_this_is_normal(base: str, watch: FakeWatch) -> None:
    watch.links = [WayOut("", "eth0", True, False, LinkState.UP, "start")]
    _, page = await got(f"{base}/link")
    assert "No modem is seen by this machine." in page


async def test_what_the_settings_say_is_not_called_measured(base: str, watch: FakeWatch) -> None:
    watch.figured = LinkFigures(WayFigures(Estimate(2e6, 1.0, 0.0, is_told=True)))
    _, page = await got(f"{base}/link")
    assert dict(re.findall(r'data-fig="([^"]+)">([^<]*)<', page))["capacity.down.sure"] == "by the settings"


async def test_what_is_not_known_is_a_dash_and_what_is_old_says_so(base: str, watch: FakeWatch) -> None:
    watch.figured = LinkFigures(WayFigures(Estimate(2e6, 0.1, 600.0)))
    watch.allowed, watch.saving = None, None
    _, page = await got(f"{base}/link")
    figures = dict(re.findall(r'data-fig="([^"]+)">([^<]*)<', page))
    assert figures["capacity.down.sure"] == "a guess, 10 minutes ago"
    assert (figures["capacity.up"], figures["queueing.down"], figures["loss.up"]) == ("–", "–", "–")
    assert figures["use.most"] == "Nobody uses it now."
    assert "No allowance is set." in page


@pytest.mark.parametrize("span", SPANS)
async def test_a_span_is_told_as_rows_in_the_units_of_the_page(base: str, watch: FakeWatch, span: str) -> None:
    watch.look(0)
    for _ in range(9):
        watch.look(1_000)
    watch.look(0, LinkState.DOWN)
    status, text = await got(f"{base}/link/history.json?span={span}")
    told = json.loads(text)
    assert status == 200
    assert (told["span"], told["count"]) == (span, CELLS[Span(span)])
    assert told["classes"] == [each.value for each in TrafficClass]
    rows = told["rows"]
    assert {len(row) for row in rows} == {19}
    assert all(told["last"] - told["count"] < row[0] <= told["last"] for row in rows)
    web_bytes = sum(row[5] * (row[1] or told["cell_s"]) / 8 for row in rows)
    assert abs(web_bytes - 9_000) <= (0 if span != "hour" else 1_000) + 50
    assert rows[-1][11:13] == [4_000_000, 800_000]
    assert abs(told["ended_s"] - watch.clock.wall_s()) <= told["cell_s"]


async def test_a_whole_months_rows_are_small_on_the_wire(base: str, watch: FakeWatch) -> None:
    watch.live(7_200)
    async with (
        aiohttp.ClientSession(auto_decompress=False) as session,
        session.get(f"{base}/link/history.json?span=hour", headers={"Accept-Encoding": "br"}) as answer,
    ):
        assert len(await answer.read()) < 60_000
    assert len(json.loads((await got(f"{base}/link/history.json?span=hour"))[1])["rows"]) == CELLS[Span.HOUR]


@pytest.mark.parametrize("span", ["year", "", "HOUR"])
async def test_a_span_that_is_none_is_refused(base: str, span: str) -> None:
    assert (await got(f"{base}/link?span={span}"))[0] == 400
    assert (await got(f"{base}/link/history.json?span={span}"))[0] == 400


async def test_an_event_tells_what_is_new_and_nothing_twice(base: str, watch: FakeWatch, box: WatchedBox) -> None:
    watch.live(10)
    async with listening(base) as stream:
        first = await stream.event()
        assert (first["state"], first["paused_s"], first["rows"]) == ("up", 0, [])
        assert first["words"]["capacity.down"].endswith("Mbit/s")
        assert await stream.event() == {"state": "up", "paused_s": 0, "words": {}, "rows": []}
        known = int(stream.last_id)
        for _ in range(6):
            watch.look(50_000)
        box.state = LinkState.DOWN
        rows: list[list[float]] = []
        words: dict[str, str] = {}
        while len(rows) < 3:
            event = await stream.event()
            rows += event["rows"]
            words |= event["words"]
        assert [row[0] for row in rows] == [known + 1, known + 2, known + 3]
        assert words["use.web.down"] == "400\xa0kbit/s"
        assert words["headline"] == "The link is down"


async def test_a_browser_that_comes_back_gets_what_it_missed(base: str, watch: FakeWatch) -> None:
    watch.live(20)
    async with listening(base) as stream:
        await stream.event()
        last_id = stream.last_id
    watch.live(40)
    async with listening(base, **{"Last-Event-ID": last_id}) as stream:
        missed = (await stream.event())["rows"]
        assert [row[0] for row in missed] == list(range(int(last_id) + 1, int(stream.last_id) + 1))
        assert len(missed) == 20


@pytest.mark.parametrize("nonsense", ["-5", "9" * 400, "x", "٣", ""])
async def test_an_id_that_is_none_asks_for_nothing(base: str, watch: FakeWatch, nonsense: str) -> None:
    watch.live(20)
    async with listening(base, **{"Last-Event-ID": nonsense}) as stream:
        assert (await stream.event())["rows"] == []


async def test_watchers_are_few_and_one_that_goes_makes_room(base: str, listener: Listener) -> None:
    async with listening(base) as first, listening(base) as second:
        await first.event()
        await second.event()
        status, text = await got(f"{base}/link/events")
        assert (status, "Too many" in text) == (503, True)

    async def again() -> bool:
        async with aiohttp.ClientSession() as session, session.get(f"{base}/link/events") as answer:
            return answer.status == 200

    async with asyncio.timeout(10):
        while not await again():
            await asyncio.sleep(0.02)
    await wait_until(lambda: listener.connections() == 0)


async def test_a_stop_ends_every_stream_at_once(base: str, listener: Listener) -> None:
    async with listening(base) as stream:
        await stream.event()
        began = asyncio.get_running_loop().time()
        await listener.stop()
        async with asyncio.timeout(10):
            assert b"data" not in (await stream.answer.content.read()).splitlines()[-1:]
        assert asyncio.get_running_loop().time() - began < 3


async def test_only_a_get_opens_a_stream(base: str) -> None:
    async with aiohttp.ClientSession() as session, session.head(f"{base}/link/events") as answer:
        assert answer.status == 405


async def test_bulk_rests_by_order_and_goes_on_by_order(base: str, watch: FakeWatch) -> None:
    async with aiohttp.ClientSession() as session:
        async with session.post(f"{base}/link/pause", json={"seconds": 3_600}) as answer:
            assert (answer.status, await answer.json()) == (200, {"paused_s": 3_600})
        async with session.get(f"{base}/link", headers=ENGLISH) as answer:
            assert "Background rests for:" in await answer.text()
        async with session.post(f"{base}/link/pause", json={"seconds": 0}) as answer:
            assert (answer.status, await answer.json()) == (200, {"paused_s": 0})
    assert watch.told == [3_600, 0]


@pytest.mark.parametrize(
    "order",
    [
        b"[]",
        b"{}",
        b"nonsense",
        *(b'{"seconds": %s}' % each for each in (b"-1", b"1e9", b"true", b'"60"', b"NaN", b"null")),
    ],
)
async def test_an_order_that_is_none_is_refused(base: str, watch: FakeWatch, order: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    async with aiohttp.ClientSession() as session, session.post(f"{base}/link/pause", data=order, headers=headers) as a:
        assert a.status == 400
    assert watch.told == []


async def test_a_foreign_page_rests_nothing(base: str, watch: FakeWatch) -> None:
    body, json_type = b'{"seconds": 60}', {"Content-Type": "application/json"}
    for headers in ({"Content-Type": "text/plain"}, json_type | {"Origin": "http://evil.example"}):
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{base}/link/pause", data=body, headers=headers) as answer,
        ):
            assert answer.status in {400, 403}
    assert watch.told == []


async def test_metrics_tell_each_figure_with_its_confidence_and_age(base: str, watch: FakeWatch) -> None:
    for _ in range(3):
        watch.look()
    watch.look(state=LinkState.DOWN)
    watch.pause_bulk(60)
    _, text = await got(f"{base}/metrics")
    for line in (
        'tambo_link_capacity_bytes_per_second{way="down"} 500000.0',
        'tambo_link_base_delay_seconds{way="up"} 0.04',
        'tambo_link_queueing_seconds{way="down"} 0.0123',
        'tambo_link_loss_ratio{way="down"} 0.0125',
        'tambo_link_confidence_ratio{figure="capacity",way="up"} 0.4',
        'tambo_link_figure_age_seconds{figure="queueing",way="down"} 1.0',
        'tambo_link_call_budget_bytes_per_second{way="up"} 37500.0',
        'tambo_link_congested_seconds_total{way="up"} 3.0',
        'tambo_link_congested_seconds_total{way="down"} 0.0',
        'tambo_link_state_seconds_total{state="down"} 1.0',
        'tambo_link_state_seconds_total{state="up"} 2.0',
        "tambo_link_probe_bytes_total 12345.0",
        "tambo_link_bulk_paused_seconds 60.0",
        'tambo_link_moved_bytes_total{class="web",way="down"} 5000.0',
    ):
        assert line in text.splitlines()
    assert all(re.match(r"#|(tambo|process)_[a-z_]+(\{[^}]*\})? ", line) for line in text.splitlines())


async def test_a_figure_that_nobody_knows_has_no_sample(base: str, watch: FakeWatch) -> None:
    watch.figured = LinkFigures()
    _, text = await got(f"{base}/metrics")
    assert 'tambo_link_capacity_bytes_per_second{way="down"} 1e+06' in text, "what was told holds until it is measured"
    for name in ("base_delay", "queueing", "loss", "confidence", "figure_age"):
        assert f"tambo_link_{name}" not in text


async def test_status_has_the_same_in_the_boxs_own_units(base: str, watch: FakeWatch) -> None:
    watch.look()
    link = json.loads((await got(f"{base}/status.json"))[1])["link"]
    assert link["figures"]["down"]["queueing_s"] == {"value": 0.0123, "confidence": 0.9, "age_s": 1.0, "is_told": False}
    assert (link["call_budget"], link["calls"]) == ({"down_bps": 800_000, "up_bps": 300_000}, 0)
    assert (link["probes_bytes"], link["bulk_paused_s"]) == (12_345, 0.0)
    assert link["allowance"]["left_bytes"] == 12_000_000_000
    assert set(link["since_start"]) == {"seen_s", "down_s", "degraded_s", "congested_down_s", "congested_up_s"}


def test_every_class_has_its_words() -> None:
    assert list(link_shown.CLASS_WORDS) == list(TrafficClass)


def test_examples_hold() -> None:
    result = doctest.testmod(link_shown)
    assert result.attempted
    assert not result.failed
