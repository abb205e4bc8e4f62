"""One end of a call: 50 voice packets a second (EF) and 30 pictures a second (AF41), both ways, each packet timed.

Both ends are on one machine, so one-way delay is the difference of two readings of one clock. A process of its own,
with real-time priority where that is allowed: its lateness would be taken for the link's. With `--follow` the near end
asks the box what the call may use, keeps to it, and tells the far end with every packet, as REMB does.

    python -m tests.bench.link.call --end near --until MONOTONIC --out FILE
"""

import argparse
import gc
import http.client
import json
import os
import select
import signal
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.bench.link.packets import FAR_ADDRESS, HEAD, NEAR_ADDRESS, RECORD, VIDEO, VOICE

PORTS = {VOICE: 5004, VIDEO: 5006}
TOS = {VOICE: 46 << 2, VIDEO: 34 << 2}  # RFC 4594: EF, AF41
IP_UDP_BYTES = 28
VOICE_BYTES, VOICE_EVERY_S = 100 - IP_UDP_BYTES, 0.020
FRAME_EVERY_S, PIECES = 1 / 30, 2
VIDEO_BPS = 500_000
VOICE_BPS = int(100 * 8 / VOICE_EVERY_S)
FRAME_BYTES_MIN = 240  # a smaller picture is not sent: the next one is larger
FOLLOW_EVERY_S = 0.25
LATE_S_MAX = 0.5  # after a longer stop of the machine the sender does not catch up
PRIORITY = 5


class Sender:
    """Sends what is due, and says when the next is."""

    def __init__(self, sockets: dict[int, socket.socket], peer: str, start_s: float, until_s: float) -> None:
        self._sockets = sockets
        self._peer = peer
        self._until_s = until_s
        self._due_s = {VOICE: start_s, VIDEO: start_s}
        self._credit_bytes = 0.0
        self.sent = {VOICE: 0, VIDEO: 0}
        self.video_bps = VIDEO_BPS
        self.ask_bps = VIDEO_BPS

    def send_due(self, now_s: float) -> float:
        """Send what is due now; return when the next packet is."""
        for stream, every_s in ((VOICE, VOICE_EVERY_S), (VIDEO, FRAME_EVERY_S)):
            while self._due_s[stream] <= now_s < self._until_s:
                if now_s - self._due_s[stream] < LATE_S_MAX:
                    self._send_one(stream)
                self._due_s[stream] += every_s
        return min(self._due_s.values())

    def _send_one(self, stream: int) -> None:
        if stream == VOICE:
            self._packet(VOICE, VOICE_BYTES)
            return
        self._credit_bytes += self.video_bps / 8 * FRAME_EVERY_S
        if self._credit_bytes < FRAME_BYTES_MIN:
            return
        size, self._credit_bytes = int(self._credit_bytes), 0.0
        pieces = PIECES if size > 1_200 else 1
        for _ in range(pieces):
            self._packet(VIDEO, size // pieces)

    def _packet(self, stream: int, size_bytes: int) -> None:
        number = self.sent[stream]
        self.sent[stream] = number + 1
        head = HEAD.pack(stream, number, time.monotonic(), self.ask_bps)
        with suppress(OSError):  # a full or absent way loses it, which the other end counts
            self._sockets[stream].sendto(head.ljust(size_bytes, b"\0"), (self._peer, PORTS[stream]))


def main() -> None:
    """Take part in a call until its end, then write what came."""
    options = _options()
    here, peer = (NEAR_ADDRESS, FAR_ADDRESS) if options.end == "near" else (FAR_ADDRESS, NEAR_ADDRESS)
    sockets = {stream: _socket(here, stream) for stream in (VOICE, VIDEO)}
    sender = Sender(sockets, peer, options.start, options.until)
    if options.follow:
        threading.Thread(target=_follow, args=(sender, options.follow, options.field), daemon=True).start()
    stop: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stop.append(number))
    _go_real_time()
    print("ready", flush=True)
    came = _talk(sender, sockets, options, stop)
    records = b"".join(RECORD.pack(*each) for each in came)
    Path(options.out).write_bytes(records)
    Path(f"{options.out}.sent").write_text(json.dumps(sender.sent), encoding="utf-8")


def _talk(
    sender: Sender, sockets: dict[int, socket.socket], options: argparse.Namespace, stop: list[int]
) -> list[tuple[int, int, float, float, int]]:
    """Send and receive until `--until`, then only receive for `--grace` seconds; return what came."""
    came = []
    ends_s = options.until + options.grace
    while not stop:
        now_s = time.monotonic()
        if now_s >= ends_s:
            break
        wake_s = sender.send_due(now_s) if now_s < options.until else ends_s
        ready, _, _ = select.select(list(sockets.values()), (), (), max(0.0, min(wake_s, ends_s) - time.monotonic()))
        for each in ready:
            data = each.recv(2048)
            at_s = time.monotonic()
            stream, number, sent_s, asked_bps = HEAD.unpack_from(data)
            came.append((stream, number, sent_s, at_s, len(data)))
            if options.end == "far":
                sender.video_bps = asked_bps
    return came


def _follow(sender: Sender, url: str, field: str) -> None:
    """Keep to the budget that the box tells; without one, to what was last told."""
    host, _, path = url.removeprefix("http://").partition("/")
    while True:
        with suppress(OSError, ValueError, KeyError, TypeError, http.client.HTTPException):
            connection = http.client.HTTPConnection(host, timeout=2)
            connection.request("GET", f"/{path}")
            told: Any = json.loads(connection.getresponse().read())
            connection.close()
            for name in field.split("."):
                told = told[name]
            sender.ask_bps = _picture_bps(told["down_bps"])
            sender.video_bps = _picture_bps(told["up_bps"])
        time.sleep(FOLLOW_EVERY_S)


def _picture_bps(budget_bps: int) -> int:
    """Return what is left for the picture's payload: a budget is voice, picture and headers."""
    left_bps = budget_bps - VOICE_BPS
    headers_bps = PIECES * IP_UDP_BYTES * 8 / FRAME_EVERY_S
    return int(max(0, min(VIDEO_BPS, left_bps - min(headers_bps, left_bps / 4))))


def _socket(here: str, stream: int) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, TOS[stream])
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    made.bind((here, PORTS[stream]))
    return made


def _go_real_time() -> None:
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(PRIORITY))
    gc.collect()
    gc.freeze()
    gc.disable()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--end", choices=("near", "far"), required=True)
    parser.add_argument("--start", type=float, required=True, help="monotonic seconds")
    parser.add_argument("--until", type=float, required=True, help="monotonic seconds")
    parser.add_argument("--grace", type=float, default=3.0)
    parser.add_argument("--out", required=True)
    parser.add_argument("--follow", default="")
    parser.add_argument("--field", default="link.call_budget")
    return parser.parse_args()


if __name__ == "__main__":
    main()
