"""200 malformed requests against a whole running box: each gets a 4xx with a sentence that repeats none of it.

Framing, headers, JSON, SDP, tokens, hosts, targets; at the portal, a site, the forward proxy, the door and the
technician's listener. Afterwards the log holds no traceback and the box holds no more tasks or descriptors than before.
"""

import asyncio
import json
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import aiohttp
import pytest

from tests.village import Demo

MARK = "QZMARKQZ"  # in every request; in no answer
CASES_MIN = 200
ANSWER_S = 10.0


@dataclass(frozen=True)
class Case:
    """One request, raw, and the listener it goes to."""

    name: str
    listener: str
    data: bytes


def framing() -> Iterator[Case]:
    head = f"POST /{MARK} HTTP/1.1\r\nHost: localhost\r\n"
    bodies = {
        "length and chunked": "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "two lengths": "Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
        "plus length": "Content-Length: +4\r\n\r\nabcd",
        "negative length": "Content-Length: -4\r\n\r\n",
        "hex length": "Content-Length: 0x4\r\n\r\nabcd",
        "huge length": "Content-Length: 99999999999999999999999\r\n\r\n",
        "spaced length": "Content-Length : 4\r\n\r\nabcd",
        "list length": "Content-Length: 4, 4\r\n\r\nabcd",
        "unknown coding": f"Transfer-Encoding: {MARK}\r\n\r\n",
        "xchunked": "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "chunked twice": "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        "chunked not last": "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    }
    for listener in ("portal", "proxy"):
        for name, rest in bodies.items():
            yield Case(f"framing: {name} at {listener}", listener, (head + rest).encode())
    lines = {
        "no version": f"GET /{MARK}\r\n\r\n",
        "HTTP/9.9": f"GET /{MARK} HTTP/9.9\r\nHost: localhost\r\n\r\n",
        "lower http": f"GET /{MARK} http/1.1\r\nHost: localhost\r\n\r\n",
        "TLS": f"\x16\x03\x01{MARK}\r\n\r\n",
        "method with space": f"GE T /{MARK} HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "empty method": f" /{MARK} HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "NUL in target": f"GET /{MARK}\x00 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "three words too many": f"GET / {MARK} a HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "a line of 40 kB": f"GET /{MARK}{'a' * 40_000} HTTP/1.1\r\nHost: localhost\r\n\r\n",
    }
    for listener in ("portal", "proxy", "admin"):
        for name, text in lines.items():
            yield Case(f"line: {name} at {listener}", listener, text.encode("latin-1"))


def headers() -> Iterator[Case]:
    wrong = {
        "no colon": MARK,
        "space before colon": f"X : {MARK}",
        "NUL": f"X: {MARK}\x00",
        "bare CR": f"X: {MARK}\rY: a",
        "folded": f"X: a\r\n {MARK}",
        "empty name": f": {MARK}",
        "name with bracket": f"X({MARK}): a",
        "a field of 40 kB": f"X: {MARK}{'a' * 40_000}",
        "300 fields": "\r\n".join(f"X-{n}: {MARK}" for n in range(300)),
    }
    for listener in ("portal", "site", "proxy", "door", "admin"):
        for name, text in wrong.items():
            data = f"GET / HTTP/1.1\r\nHost: {{host}}\r\n{text}\r\n\r\n"
            yield Case(f"header: {name} at {listener}", listener, data.encode("latin-1"))


def documents() -> Iterator[Case]:
    good = {
        "id": str(uuid.UUID(int=7)),
        "currency": "PEN",
        "buyer": {"name": "A", "phone": "984123456"},
        "lines": [{"sku": "a", "name": "A", "quantity": "1", "unit": "kg", "unit_price_minor": 1}],
        "note": "",
    }
    line = good["lines"][0]  # type: ignore[index]
    wrong: dict[str, object] = {
        "an array": [MARK],
        "a string": MARK,
        "no id": {key: value for key, value in good.items() if key != "id"},
        "an id that is none": {**good, "id": MARK},
        "a currency that is none": {**good, "currency": MARK},
        "no lines": {**good, "lines": []},
        "lines that are none": {**good, "lines": MARK},
        "1000 lines": {**good, "lines": [line] * 1000},
        "a float quantity": {**good, "lines": [{**line, "quantity": 1.5}], "note": MARK},
        "a negative quantity": {**good, "lines": [{**line, "quantity": "-1"}], "note": MARK},
        "a word as quantity": {**good, "lines": [{**line, "quantity": MARK}]},
        "NaN as quantity": {**good, "lines": [{**line, "quantity": "NaN"}], "note": MARK},
        "a string as price": {**good, "lines": [{**line, "unit_price_minor": MARK}]},
        "true as price": {**good, "lines": [{**line, "unit_price_minor": True}], "note": MARK},
        "a huge price": {**good, "lines": [{**line, "unit_price_minor": 10**30}], "note": MARK},
        "an unknown key": {**good, MARK: 1},
        "a name of 10 kB": {**good, "buyer": {"name": MARK * 1250, "phone": "984123456"}},
        "a control character": {**good, "note": f"{MARK}\x07"},
        "no buyer": {**good, "buyer": None, "note": MARK},
        "a phone that is none": {**good, "buyer": {"name": "A", "phone": MARK}},
    }
    texts = {name: json.dumps(value).encode() for name, value in wrong.items()}
    texts |= {
        "no JSON": MARK.encode(),
        "half JSON": f'{{"id": "{MARK}'.encode(),
        "NaN": f'{{"id": NaN, "note": "{MARK}"}}'.encode(),
        "100,000 brackets": b"[" * 100_000,
        "not UTF-8": b'{"note": "\xff\xfe' + MARK.encode() + b'"}',
        "UTF-16": json.dumps({"note": MARK}).encode("utf-16"),
        "a lone surrogate": json.dumps({**good, "note": "\ud800" + MARK}).encode(),
        "a key twice": json.dumps(good).replace('"note": ""', f'"note": "{MARK}", "note": "b"').encode(),
        "nothing": b"",
        "a gzip that is none": MARK.encode(),
    }
    for name, body in texts.items():
        extra = "Content-Encoding: gzip\r\n" if "gzip" in name else ""
        head = (
            "POST /api/v1/orders HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
            f"Content-Type: application/json\r\n{extra}Content-Length: {len(body)}\r\n\r\n"
        )
        yield Case(f"JSON: {name}", "portal", head.encode() + body)
    for kind in ("text/plain", "multipart/form-data; boundary=x", f"application/{MARK}", ""):
        body = json.dumps(good).encode()
        head = (
            "POST /api/v1/orders HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
            f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        yield Case(f"JSON: as {kind or 'nothing'}", "portal", head.encode() + body)


def request(line: str, *fields: str, host: str | None = "{host}", body: str = "") -> bytes:
    """A request's bytes; `{host}` and `{token}` are filled in when it is sent."""
    named = [] if host is None else [f"Host: {host}"]
    return "\r\n".join([f"{line} HTTP/1.1", *named, *fields, "", body]).encode()


def tokens() -> Iterator[Case]:
    wrong = [MARK, "a" * 10_000, f"{MARK}.{MARK}.{MARK}", "Ae" * 40, "%00", "null", f"{MARK}{'=' * 40}", "..", "é" * 9]
    for token in wrong:
        for listener in ("portal", "door"):
            yield Case(f"token: {token[:12]!r} at {listener}", listener, request(f"GET /consulta/{token}"))
        bearer = request("POST /api/v1/orders", f"Authorization: Bearer {token}", "Content-Length: 2", body="{}")
        yield Case(f"bearer: {token[:12]!r}", "portal", bearer)
    for scheme in ("Basic", "Digest", MARK, "", "Bearer"):
        asked = request("GET /api/v1/orders", f"Authorization: {scheme} {MARK if scheme != 'Bearer' else ''}")
        yield Case(f"bearer: scheme {scheme!r}", "portal", asked)


def hosts() -> Iterator[Case]:
    wrong = [
        f"{MARK.lower()}.example", "169.254.169.254", "[::1]", "localhost.evil.example", "evil.example:80", "a b", "",
        "..", "localhost,evil.example", "user@localhost", "localhost/path", "xn--" + "a" * 300, "0", "[",
        "localhost:99999",
    ]  # fmt: skip
    for listener in ("portal", "admin"):
        for host in wrong:
            yield Case(f"host: {host[:20]!r} at {listener}", listener, request(f"GET /{MARK}", host=host))
        yield Case(f"host: none at {listener}", listener, request(f"GET /{MARK}", host=None))
        twice = request(f"GET /{MARK}", "Host: evil.example", host="localhost")
        yield Case(f"host: two at {listener}", listener, twice)


def targets() -> Iterator[Case]:
    inside = [
        "127.0.0.1", "localhost", "[::1]", "0.0.0.0", "0", "127.1", "2130706433", "0x7f000001", "0177.0.0.1",
        "10.0.0.1", "169.254.169.254", "192.168.0.1", "100.64.0.1", "[fd00::1]", "[::ffff:127.0.0.1]",
        "[64:ff9b::7f00:1]", "[fe80::1]",
    ]  # fmt: skip
    for host in inside:
        yield Case(f"target: http {host}", "proxy", request(f"GET http://{host}/{MARK}", host=host))
        yield Case(f"target: tunnel {host}", "proxy", request(f"CONNECT {host}:443", host=f"{host}:443"))
    forms = [
        f"GET /{MARK}", f"GET ftp://a.example/{MARK}", f"GET http:///{MARK}", f"GET http://user:pw@a.example/{MARK}",
        f"GET https://a.example/{MARK}", f"GET file:///{MARK}", "CONNECT a.example", "CONNECT a.example:0",
        "CONNECT a.example:99999", f"CONNECT http://a.example/{MARK}", "CONNECT :443", "CONNECT a.example:22",
        "CONNECT a.example:25", "OPTIONS *", f"GET http://a.example:22/{MARK}", f"TRACE http://a.example/{MARK}",
        f"GET http://[::1/{MARK}", f"GET http://a.example:x/{MARK}",
    ]  # fmt: skip
    for form in forms:
        yield Case(f"target: {form[:40]}", "proxy", request(form, host="a.example"))
    stray = (f"http://evil.example/{MARK}", "http://127.0.0.1:1/status.json", f"//{MARK}/", "*", f"/../../{MARK}")
    for target in stray:
        yield Case(f"target: {target[:30]} at portal", "portal", request(f"GET {target}", host="localhost"))
    yield Case("target: tunnel at portal", "portal", request("CONNECT a.example:443", host="a.example"))
    yield Case("target: tunnel at site", "site", request("CONNECT a.example:443"))


CASES = [*framing(), *headers(), *documents(), *tokens(), *hosts(), *targets()]

SDP = [
    "", MARK, "v=0", "v=0\r\n" * 20_000, "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n",
    f"v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF {MARK}\r\n",
    "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n",
    "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n" + "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n" * 500,
    "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=fingerprint:sha-256 00\r\n",
    f"v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=candidate:{MARK}\r\n",
]  # fmt: skip
SIGNALS: list[object] = [
    *({"type": "offer", "sdp": sdp} for sdp in SDP),
    {"type": "offer"}, {"type": "offer", "sdp": 5}, {"type": MARK}, {}, [], MARK, None, 5, {"sdp": MARK},
    {"type": None},
]  # fmt: skip


async def ask(case: Case, demo: Demo) -> bytes:
    """Send a case, return the whole answer."""
    where = {**demo.where, "token": demo.where["merchant"]["token"]}
    parts = urlsplit(where["site" if case.listener == "site" else case.listener])
    host = (parts.hostname or "").encode()
    data = case.data.replace(b"{host}", host).replace(b"{token}", where["token"].encode())
    reader, writer = await asyncio.open_connection("127.0.0.1", parts.port)
    try:
        writer.write(data)
        writer.write_eof()
        async with asyncio.timeout(ANSWER_S):
            return await reader.read()
    finally:
        writer.close()


def wrongs(case: Case, answer: bytes) -> str:
    """What is wrong with an answer; nothing, as a rule."""
    head, _, body = answer.partition(b"\r\n\r\n")
    status = re.match(rb"HTTP/1\.[01] (\d{3}) ", head)
    if not status or not 400 <= int(status[1]) < 500:
        return f"{case.name}: {head[:60]!r}"
    if MARK.encode() in answer or MARK.lower().encode() in answer.lower():
        return f"{case.name}: repeats its input"
    text = re.sub(rb"<[^>]+>", b" ", body).decode(errors="replace")
    if not re.search(r"[a-záéíóúñ]{2,} [\wáéíóúñ ,;:'’«»()\-]+[.?!]", text, re.IGNORECASE):
        return f"{case.name}: no sentence: {body[:200]!r}"
    return ""


async def held(demo: Demo) -> tuple[float, float]:
    """How many tasks and descriptors the box holds now, in its own metrics."""
    async with aiohttp.ClientSession() as session, session.get(f"{demo.where['admin']}metrics") as answer:
        text = await answer.text()
    found = [re.search(rf"^{name}(?:{{[^}}]*}})? ([\d.e+]+)$", text, re.MULTILINE) for name in HELD]
    assert all(found), text
    return tuple(float(each[1]) for each in found if each)  # type: ignore[return-value]


HELD = ("tambo_tasks", "process_open_fds")


async def settled(demo: Demo, limit: tuple[float, float]) -> tuple[float, float]:
    """What the box holds once it has let go of finished connections, or after the deadline."""
    now = await held(demo)
    try:
        async with asyncio.timeout(15):
            while now[0] > limit[0] or now[1] > limit[1]:
                await asyncio.sleep(0.05)
                now = await held(demo)
    except TimeoutError:
        pass
    return now


def test_there_are_at_least_200_cases() -> None:
    assert len(CASES) + len(SIGNALS) >= CASES_MIN
    assert len({case.name for case in CASES}) == len(CASES)


async def test_malformed_requests_get_a_sentence_and_leave_nothing_behind(demo: Demo) -> None:
    for case in CASES[:20]:  # once through, so that what is made lazily is there
        await ask(case, demo)
    before = await held(demo)
    failures = [wrong for case in CASES if (wrong := wrongs(case, await ask(case, demo)))]
    assert not failures, f"{len(failures)} of {len(CASES)}\n" + "\n".join(failures)
    after = await settled(demo, (before[0] + 2, before[1] + 2))
    assert after[0] <= before[0] + 2, "tasks"
    assert after[1] <= before[1] + 2, "descriptors"
    log = demo.log.read_text()
    assert "Traceback" not in log
    assert MARK not in log
    assert '"request.failed"' not in log


@pytest.mark.parametrize("place", ["nurse", "doctor"])
async def test_malformed_signalling_is_refused_in_words(demo: Demo, place: str) -> None:
    link = urlsplit(demo.where["consultation"][place])
    socket = f"{link.scheme}://{link.netloc}{link.path}/ws"
    before = await held(demo)
    for signal in SIGNALS:
        async with aiohttp.ClientSession() as session:
            origin = f"{link.scheme}://{link.netloc}"
            async with session.ws_connect(
                socket, headers={"Origin": origin}, timeout=aiohttp.ClientWSTimeout(ws_close=5)
            ) as ws:
                await ws.send_str(json.dumps(signal))
                refused = await refusal(ws)
        assert MARK not in refused
        assert " " in refused, signal
    after = await settled(demo, (before[0] + 2, before[1] + 2))
    assert after[0] <= before[0] + 2, "tasks"
    assert after[1] <= before[1] + 2, "descriptors"
    assert "Traceback" not in demo.log.read_text()


async def refusal(ws: aiohttp.ClientWebSocketResponse) -> str:
    """The sentence of the first refusal, or of the close."""
    async with asyncio.timeout(ANSWER_S):
        async for message in ws:
            if message.type is aiohttp.WSMsgType.TEXT and (found := json.loads(message.data))["type"] == "refused":
                return str(found["message"])
    return "too big to be read" if ws.close_code == aiohttp.WSCloseCode.MESSAGE_TOO_BIG else ""
