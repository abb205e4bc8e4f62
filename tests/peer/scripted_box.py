"""A box that says what a test wants said: the real page with its scripts, a socket, a record's files, and a PIN.

The other end of the media is a second connection in the page itself, with a canvas of another width for each pair.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

from aiohttp import WSMsgType, web
from playwright.async_api import Browser, BrowserContext, Page

from gateway.portal.environment import environment
from gateway.portal.guards import guard
from gateway.portal.statics import Statics
from tests.waiting import wait_until

PIN = "4711"
WIDTHS = (320, 240, 160)  # of the pictures of each pair
ANSWER = """async ({sdp, widths}) => {
    if (window.__far) window.__far.close();
    const far = window.__far = new RTCPeerConnection();
    await far.setRemoteDescription({type: 'offer', sdp});
    for (const [at, each] of far.getTransceivers().entries()) {
        const isFirst = at < 2, isSound = at % 2 === 0;
        each.direction = isFirst ? 'sendrecv' : 'sendonly';
        let track;
        if (isSound) {
            const context = new AudioContext(), out = context.createMediaStreamDestination();
            const tone = context.createOscillator();
            tone.connect(out);
            tone.start();
            [track] = out.stream.getTracks();
        } else {
            const canvas = document.createElement('canvas'), paint = canvas.getContext('2d');
            [canvas.width, canvas.height] = [widths[(at - 1) / 2], 120];
            setInterval(() => {
                paint.fillStyle = `hsl(${Date.now() / 20 % 360}deg 60% 50%)`;
                paint.fillRect(0, 0, 320, 120);
            }, 50);
            [track] = canvas.captureStream(20).getTracks();
        }
        await each.sender.replaceTrack(track);
    }
    await far.setLocalDescription(await far.createAnswer());
    if (far.iceGatheringState !== 'complete')
        await new Promise((done) => {
            far.onicegatheringstatechange = () => far.iceGatheringState === 'complete' && done();
        });
    return far.localDescription.sdp;
}"""


class ScriptedBox:
    """What it heard, and what it shall do."""

    def __init__(self, **values: object) -> None:
        self.values: dict[str, object] = {
            "role": "doctor", "at_door": True, "slots": 3, "files_url": "/consulta/t/archivos", **values
        }  # fmt: skip
        self.base = ""
        self.page: Page | None = None
        self.heard: list[dict[str, Any]] = []
        self.sockets: list[web.WebSocketResponse] = []
        self.dialled = 0
        self.is_away = False  # the socket is refused
        self.has_media = True  # a page that comes back may go on
        self.keeps = True  # an entry is kept at once
        self.told: dict[str, object] = {}  # what was last changed of the state: whoever comes back hears it again
        self.files: dict[str, bytearray] = {}
        self.pieces: list[tuple[int, int]] = []  # offset and bytes of each piece that came
        self.cuts = 0  # pieces that break off in their middle
        self.shown: list[str] = []
        self._statics = Statics()

    def said(self, kind: str) -> list[dict[str, Any]]:
        """Return the messages of a kind that the page has sent."""
        return [each for each in self.heard if each["type"] == kind]

    async def say(self, kind: str, /, **fields: object) -> None:
        """Send a message to the page."""
        await self.sockets[-1].send_json({"type": kind, **fields})

    async def tell_state(self, **changed: object) -> None:
        """Tell the page where a call of three stands, but for what is `changed`."""
        state: dict[str, object] = {
            "others": True,
            "heard": True,
            "plan": {"send": True, "picture": True, "video_bps": 200_000, "still_s": None},
            "link": {"state": "up", "down_bps": 300_000, "up_bps": 300_000},
            "slots": [slot("nurse"), slot("interpreter"), slot(None)],
            "people": [person(who) for who in ("nurse", "interpreter", "doctor")],
            "focus": "nurse",
            "pinned": None,
            "quality": {"word": "good", "cause": "none", "message": "All is well."},
        }
        self.told = changed
        await self.say("state", **(state | changed))

    async def open(self) -> None:
        await asyncio.to_thread(self._statics.load)

    def routes(self) -> list[web.RouteDef]:
        file = "/consulta/t/archivos/{sha256}"
        return [
            web.get("/consulta/t", self._page),
            web.get("/consulta/t/ws", self._socket),
            web.head(file, self._tell),
            web.put(file, self._take),
            web.get(file, self._show, allow_head=False),
            web.post("/abrir", self._unlock),
            *self._statics.routes(),
        ]

    async def _page(self, _: web.Request) -> web.Response:
        visit = SimpleNamespace(language="en", path="/consulta/t", account=None, trustworthy=True)
        text = await asyncio.to_thread(self._rendered, visit)
        answer = web.Response(text=text, content_type="text/html")
        guard(answer.headers, is_call=True)
        return answer

    def _rendered(self, visit: object) -> str:
        template = environment("en").get_template("call.html")
        shared = {"visit": visit, "asset": self._statics.url, "languages": [], "form_token": "f", "token": "t"}
        return template.render(**shared, **self.values)

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        self.dialled += 1
        if self.is_away:
            raise web.HTTPServiceUnavailable
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.sockets.append(socket)
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                said = message.json()
                self.heard.append(said)
                await self._answer(said)
        return socket

    async def _answer(self, said: Mapping[str, Any]) -> None:
        if said["type"] == "offer" and self.page is not None:
            sdp = await self.page.evaluate(ANSWER, {"sdp": said["sdp"], "widths": WIDTHS})
            await self.say("answer", sdp=sdp)
        elif said["type"] == "resume" and self.has_media:
            await self.tell_state(**self.told)
        elif said["type"] == "resume":
            await self.say("again")
        elif said["type"] == "entry" and self.keeps:
            await self.say("kept", id=said["id"], sequence=len(self.said("entry")))

    async def _tell(self, request: web.Request) -> web.Response:
        kept = self.files.get(request.match_info["sha256"], b"")
        return web.Response(headers={"Upload-Offset": str(len(kept))})

    async def _take(self, request: web.Request) -> web.Response:
        kept = self.files.setdefault(request.match_info["sha256"], bytearray())
        offset, whole = int(request.headers["Upload-Offset"]), int(request.headers["Upload-Length"])
        if offset != len(kept):
            return web.Response(status=409, headers={"Upload-Offset": str(len(kept))})
        body = await request.read()
        self.pieces.append((offset, len(body)))
        if offset and self.cuts:
            self.cuts -= 1
            kept += body[:10_000]
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        kept += body
        return web.Response(status=201 if len(kept) == whole else 204, headers={"Upload-Offset": str(len(kept))})

    async def _show(self, request: web.Request) -> web.Response:
        name = request.match_info["sha256"]
        content = bytes(self.files.get(name, b""))
        if hashlib.sha256(content).hexdigest() != name:
            raise web.HTTPNotFound
        self.shown.append(request.query.get("lado", ""))
        return web.Response(body=content, content_type="image/jpeg", headers={"Cache-Control": "no-store"})

    async def _unlock(self, request: web.Request) -> web.Response:
        return web.Response(status=204 if (await request.post()).get("pin") == PIN else 403)


def slot(who: str | None, *, picture: bool = True) -> dict[str, object]:
    """A place on the page's stage."""
    return {"who": who, "picture": picture and who is not None}


