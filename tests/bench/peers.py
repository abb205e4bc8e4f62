"""The web room's peers as a competent operator runs them, each on loopback, in a folder of its own, without its logs.

nginx stands twice. As packaged: Debian's `nginx.conf` (`sendfile`, `tcp_nopush`) and a plain `proxy_cache`. Tuned: with
`open_file_cache`, which spares a cached file's open, `proxy_cache_lock` and connections to the origin kept; and without
`tcp_nopush`, which on loopback (segments of 64 KB) holds a 100 KB answer back for 40 ms. Measured, CPU µs per hit at
10 KB (nginx 1.22, 2026-11): packaged 18, without `tcp_nopush` 19, tuned 15, larger `proxy_buffer_size` 20, without
`sendfile` 16; only `aio threads` costs 54, and the 55 that earlier notes give to 10 KB is that or another machine.
At 100 KB: 53, 26, 24, 29, 48. Squid and Varnish hold what they cache in memory.
"""

import asyncio
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.bench.machine import Box, free_port

HOST = "bench.localhost"
START_S = 20.0
OBJECT_BYTES_MAX = 2_000_000  # above the largest that is asked for
# what a Chromium sends; early answers and variants depend on it
BROWSER = {
    "Host": HOST,
    "User-Agent": "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 "
    "Mobile Safari/537.36",
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    "Accept-Encoding": "gzip, deflate, br, zstd",
    "Accept-Language": "es-PE,es;q=0.9",
}
TAMBO, PACKAGED, TUNED = "Tambo", "nginx as packaged", "nginx tuned"

_NGINX = """
daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; sendfile on; keepalive_requests 100000000;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  proxy_cache_path {folder}/cache keys_zone=c:10m;
  upstream origin {{ server 127.0.0.1:{origin}; {upstream} }}
  {http}
  server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://origin; proxy_cache c; }} }}
}}
"""
_TUNED = """
  open_file_cache max=10000; proxy_http_version 1.1; proxy_set_header Connection "";
  proxy_cache_lock on; proxy_cache_revalidate on;
"""
_SQUID = """
http_port 127.0.0.1:{port} accel defaultsite={host} no-vhost
cache_peer 127.0.0.1 parent {origin} 0 no-query no-digest no-netdb-exchange originserver
http_access allow all
cache_mem 256 MB
maximum_object_size_in_memory 2 MB
access_log none
cache_log /dev/null
pid_filename none
pinger_enable off
visible_hostname bench
coredump_dir {folder}
shutdown_lifetime 0 seconds
"""


@dataclass(frozen=True)
class Server:
    """A cache under test."""

    name: str
    port: int
    origin_port: int
    pid: int
    stop: Callable[[], None]


@dataclass(frozen=True)
class Peer:
    """A program of Debian's, and how it is started: from a folder, its own port and the origin's."""

    name: str
    program: str
    package: str
    command: Callable[[str, Path, int, int], Sequence[str]]


def nginx_packaged(program: str, folder: Path, port: int, origin: int) -> Sequence[str]:
    """Write the settings of nginx as its package has them; return its command."""
    return _nginx(program, folder, port, origin, http="tcp_nopush on;", upstream="")


def nginx_tuned(program: str, folder: Path, port: int, origin: int) -> Sequence[str]:
    """Write the settings of a tuned nginx; return its command."""
    return _nginx(program, folder, port, origin, http=_TUNED, upstream="keepalive 32;")


def _nginx(program: str, folder: Path, port: int, origin: int, *, http: str, upstream: str) -> Sequence[str]:
    config = folder / "nginx.conf"
    text = _NGINX.format(folder=folder, port=port, origin=origin, http=http, upstream=upstream)
    config.write_text(text, encoding="utf-8")
    return [program, "-p", str(folder), "-c", str(config)]


def squid(program: str, folder: Path, port: int, origin: int) -> Sequence[str]:
    """Write Squid's settings; return its command."""
    config = folder / "squid.conf"
    config.write_text(_SQUID.format(folder=folder, port=port, origin=origin, host=HOST), encoding="utf-8")
    return [program, "-N", "-f", str(config)]


def varnish(program: str, folder: Path, port: int, origin: int) -> Sequence[str]:
    """Return Varnish's command."""
    where = ["-n", str(folder), "-a", f"127.0.0.1:{port}", "-b", f"127.0.0.1:{origin}"]
    return [program, "-F", "-j", "none", *where, "-s", "malloc,256m", "-T", "none"]


PEERS = (
    Peer(PACKAGED, "nginx", "nginx", nginx_packaged),
    Peer(TUNED, "nginx", "nginx", nginx_tuned),
    Peer("Squid", "squid", "squid", squid),
    Peer("Varnish", "varnishd", "varnish", varnish),
)


@cache
def found(program: str, package: str) -> str | None:
    """Return where a program is, installed with apt if need be; None, after a sentence, where that cannot be."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin"
    at = shutil.which(program, path=path)
    if at is None and os.geteuid() == 0 and shutil.which("apt-get"):
        print(f"Installing {package} …", flush=True)
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", "update", "-qq"], check=False)
        install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", package]
        subprocess.run(install, check=False, env=quiet, stdout=subprocess.DEVNULL)
        if shutil.which("systemctl"):  # the package's own service is not wanted
            subprocess.run(["systemctl", "disable", "--now", "--quiet", package], check=False, capture_output=True)
        at = shutil.which(program, path=path)
    if at is None:
        print(f"{program} is not installed, so the tables do without it: sudo apt install {package}", flush=True)
    return at


async def every_server(folder: Path, origins: Sequence[int], stack: ExitStack) -> list[Server]:
    """Start Tambo and every peer that is here, each before its own origin port; the stack stops them."""
    ports = iter(origins)
    servers = [await asyncio.to_thread(_tambo, folder, next(ports))]
    stack.callback(servers[0].stop)
    for peer, origin in zip(PEERS, ports, strict=True):
        server = await _started(peer, folder / peer.name.replace(" ", "-").lower(), origin)
        if server is not None:
            stack.callback(server.stop)
            servers.append(server)
    return servers


def _tambo(folder: Path, origin: int) -> Server:
    site = f'[[sites]]\nname = "bench"\nhosts = ["{HOST}"]\norigin = "http://127.0.0.1:{origin}"\n'
    box = Box(folder, site)
    return Server(TAMBO, box.port, origin, box.pid, box.stop)


async def _started(peer: Peer, folder: Path, origin: int) -> Server | None:
    program = await asyncio.to_thread(found, peer.program, peer.package)
    if program is None:
        return None
    folder.mkdir()
    for each in (folder, folder.parent):
        each.chmod(0o755)  # Squid gives up root and reads its settings as a user of its own
    port = free_port()
    command = peer.command(program, folder, port, origin)
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=folder)

    def stop() -> None:
        process.send_signal(signal.SIGTERM)
        process.wait()

    try:
        await _listening(process, port)
    except TimeoutError as exc:
        process.kill()
        process.wait()
        said = (folder / "output").read_text(errors="replace")
        raise RuntimeError(f"{peer.name} does not start: {said}") from exc
    return Server(peer.name, port, origin, process.pid, stop)


async def _listening(process: "subprocess.Popen[bytes]", port: int) -> None:
    """Return once something listens on a port.

    Raises: TimeoutError.
    """
    async with asyncio.timeout(START_S):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                if process.poll() is not None:
                    raise TimeoutError from None
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return
