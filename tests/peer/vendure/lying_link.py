"""A link that lies: calls are cut before and after they took effect, doubled, late, halved, or answered with 500."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random

import aiohttp
from aiohttp import web


class Lie(StrEnum):
    """What becomes of one call."""

    NONE = "none"
    CUT_BEFORE = "cut before"
    CUT_AFTER = "cut after"
    CUT_INSIDE = "cut inside the answer"
    DOUBLED = "doubled"  # one after the other; the second answer comes back
    TWINS = "doubled at once"
    SLOW = "slow"
    LATE = "cut, and taken later"
    STORED_500 = "taken, and answered with 500"


LIES = tuple(lie for lie in Lie if lie is not Lie.NONE)


@dataclass
class LyingLink:
    """An HTTP proxy before the shop; `next_lie` decides about each call."""

    shop_port: int
    next_lie: Callable[[], Lie] = lambda: Lie.NONE
    port: int = 0
    told: Counter[Lie] = field(default_factory=Counter)
    under_way: int = 0  # late calls

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        lie = self.next_lie()
        self.told[lie] += 1
        if lie is Lie.LATE:
            self.under_way += 1
            asyncio.get_running_loop().call_later(0.02, self._late.put_nowait, (request, body))
        if lie in (Lie.CUT_BEFORE, Lie.LATE):
            return self._cut(request)
        if lie is Lie.TWINS:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._forward(request, body))
                answer = both.create_task(self._forward(request, body))
            return answer.result()
        if lie is Lie.DOUBLED:
            await self._forward(request, body)
        if lie is Lie.SLOW:
            await asyncio.sleep(0.02)
        answered = await self._forward(request, body)
        if lie is Lie.STORED_500:
            return web.Response(status=500)
        if lie is Lie.CUT_AFTER:
            return self._cut(request)
        if lie is Lie.CUT_INSIDE:
            return await self._half(request, answered)
        return answered

    async def _half(self, request: web.Request, answered: web.Response) -> web.StreamResponse:
        whole = bytes(answered.body or b"")  # type: ignore[arg-type]
        half = web.StreamResponse(headers={"Content-Length": str(len(whole))})
        await half.prepare(request)
        await half.write(whole[: len(whole) // 2])
        self._cut(request)
        return half

    def _cut(self, request: web.Request) -> web.Response:
        if isinstance(request.transport, asyncio.Transport):
            request.transport.abort()
        return web.Response()

    async def _forward(self, request: web.Request, body: bytes) -> web.Response:
        fields = {
            name: value
            for name, value in request.headers.items()
            if name.lower() not in ("host", "content-length", "accept-encoding")
        }
        url = f"http://127.0.0.1:{self.shop_port}{request.rel_url}"
        async with self._session.request(request.method, url, data=body, headers=fields) as answer:
            kept = {name: answer.headers[name] for name in ("vendure-auth-token", "Date") if name in answer.headers}
            return web.Response(
                status=answer.status, body=await answer.read(), content_type=answer.content_type, headers=kept
            )

    async def _take_late_ones(self) -> None:
        while True:
            request, body = await self._late.get()
            try:
                await self._forward(request, body)
            finally:
                self.under_way -= 1

    @asynccontextmanager
    async def running(self) -> AsyncIterator["LyingLink"]:
        self._late: asyncio.Queue[tuple[web.Request, bytes]] = asyncio.Queue()
        app = web.Application(client_max_size=2_000_000)
        app.router.add_route("*", "/{path:.*}", self.handle)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.port = runner.addresses[0][1]
        async with aiohttp.ClientSession() as self._session, asyncio.TaskGroup() as tasks:
            late = tasks.create_task(self._take_late_ones())
            yield self
            late.cancel()
            await runner.cleanup()


def now_and_then(random: Random, share: float) -> Callable[[], Lie]:
    """Return what lies about this share of the calls."""
    return lambda: random.choice(LIES) if random.random() < share else Lie.NONE


def once(lie: Lie, call: int) -> Callable[[], Lie]:
    """Return what lies about one call, counted from 0."""
    calls = iter(range(1_000_000))
    return lambda: lie if next(calls) == call else Lie.NONE
