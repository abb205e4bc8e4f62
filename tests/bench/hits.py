"""CPU per cache hit, beside nginx's `proxy_cache` (what it can do of the same: freshness, Vary, no log)."""

import asyncio
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from tests.bench.machine import Box, cpu_s, free_port, table

SIZES_BYTES = {"1 KB": 1_000, "10 KB": 10_000, "100 KB": 100_000}
ROUNDS, ROUND_S, CONNECTIONS = 3, 3, 32
HOST = "bench.localhost"

_NGINX = """
daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 512; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  proxy_cache_path {folder}/cache keys_zone=c:10m;
  server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://127.0.0.1:{origin}; proxy_cache c; }} }}
}}
"""


@dataclass(frozen=True)
class Server:
    """A cache under test."""

    name: str
    port: int
    pid: int
    stop: Callable[[], None]


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Be the origin: `/N` is N bytes that stay fresh for an hour."""
    while head := await reader.readuntil(b"\r\n\r\n"):
        size = int(head.split(b" ", 2)[1][1:])
        fields = f"Content-Type: image/jpeg\r\nCache-Control: max-age=3600\r\nContent-Length: {size}\r\n"
        writer.write(f"HTTP/1.1 200 OK\r\n{fields}\r\n".encode() + b"x" * size)
        await writer.drain()


async def quietly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Be the origin until the cache hangs up."""
    try:
        await answer(reader, writer)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


def nginx(folder: Path, origin: int) -> Server | None:
    """Start nginx as a cache; None where it is not installed."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        return None
    port = free_port()
    (folder / "nginx.conf").write_text(_NGINX.format(folder=folder, port=port, origin=origin), encoding="utf-8")
    process = subprocess.Popen([program, "-p", folder, "-c", folder / "nginx.conf"], stderr=subprocess.DEVNULL)
    return Server("nginx", port, process.pid, process.terminate)


async def cost_us(server: Server, size: int) -> tuple[float, float]:
    """Return CPU µs per hit and hits per second of one round."""
    url = f"http://127.0.0.1:{server.port}/{size}"
    before = cpu_s(server.pid)
    load = await asyncio.create_subprocess_exec(
        "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{ROUND_S}", "-H", f"Host: {HOST}", url, stdout=subprocess.PIPE
    )
    out = (await load.communicate())[0].decode()
    done = re.search(r"(\d+) requests in", out)
    if not done or "Non-2xx" in out:
        raise RuntimeError(f"{server.name}: {out}")
    count = int(done[1])
    return (cpu_s(server.pid) - before) / count * 1e6, count / ROUND_S


async def hits(folder: Path) -> str:
    """Return the table of CPU per hit."""
    if shutil.which("wrk") is None:
        return "CPU per cache hit: not measured, `wrk` is not installed (apt install wrk nginx-light)."
    origin = await asyncio.start_server(quietly, "127.0.0.1", 0)
    origin_port = int(origin.sockets[0].getsockname()[1])
    site = f'[[sites]]\nname = "bench"\nhosts = ["{HOST}"]\norigin = "http://127.0.0.1:{origin_port}"\n'
    box = await asyncio.to_thread(Box, folder, site)
    servers = [Server("tambo", box.port, box.pid, box.stop)]
    peer = nginx(folder, origin_port)
    if peer:
        servers.append(peer)
    rows = []
    try:
        for label, size in SIZES_BYTES.items():
            rows.append([label, *await compare(servers, size)])
    finally:
        for server in servers:
            server.stop()
        origin.close()
    return table("CPU µs per cache hit (hits/s)", ["size", "Tambo", "nginx", "ratio"], rows)


async def compare(servers: list[Server], size: int) -> list[str]:
    """Return one row: Tambo, its peer, and the ratio."""
    async with aiohttp.ClientSession() as session:
        for server in servers:
            async with session.get(f"http://127.0.0.1:{server.port}/{size}", headers={"Host": HOST}) as first:
                assert len(await first.read()) == size, server.name
    rounds: dict[str, list[tuple[float, float]]] = {server.name: [] for server in servers}
    for _ in range(ROUNDS):
        for server in servers:
            rounds[server.name].append(await cost_us(server, size))
    least = {name: min(found) for name, found in rounds.items()}
    tambo, peer = least["tambo"], least.get("nginx")
    row = [f"{tambo[0]:.0f} ({tambo[1]:.0f})"]
    return [*row, f"{peer[0]:.0f} ({peer[1]:.0f})", f"{tambo[0] / peer[0]:.2f}"] if peer else [*row, "not here", "–"]
