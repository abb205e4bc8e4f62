"""The shaper on the real kernel, in namespaces of its own: rates, fairness, a call beside downloads, no leftovers."""

import asyncio
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest

from gateway.backhaul.sensing.samples import Way
from gateway.backhaul.shaping.kernel.talk import NO_DEVICES
from gateway.backhaul.shaping.kernel_client import NOT_THERE, KernelRates
from gateway.backhaul.sharing.classes import TrafficClass
from tests.shaped_net import (
    BOX,
    FAR4,
    FAR6,
    LINK,
    PHONES,
    PORT,
    ROOT,
    Shaper,
    at_once,
    config_in,
    needs_network,
    shaper_in,
    standing,
    start_shaper,
    village,
    within,
)
from tests.shaped_net import traffic as run
from tests.waiting import wait_until

pytestmark = needs_network
TRIES = 3
DOWN_BPS, UP_BPS = 4_000_000, 2_000_000


def cpu_s(pid: int) -> float:
    """Return how long a process has had a core."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def answered_as_nobody(path: Path) -> int:
    """Return 0 where an order of a user who is neither root nor the box is not answered."""
    os.chdir(path.parent)  # its name alone: the directories above are closed to others
    os.setgroups([])
    os.setgid(65_534)
    os.setuid(65_534)
    with socket.socket(socket.AF_UNIX) as caller:
        caller.settimeout(5)
        caller.connect(path.name)
        try:
            caller.sendall(b"{}\n")
            return len(caller.recv(99))
        except ConnectionError:
            return 0
        except OSError:
            return 1


async def stir(shaper: Shaper) -> None:
    """Move the rates up and down, thirty times a second."""
    while True:
        for down_bps in range(DOWN_BPS // 4, DOWN_BPS, 50_000):
            shaper.client.tell(KernelRates(down_bps, UP_BPS))
            await asyncio.sleep(0.03)


async def fetched_bps(far: str, rate_bps: int) -> float:
    """Return at what rate a phone downloads: never more than is asked for, and less only where the machine was busy."""
    seen: list[float] = []
    while len(seen) < TRIES and (not seen or max(seen) < 0.95 * rate_bps):
        seen.append(await run(PHONES[0], "fetch", far, PORT, 4, 4))
        assert seen[-1] < 1.05 * rate_bps
    return max(seen)


@pytest.fixture
def network() -> Iterator[None]:
    with village():
        yield


async def test_the_queues_stand_from_the_first_order_and_are_gone_after_the_stop(network: None, tmp_path: Path) -> None:
    before = standing()
    async with shaper_in(tmp_path) as shaper:
        assert standing() == before
        await shaper.shape(DOWN_BPS, UP_BPS)
        assert "7a60:" in within(BOX, "tc", "qdisc", "show", "dev", LINK)
        assert "7a60:" in within(BOX, "tc", "qdisc", "show", "dev", "tambo-down")
        assert shaper.client.status().cannot == ()
    assert standing() == before


@pytest.mark.parametrize(("link", "far"), [("veth", FAR4), ("veth", FAR6), ("tun", FAR4), ("tun", FAR6)])
async def test_a_download_runs_at_the_rate_asked_for_and_follows_it(
    link: Literal["veth", "tun"], far: str, tmp_path: Path
) -> None:
    with village(link):
        async with shaper_in(tmp_path) as shaper:
            for rate_bps in (DOWN_BPS, 2 * DOWN_BPS):
                await shaper.shape(rate_bps, UP_BPS)
                assert await fetched_bps(far, rate_bps) == pytest.approx(rate_bps, rel=0.05)
            assert shaper.client.status().tree == 1


async def test_a_phones_call_hardly_waits_beside_eight_downloads(network: None, tmp_path: Path) -> None:
    async with shaper_in(tmp_path) as shaper:
        await shaper.shape(DOWN_BPS, UP_BPS)
        call, rate_bps = await at_once(run(PHONES[0], "call", FAR4, PORT, 4), run(PHONES[1], "fetch", FAR4, PORT, 4, 8))
        assert call["p95_s"] < 0.015  # two packets of 1500 bytes take 6 ms, the machine the rest
        assert call["answered_ratio"] > 0.98
        assert rate_bps > 0.9 * DOWN_BPS


@pytest.mark.parametrize("translated", [False, True])
async def test_two_phones_get_the_same_however_many_flows_each_has(tmp_path: Path, *, translated: bool) -> None:
    with village(translated=translated):
        async with shaper_in(tmp_path) as shaper:
            await shaper.shape(DOWN_BPS, UP_BPS)
            many, few = await at_once(
                run(PHONES[0], "fetch", FAR4, PORT, 6, 8), run(PHONES[1], "fetch", FAR4, PORT, 6, 2)
            )
            assert many == pytest.approx(few, rel=0.1)


async def test_who_marks_everything_as_a_call_stays_below_the_cap(network: None, tmp_path: Path) -> None:
    async with shaper_in(tmp_path) as shaper:
        await shaper.shape(DOWN_BPS, UP_BPS)
        await run(PHONES[0], "flood", FAR4, PORT, 2, 3 * UP_BPS)
        calls = (await shaper.status()).carried[Way.UP][TrafficClass.REALTIME]
        assert 0.7 * UP_BPS * 2 / 8 < calls.sent_bytes < 0.95 * UP_BPS * 2 / 8
        assert calls.drops > 0
        assert calls.routed_bytes == calls.sent_bytes


async def test_a_queue_of_somebody_else_is_left_alone_and_told(network: None, tmp_path: Path) -> None:
    foreign = ("root", "handle", "5:", "tbf", "rate", "9mbit", "burst", "9k", "limit", "9k")
    within(BOX, "tc", "qdisc", "add", "dev", LINK, *foreign)
    before = standing()
    async with shaper_in(tmp_path) as shaper:
        shaper.client.tell(KernelRates(DOWN_BPS, UP_BPS))
        await wait_until(lambda: shaper.client.status().cannot not in {(), (NOT_THERE,)})
        status = shaper.client.status()
        assert not status.shaping
        assert status.cannot[0] % status.values == (
            "Somebody else has put a queue (tbf) on the link's interface; it was left as it is."
        )
        assert standing() == before
    assert standing() == before


async def test_a_silent_box_loses_its_queues(network: None, tmp_path: Path) -> None:
    before = standing()
    async with shaper_in(tmp_path) as shaper:
        await shaper.shape(DOWN_BPS, UP_BPS)
        shaper.speaking.cancel()
        await wait_until(lambda: standing() == before)


async def test_queues_come_back_with_the_interface(network: None, tmp_path: Path) -> None:
    async with shaper_in(tmp_path) as shaper:
        await shaper.shape(DOWN_BPS, UP_BPS)
        within(BOX, "ip", "link", "del", LINK)
        await wait_until(lambda: not shaper.client.status().shaping)
        within(BOX, "ip", "link", "add", LINK, "type", "veth", "peer", "name", "other")
        await wait_until(lambda: shaper.client.status().shaping)
        assert "7a60:" in within(BOX, "tc", "qdisc", "show", "dev", LINK)


async def test_a_second_shaper_is_refused(network: None, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    async with shaper_in(tmp_path):
        second = await start_shaper(tmp_path / "other")
        said = await second.communicate()
        assert second.returncode == 1
        assert b"Another shaper runs" in said[1]


async def test_without_the_capability_it_says_what_to_do_and_ends(tmp_path: Path) -> None:
    drop = shutil.which("setpriv")
    if drop is None:
        pytest.skip("no setpriv here (util-linux)")
    command = [drop, "--bounding-set", "-net_admin", sys.executable, "-m", "gateway", "shaper"]
    done = subprocess.run(
        [*command, "--config", str(config_in(tmp_path))],
        capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8"},
    )  # fmt: skip
    assert done.returncode == 77
    assert "CAP_NET_ADMIN" in done.stderr
    assert "deploy/" in done.stderr
    assert "Traceback" not in done.stderr


async def test_a_stranger_on_the_machine_is_not_listened_to(network: None, tmp_path: Path) -> None:
    async with shaper_in(tmp_path):
        path = tmp_path / "var" / "shaper.sock"
        assert path.stat().st_mode & 0o777 == 0o600
        path.chmod(0o777)
        path.parent.chmod(0o711)
        child = os.fork()
        if child == 0:
            answered = 2
            try:
                answered = answered_as_nobody(path)
            finally:
                os._exit(answered)  # whatever happens: this is a copy of the whole test run
        _, ended = await asyncio.to_thread(os.waitpid, child, 0)
        assert os.waitstatus_to_exitcode(ended) == 0


async def test_a_move_costs_little_and_loses_nothing(network: None, tmp_path: Path) -> None:
    async with shaper_in(tmp_path) as shaper:
        await shaper.shape(DOWN_BPS, UP_BPS)
        before_s = cpu_s(shaper.process.pid)
        async with asyncio.TaskGroup() as tasks:
            stirring = tasks.create_task(stir(shaper))
            call = await run(PHONES[0], "call", FAR4, PORT, 3)
            stirring.cancel()
        assert call["answered_ratio"] > 0.98
        assert (cpu_s(shaper.process.pid) - before_s) / 3 < 0.1  # of a core, for some thirty moves a second
        assert shaper.client.status().tree == 1


async def test_it_needs_no_right_but_one(network: None, tmp_path: Path) -> None:
    only = shutil.which("setpriv")
    if only is None:
        pytest.skip("no setpriv here (util-linux)")
    async with shaper_in(tmp_path, only, "--bounding-set", "-all,+net_admin") as shaper:
        await shaper.shape(DOWN_BPS, UP_BPS)
        assert shaper.client.status().cannot == ()


@pytest.mark.parametrize("link", ["veth", "tun"])
async def test_without_nftables_marks_and_rates_still_hold(link: Literal["veth", "tun"], tmp_path: Path) -> None:
    hidden = f'mount --bind /dev/null {shutil.which("nft")} && exec "$@"'
    with village(link):
        before = standing()
        async with shaper_in(tmp_path, "unshare", "-m", "sh", "-c", hidden, "sh") as shaper:
            await shaper.shape(DOWN_BPS, UP_BPS)
            assert shaper.client.status().cannot == (NO_DEVICES,)
            for far in (FAR4, FAR6):
                _, rate_bps = await at_once(
                    run(PHONES[0], "call", far, PORT, 3), run(PHONES[1], "fetch", far, PORT, 3, 8)
                )
                assert rate_bps == pytest.approx(DOWN_BPS, rel=0.08)  # the call takes its part
            calls = (await shaper.status()).carried[Way.UP][TrafficClass.REALTIME]
            assert calls.sent_bytes > 2 * 3 * 45 * 100
            assert calls.routed_bytes is None
        assert standing() == before
