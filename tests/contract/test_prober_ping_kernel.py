"""The kernel's ping socket does what the prober takes it to do, and says no where the machine's owner says so."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from gateway.backhaul.sensing.wires import NO_PING

NAMESPACE = "tkeping"
PROBE = """
import asyncio, json
from gateway.backhaul.sensing.probe_ledger import ProbeLedger
from gateway.backhaul.sensing.prober import Prober
from gateway.backhaul.sensing.wires import PingWire
from gateway.clock import SystemClock

async def peer():
    return PEER

async def main():
    clock, heard = SystemClock(), []
    prober = Prober(PingWire(peer, b"12345678"), ProbeLedger(None, 1_000_000, clock), clock, heard.append)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(prober.run())
        prober.listen(50)
        async with asyncio.timeout(10):
            while prober.statistics().answered < 3 and prober.statistics().trouble is None:
                prober.tick()
                await asyncio.sleep(0.01)
        running.cancel()
    statistics = prober.statistics()
    print(json.dumps([statistics.answered, statistics.trouble, [each.delay_s for each in heard],
                      sorted({each.sees for each in heard}), statistics.spent_bytes / statistics.sent
                      if statistics.sent else 0]))

asyncio.run(main())
"""

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: makes a network namespace")


@pytest.fixture
def namespace() -> Iterator[str]:
    try:
        _run("ip", "netns", "add", NAMESPACE)
        _run("ip", "-n", NAMESPACE, "link", "set", "lo", "up")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this machine makes no network namespace")
    else:
        yield NAMESPACE
    finally:
        with suppress(OSError):
            subprocess.run(["ip", "netns", "delete", NAMESPACE], check=False, capture_output=True)


@pytest.mark.parametrize(("peer", "exchange_bytes"), [("127.0.0.1", 72), ("::1", 112)])
def test_a_ping_tells_the_round_trip(namespace: str, peer: str, exchange_bytes: int) -> None:
    _range(namespace, "0 2147483647")
    answered, trouble, delays_s, sees, spent = _probed(namespace, peer)
    assert answered >= 3
    assert trouble is None
    assert all(0 < each < 0.1 for each in delays_s)
    assert sees == ["both"]
    assert spent == exchange_bytes


def test_a_machine_that_lets_nobody_ping_is_said(namespace: str) -> None:
    _range(namespace, "1 0")
    assert _probed(namespace, "127.0.0.1")[:2] == [0, NO_PING]


def _range(namespace: str, groups: str) -> None:
    _run("ip", "netns", "exec", namespace, "sh", "-c", f"echo {groups} > /proc/sys/net/ipv4/ping_group_range")


def _probed(namespace: str, peer: str) -> list[Any]:
    script = PROBE.replace("PEER", repr(peer), 1)
    told: list[Any] = json.loads(_run("ip", "netns", "exec", namespace, sys.executable, "-c", script))
    return told


def _run(*words: str) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout
