"""Merchants who order, wait for the receipt and order again, as one cheap process: plain sockets, requests made ahead.

Every engine gets the same order of 1 KB under an id of its own, in its own protocol, from the same loop. It spends some
µs an order, so that what is measured is the server; what it spent is told beside the latencies.

    python -m tests.bench.orders.client '{"engine": "redis", "port": 6379, "merchants": 50, "seconds": 3, "rest_s": 0}'
"""

import gc
import heapq
import json
import os
import select
import socket
import sys
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.bench.orders import amqp, postgres, redis
from tests.bench.orders.wire import Engine, Wire, order_bytes

FSYNCS = 400
ANSWER_S = 10.0


def main() -> None:
    """Do what the argument describes; print latencies in seconds, and the CPU seconds that this process spent."""
    asked: dict[str, Any] = json.loads(sys.argv[1])
    gc.disable()
    before_s = time.process_time()
    took = _fsyncs(Path(asked["file"])) if asked["engine"] == "disk" else _ordered(asked)
    json.dump({"took_s": took, "cpu_s": time.process_time() - before_s}, sys.stdout)


def _fsyncs(path: Path) -> list[float]:
    """Return how long an append of an order and its fdatasync take."""
    took = []
    with path.open("ab", buffering=0) as file:
        for _ in range(FSYNCS):
            content = order_bytes(str(uuid.uuid4()))
            begun = time.perf_counter()
            file.write(content)
            os.fdatasync(file.fileno())
            took.append(time.perf_counter() - begun)
    return took


def _ordered(asked: Mapping[str, Any]) -> list[float]:
    """Return how long each order waited for its answer; a merchant has one out at a time, and rests in between."""
    engine, rest_s = ENGINES[asked["engine"]], float(asked["rest_s"])
    made = [_connected(engine, asked) for _ in range(asked["merchants"])]
    wires = {wire.socket.fileno(): wire for wire in made}
    ready = select.epoll()
    for number in wires:
        ready.register(number, select.EPOLLIN)
    took: list[float] = []
    begun: dict[int, float] = {}
    now = time.perf_counter()
    until = now + asked["seconds"]
    due = [(now + rest_s * place / len(wires), number) for place, number in enumerate(wires)]
    while due or begun:
        while due and due[0][0] <= now:
            _, number = heapq.heappop(due)
            begun[number] = _send(engine, wires[number])
        came = ready.poll(max(due[0][0] - now, 0.0) if due else ANSWER_S)
        if not came and not due:
            raise RuntimeError(f"{engine.name} answers nothing")
        for number, _ in came:
            wire = wires[number]
            wire.buffer += wire.socket.recv(65_536) or _hung_up(engine)
            if not engine.is_answered(wire):
                continue
            now = time.perf_counter()
            took.append(now - begun[number])
            again = max(now, begun.pop(number) + rest_s)
            if again < until:
                heapq.heappush(due, (again, number))
        now = time.perf_counter()
    return took


def _connected(engine: Engine, asked: Mapping[str, Any]) -> Wire:
    sock = socket.create_connection(("127.0.0.1", asked["port"]), 10.0)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    wire = Wire(sock)
    engine.begin(wire, asked)
    return wire


def _send(engine: Engine, wire: Wire) -> float:
    request = engine.request(wire, str(uuid.uuid4()))
    begun = time.perf_counter()
    wire.socket.sendall(request)
    return begun


def _hung_up(engine: Engine) -> bytes:
    raise RuntimeError(f"{engine.name} hung up")


class _Box:
    """The box: HTTP/1.1, kept alive, with a merchant's token."""

    name = "box"

    def __init__(self) -> None:
        self._head = b""

    def begin(self, wire: Wire, asked: Mapping[str, Any]) -> None:
        """Nothing is said before the first order."""
        del wire
        length = len(order_bytes(str(uuid.uuid4())))
        lines = (
            "POST /api/v1/orders HTTP/1.1",
            "Host: localhost",
            f"Authorization: Bearer {asked['token']}",
            "Content-Type: application/json",
            f"Content-Length: {length}",
        )
        self._head = "\r\n".join((*lines, "", "")).encode()

    def request(self, wire: Wire, order_id: str) -> bytes:
        """Return an order handed in."""
        del wire
        return self._head + order_bytes(order_id)

    def is_answered(self, wire: Wire) -> bool:
        """Say whether the receipt is here, whole.

        Raises: RuntimeError when it is none.
        """
        head, found, body = bytes(wire.buffer).partition(b"\r\n\r\n")
        if not found:
            return False
        if not head.startswith(b"HTTP/1.1 201"):
            raise RuntimeError(bytes(wire.buffer[:400]))
        at = head.lower().index(b"content-length:") + 15
        if len(body) < int(head[at:].split(b"\r\n", 1)[0]):
            return False
        wire.buffer.clear()
        return True


ENGINES: Mapping[str, Engine] = {
    each.name: each for each in (_Box(), postgres.PostgreSQL(), amqp.RabbitMQ(), redis.Redis())
}


if __name__ == "__main__":
    main()
