"""An interface's totals never fall, whatever becomes of the interface, and count IP packets alone."""

import shutil
from pathlib import Path

from gateway.backhaul.sensing.counters import LOOK_AGAIN_S, Counters
from tests.clocks import HandClock


def test_what_crossed_is_counted_from_the_first_reading(tmp_path: Path, clock: HandClock) -> None:
    _show(tmp_path, rx=5_000, tx=700)
    counters = Counters("wwan0", clock, net=tmp_path)
    assert _read(counters) == (0, 0)
    _show(tmp_path, rx=6_500, tx=800)
    assert _read(counters) == (1_500, 100)
    assert counters.present


def test_a_link_header_is_not_the_links_cost(tmp_path: Path, clock: HandClock) -> None:
    _show(tmp_path, rx=0, tx=0, kind=1)
    counters = Counters("wwan0", clock, net=tmp_path)
    counters.read()
    _show(tmp_path, rx=15_140, tx=54, rx_packets=10, tx_packets=1, kind=1)
    assert _read(counters) == (15_000, 40)


def test_totals_go_on_when_the_interface_comes_back(tmp_path: Path, clock: HandClock) -> None:
    _show(tmp_path, rx=1_000, tx=100)
    counters = Counters("wwan0", clock, net=tmp_path)
    counters.read()
    _show(tmp_path, rx=3_000, tx=300)
    counters.read()
    (tmp_path / "wwan0" / "statistics" / "rx_bytes").write_text("")  # as a device that is gone
    assert _read(counters) == (2_000, 200)
    assert not counters.present
    shutil.rmtree(tmp_path / "wwan0")
    clock.pass_s(LOOK_AGAIN_S)
    assert _read(counters) == (2_000, 200)
    _show(tmp_path, rx=400, tx=40)
    assert _read(counters) == (2_000, 200)  # it is not looked for at every reading
    clock.pass_s(LOOK_AGAIN_S)
    assert _read(counters) == (2_400, 240)
    counters.close()


def test_counters_that_begin_anew_do_not_take_anything_back(tmp_path: Path, clock: HandClock) -> None:
    _show(tmp_path, rx=9_000, tx=900)
    counters = Counters("wwan0", clock, net=tmp_path)
    counters.read()
    _show(tmp_path, rx=50, tx=5)
    assert _read(counters) == (50, 5)


def test_an_interface_that_never_was_reads_as_nothing(tmp_path: Path, clock: HandClock) -> None:
    counters = Counters("wwan0", clock, net=tmp_path)
    assert _read(counters) == (0, 0)
    assert not counters.present


async def test_the_machines_own_interface_can_be_read_in_the_loop(clock: HandClock) -> None:
    counters = Counters("lo", clock)
    assert _read(counters) == (0, 0)
    assert counters.present
    counters.close()


def _read(counters: Counters) -> tuple[int, int]:
    sample = counters.read()
    return sample.down_bytes, sample.up_bytes


def _show(net: Path, *, rx: int, tx: int, rx_packets: int = 0, tx_packets: int = 0, kind: int = 65534) -> None:
    folder = net / "wwan0" / "statistics"
    folder.mkdir(parents=True, exist_ok=True)
    figures = {"rx_bytes": rx, "tx_bytes": tx, "rx_packets": rx_packets, "tx_packets": tx_packets}
    for name, value in figures.items():
        (folder / name).write_text(f"{value}\n")
    (net / "wwan0" / "type").write_text(f"{kind}\n")
