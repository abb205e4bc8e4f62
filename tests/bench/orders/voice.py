"""One end of a voice call: 60 kb/s each way, each packet timed; both ends are on one machine and read one clock.

python -m tests.bench.orders.voice --end near --out voice.near
"""

import argparse
import json
import os
import select
import signal
import socket
import time
from contextlib import suppress
from pathlib import Path

from tests.bench.link.packets import FAR_ADDRESS, NEAR_ADDRESS

PORT = 5008
EVERY_S = 0.020
PAYLOAD_BYTES = 150 - 28  # 60 kb/s with IP and UDP
EXPEDITED = 46 << 2  # RFC 4594 §4.1


def main() -> None:
    """Send and receive until stopped, then write when each packet that came was sent, and how long it took."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--end", choices=("near", "far"), required=True)
    parser.add_argument("--out", required=True)
    options = parser.parse_args()
    here, peer = (NEAR_ADDRESS, FAR_ADDRESS) if options.end == "near" else (FAR_ADDRESS, NEAR_ADDRESS)
    stop: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stop.append(number))
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(5))  # its lateness would be taken for the link's
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, EXPEDITED)
        sock.bind((here, PORT))
        print("ready", flush=True)
        came = _talk(sock, peer, stop)
    Path(options.out).write_text(json.dumps(came), encoding="utf-8")


def _talk(sock: socket.socket, peer: str, stop: list[int]) -> list[tuple[float, float]]:
    came: list[tuple[float, float]] = []
    due_s = time.monotonic()
    while not stop:
        now_s = time.monotonic()
        if now_s >= due_s:
            with suppress(OSError):
                sock.sendto(repr(now_s).encode().ljust(PAYLOAD_BYTES), (peer, PORT))
            due_s = max(due_s + EVERY_S, now_s - 0.5)
        ready, _, _ = select.select([sock], (), (), max(0.0, due_s - time.monotonic()))
        if ready:
            sent_s = float(sock.recv(2_048))
            came.append((sent_s, time.monotonic() - sent_s))
    return came


if __name__ == "__main__":
    main()
