"""What stands beside a call: saturating downloads, and a queue of orders and photos that wants to go out.

With the box, downloads go by its proxy, a device each, and a merchant hands in orders and photos. Where no box stands,
the same downloads cross the link as they are, and the photos are sent one after another.
"""

import json
import sqlite3
import sys
import time
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path

from tests.bench.call.contenders import Call, Contender, Tambo
from tests.bench.call.merchant import ORDERS, PHOTOS
from tests.bench.call.place import BOX_NEAR, FAR, Place
from tests.bench.link import near_box
from tests.bench.link.running import Running, running
from tests.bench.link.scenarios import devices

DOWNLOADS = 8
OFFERED = f"{DOWNLOADS} downloads, {ORDERS} orders and {PHOTOS} photos"
MARKET_PORT = 8081
START_S = 30.0
_MERCHANT = "ana"
_FOR_S = 3_600.0  # longer than any run: the block's end stops them


def loaded(contender: Contender) -> Contender:
    """Return a contender that can take the orders: a box has to know where to."""
    if not isinstance(contender, Tambo):
        return contender
    market = {"market.marketplace": f'"http://{FAR}:{MARKET_PORT}/orders"'}
    return replace(contender, settings={**contender.settings, **market})


@dataclass
class Load:
    """The rest of the village, in one run."""

    stack: AsyncExitStack | None = None
    folder: Path | None = None
    _has_box: bool = False

    async def prepare(self, stack: AsyncExitStack, place: Place, contender: Contender) -> None:
        """Start what the far side has: downloads without end, and a marketplace."""
        self.stack, self.folder = stack, place.folder
        self._has_box = isinstance(contender, Tambo)
        origin = ("--listen", f"{FAR}:80", "--out", place.folder / "taken.json")
        await self._up(place.link.module(place.far, "tests.bench.link.far_origin", *origin), "origin")
        if self._has_box:
            market = ("--listen", f"{FAR}:{MARKET_PORT}", "--folder", place.folder / "marketplace")
            await self._up(place.link.module(place.far, "tests.bench.orders.far_marketplace", *market), "marketplace")

    async def begin(self, place: Place, call: Call) -> None:
        """Let all of it begin."""
        del call
        has_box = self._has_box
        now_s = time.monotonic()
        found = devices(DOWNLOADS, 0 if has_box else 1)
        plan = {
            "connect": near_box.PROXY if has_box else (FAR, 80),
            "origin": FAR,
            "by_proxy": has_box,
            "devices": [
                {
                    "name": each.name,
                    "kind": each.kind,
                    "source": each.source if has_box else "",
                    "start_s": now_s + 1,
                    "stop_s": now_s + _FOR_S,
                }
                for each in found
            ],
        }
        (place.folder / "plan.json").write_text(json.dumps(plan), encoding="utf-8")
        files = ("--plan", place.folder / "plan.json", "--out", place.folder / "moved.json")
        await self._up(place.link.module(place.box, "tests.bench.link.devices", *files), "devices")
        if has_box:
            await self._hand_in(place)

    async def _hand_in(self, place: Place) -> None:
        """Let a merchant hand in orders and photos; it goes on beside the call."""
        config = str(place.folder / near_box.CONFIG)
        gateway = (sys.executable, "-m", "gateway", "account")
        await place.told(place.box, *gateway, "add", _MERCHANT, "--role", "merchant", "--config", config)
        said = await place.told(place.box, *gateway, "token", _MERCHANT, "--config", config)
        (place.folder / "merchant.token").write_text(said.split()[-1], encoding="ascii")
        where = ("--portal", f"http://{BOX_NEAR}:8080", "--token-file", place.folder / "merchant.token")
        await self._up(place.link.module(place.village, "tests.bench.call.merchant", *where), "merchant")

    async def _up(self, command: list[str], name: str) -> Running:
        assert self.stack is not None
        assert self.folder is not None
        started = await self.stack.enter_async_context(running(command, self.folder / f"{name}.log"))
        await started.first_line(START_S)
        return started

    def words(self) -> str:
        """Return how much of it arrived, and what was taken from merchants."""
        if not self._has_box or self.folder is None:
            return "–"
        market = self.folder / "marketplace"
        with closing(sqlite3.connect(market / "marketplace.sqlite3")) as opened:
            orders = opened.execute("SELECT count(*) FROM orders").fetchone()[0]
        photos = [each for each in (market / "photos").glob("*") if each.suffix != ".part"]
        return f"{orders} of {ORDERS}, {len(photos)} of {PHOTOS}"