def person(who: str, **changed: bool) -> dict[str, object]:
    """Somebody in the room."""
    is_there = {"heard": True, "speaks": False, "voice": True, "picture": True, "share": False, "far": who != "nurse"}
    return {"who": who, **is_there, **changed}


@asynccontextmanager
async def scripted(browser: Browser, init: str = "", /, **values: object) -> AsyncIterator[tuple[ScriptedBox, Page]]:
    """A box, and its page as it was just opened."""
    box = ScriptedBox(**values)
    await box.open()
    app = web.Application()
    app.add_routes(box.routes())
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    box.base = f"http://localhost:{runner.addresses[0][1]}"
    context: BrowserContext = await browser.new_context(permissions=["camera", "microphone"], locale="en-GB")
    box.page = await context.new_page()
    if init:
        await box.page.add_init_script(init)
    await box.page.goto(f"{box.base}/consulta/t")
    yield box, box.page
    await context.close()
    await runner.cleanup()


async def joined(box: ScriptedBox, page: Page) -> None:
    """Join, and have the call connected."""
    await page.locator("[data-action=join]").click()
    await page.wait_for_function("() => window.__tamboPeer && window.__tamboPeer.connectionState === 'connected'")
    await box.tell_state()
    await page.wait_for_selector("[data-connection=connected]")
    await wait_until(lambda: bool(box.said("entries")) or not box.values["files_url"])
