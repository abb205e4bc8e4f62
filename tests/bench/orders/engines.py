"""The engines that orders could be kept in instead, as Debian has them: on loopback, in a folder, not as root.

Each is told to sync before it answers, and otherwise left as packaged. One that is missing is named in a sentence, and
the tables do without it.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.machine import free_port
from tests.bench.orders.postgres import make_table

START_S = 60.0
STOP_S = 20.0


@dataclass(frozen=True)
class Server:
    """An engine that runs: what the client must know of it, and the process whose CPU counts."""

    engine: str
    title: str
    pid: int
    asked: Mapping[str, Any]


@contextmanager
def postgres(folder: Path) -> Iterator[Server | None]:
    """Run PostgreSQL: `synchronous_commit` and `fsync` are on as packaged."""
    program = _newest("/usr/lib/postgresql/*/bin/postgres")
    if program is None:
        _tell_missing("PostgreSQL", "postgresql")
        yield None
        return
    home, port, user = _home(folder / "postgres", "postgres"), free_port(), _account("postgres")
    made = [str(program.with_name("initdb")), "-D", str(home / "data"), "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8"]
    subprocess.run(made, check=True, stdout=subprocess.DEVNULL, cwd=home, **_as(user))
    listen = ["-c", "listen_addresses=127.0.0.1", "-p", str(port), "-k", str(home)]
    settings = ["-c", "synchronous_commit=on", "-c", "fsync=on", "-c", "max_connections=100"]
    command = [str(program), "-D", str(home / "data"), *listen, *settings]
    with _running(command, home, user, port, signal.SIGINT) as pid:
        make_table(port, user.pw_name)
        yield Server("postgres", "PostgreSQL", pid, {"port": port, "user": user.pw_name})


@contextmanager
def rabbitmq(folder: Path) -> Iterator[Server | None]:
    """Run RabbitMQ without plugins; the ports that Erlang opens for other nodes are on loopback, too."""
    program, epmd = _newest("/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server"), shutil.which("epmd")
    if program is None or epmd is None:
        _tell_missing("RabbitMQ", "rabbitmq-server")
        yield None
        return
    home, port, names = _home(folder / "rabbitmq", "rabbitmq"), free_port(), free_port()
    user = _account("rabbitmq")
    loopback = "-kernel inet_dist_use_interface {127,0,0,1}"
    (home / "rabbitmq.conf").write_text(f"listeners.tcp.1 = 127.0.0.1:{port}\n", encoding="ascii")
    (home / "enabled_plugins").write_text("[].\n", encoding="ascii")
    surroundings = {
        "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "ERL_EPMD_PORT": str(names),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RUNNING_UNDER_SYSTEMD": "true",  # in the foreground, without a shell that stands between
        "RABBITMQ_NODENAME": f"bench{port}@localhost",
        "RABBITMQ_DIST_PORT": str(free_port()),
        "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq.conf"),
        "RABBITMQ_CONF_ENV_FILE": "/dev/null",
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "enabled_plugins"),
        "RABBITMQ_MNESIA_BASE": str(home / "mnesia"),
        "RABBITMQ_LOG_BASE": str(home / "log"),
        "RABBITMQ_PID_FILE": str(home / "pid"),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": loopback,
        "RABBITMQ_CTL_ERL_ARGS": loopback,
    }
    with (
        _running([epmd, "-address", "127.0.0.1", "-port", str(names)], home, user, names, signal.SIGTERM),
        _running([str(program)], home, user, port, signal.SIGTERM, surroundings) as pid,
    ):
        yield Server("rabbitmq", "RabbitMQ", pid, {"port": port})


@contextmanager
def redis(folder: Path) -> Iterator[Server | None]:
    """Run Redis with an append-only file, synced before each answer, and no snapshots beside it."""
    program = shutil.which("redis-server")
    if program is None:
        _tell_missing("Redis", "redis-server")
        yield None
        return
    home, port, user = _home(folder / "redis", "redis"), free_port(), _account("redis")
    command = [program, "--bind", "127.0.0.1", "--port", str(port), "--dir", str(home), "--save", ""]
    command += ["--appendonly", "yes", "--appendfsync", "always"]
    with _running(command, home, user, port, signal.SIGTERM) as pid:
        yield Server("redis", "Redis AOF always", pid, {"port": port})


def _tell_missing(title: str, package: str) -> None:
    print(f"{title} is not installed, so the table does without it: sudo apt install {package}", flush=True)


def _newest(pattern: str) -> Path | None:
    return max(Path("/").glob(pattern[1:]), default=None)


def _account(name: str) -> pwd.struct_passwd:
    """Return as whom an engine runs: the package's account, or us, where we are nobody special."""
    return pwd.getpwnam(name) if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())


def _as(user: pwd.struct_passwd) -> dict[str, Any]:
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if os.geteuid() == 0 else {}


def _home(folder: Path, account: str) -> Path:
    """Make a folder that the engine's account owns and can reach."""
    folder.mkdir()
    for each in (folder.parent, folder.parent.parent):
        if each.stat().st_mode & 0o777 == 0o700:
            each.chmod(0o711)
    os.chown(folder, _account(account).pw_uid, -1)
    return folder


@contextmanager
def _running(
    command: Sequence[str],
    home: Path,
    user: pwd.struct_passwd,
    port: int,
    stop: signal.Signals,
    surroundings: Mapping[str, str] | None = None,
) -> Iterator[int]:
    """Run a server while the block lasts; it is up when its port is."""
    with (home / "output").open("ab") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=home, env=surroundings, **_as(user)
        )
    try:
        _wait_listening(process, port, home / "output")
        yield process.pid
    finally:
        process.send_signal(stop)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_listening(process: "subprocess.Popen[bytes]", port: int, output: Path) -> None:
    """Return once something listens on a port.

    Raises: RuntimeError.
    """
    until = time.monotonic() + START_S
    while time.monotonic() < until and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1.0).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"{output.parent.name} does not start: {output.read_text(errors='replace')[-2000:]}")
