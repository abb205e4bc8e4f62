"""Traffic for the shaper's tests: a file of its own, run inside a network namespace; prints one JSON line.

serve PORT                          far side: endless bytes to every TCP caller; echoes a UDP caller's packets to it
fetch HOST PORT SECONDS FLOWS       bit/s of IP packets received in all flows, the first second left out
call HOST PORT SECONDS              50 packets a second marked EF: how long each took there and back
flood HOST PORT SECONDS BPS         UDP marked EF, as much as said
"""

import json
import socket
import sys
import threading
import time

WARM_S = 1.0
SEGMENT = 1448
PACKET = 1500
EF = 0xB8


def serve(port: int) -> None:
    family = socket.AF_INET6
    listener = socket.create_server(("::", port), family=family, dualstack_ipv6=True, backlog=64)
    threading.Thread(target=echo, args=(port,), daemon=True).start()
    print(json.dumps("ready"), flush=True)
    while True:
        caller, _ = listener.accept()
        caller.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"cubic")
        threading.Thread(target=pour, args=(caller,), daemon=True).start()


def pour(caller: socket.socket) -> None:
    try:
        while True:
            caller.sendall(bytes(65_536))
    except OSError:
        caller.close()


def echo(port: int) -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as mouth:
        mouth.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        mouth.bind(("::", port))
        while True:
            packet, caller = mouth.recvfrom(2_000)
            if len(packet) < 200:
                mouth.sendto(packet, caller)


def fetch(host: str, port: int, seconds: float, flows: int) -> float:
    began = time.monotonic()
    received = [0] * flows

    def take(flow: int) -> None:
        with socket.create_connection((host, port), timeout=10) as caller:
            caller.settimeout(0.2)
            while (now := time.monotonic()) < began + seconds:
                try:
                    size = len(caller.recv(65_536))
                except TimeoutError:
                    continue
                if now > began + WARM_S:
                    received[flow] += size

    together(take, flows)
    return sum(received) * 8 / (seconds - WARM_S) * PACKET / SEGMENT


def together(work: object, count: int) -> None:
    threads = [threading.Thread(target=work, args=(each,)) for each in range(count)]  # type: ignore[arg-type]
    for each in threads:
        each.start()
    for each in threads:
        each.join()


def call(host: str, port: int, seconds: float) -> dict[str, float]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    took: list[float] = []
    with socket.socket(family, socket.SOCK_DGRAM) as mouth:
        if family == socket.AF_INET6:
            mouth.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, EF)
        else:
            mouth.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, EF)
        mouth.settimeout(0.02)
        began = time.monotonic()
        sent = 0
        while (now := time.monotonic()) < began + seconds:
            if now >= began + sent / 50:
                mouth.sendto(f"{now:.9f}".encode().ljust(72), (host, port))
                sent += 1
            try:
                packet = mouth.recv(2_000)
            except TimeoutError:
                continue
            stamp = float(packet)
            if stamp > began + WARM_S:
                took.append(time.monotonic() - stamp)
    took.sort()
    return {"p95_s": took[int(len(took) * 0.95)], "answered_ratio": len(took) / ((seconds - WARM_S) * 50)}


def flood(host: str, port: int, seconds: float, bps: float) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mouth:
        mouth.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, EF)
        began = time.monotonic()
        sent = 0
        while (now := time.monotonic()) < began + seconds:
            while sent * PACKET * 8 < (now - began) * bps:
                mouth.sendto(bytes(PACKET - 28), (host, port))
                sent += 1
            time.sleep(0.005)


if __name__ == "__main__":
    what, *rest = sys.argv[1:]
    match what:
        case "serve":
            serve(int(rest[0]))
        case "fetch":
            print(json.dumps(fetch(rest[0], int(rest[1]), float(rest[2]), int(rest[3]))))
        case "call":
            print(json.dumps(call(rest[0], int(rest[1]), float(rest[2]))))
        case "flood":
            flood(rest[0], int(rest[1]), float(rest[2]), float(rest[3]))
