"""What the link's interface has carried, cheaply, and never less than before.

The kernel's counters begin anew each time an interface appears (a modem that is plugged in again); the totals here go
on. An Ethernet-like interface counts its own 14 bytes a packet, which never cross the radio: they are taken off.

Source: Linux Documentation/ABI/testing/sysfs-class-net-statistics, `type` as in if_arp.h.
"""

import os
from contextlib import suppress
from pathlib import Path

from gateway.backhaul.sensing.samples import CounterSample
from gateway.clock import Clock

_NET = Path("/sys/class/net")
_FILES = ("rx_bytes", "tx_bytes", "rx_packets", "tx_packets")
_ETHERNET, _ETHERNET_HEADER_BYTES = b"1", 14
LOOK_AGAIN_S = 0.5  # for an interface that is gone


class Counters:
    """The counters of one interface, kept open."""

    def __init__(self, interface: str, clock: Clock, *, net: Path = _NET) -> None:
        self._folder = net / interface
        self._clock = clock
        self._files: list[int] = []
        self._header_bytes = 0
        self._last: tuple[int, int] | None = None  # as the kernel has them
        self._total = (0, 0)
        self._look_again_s = float("-inf")

    @property
    def present(self) -> bool:
        """Whether the interface was there at the last reading."""
        return bool(self._files)

    def read(self) -> CounterSample:
        """Return what has crossed since the first reading; while the interface is gone, what had crossed."""
        now_s = self._clock.now_s()
        if not self._files and now_s >= self._look_again_s:
            self._look_again_s = now_s + LOOK_AGAIN_S
            self._open()
        if self._files:
            self._count()
        return CounterSample(now_s, *self._total)

    def close(self) -> None:
        """Close what is open; the totals stay."""
        while self._files:
            os.close(self._files.pop())

    def _open(self) -> None:
        try:
            for name in ("type", *(f"statistics/{each}" for each in _FILES)):
                self._files.append(os.open(self._folder / name, os.O_RDONLY | os.O_CLOEXEC))
            kind = os.pread(self._files[0], 24, 0).strip()
            os.close(self._files.pop(0))
        except OSError:
            self.close()
            return
        self._header_bytes = _ETHERNET_HEADER_BYTES if kind == _ETHERNET else 0
        if self._last is not None:
            self._last = (0, 0)  # it is a new one: all it counts is new

    def _count(self) -> None:
        try:
            rx, tx, rx_packets, tx_packets = (int(os.pread(each, 24, 0)) for each in self._files)
        except (OSError, ValueError):  # ENODEV: unplugged
            self.close()
            return
        now = rx - rx_packets * self._header_bytes, tx - tx_packets * self._header_bytes
        last = self._last or now
        down, up = (
            after - before if after >= before else max(after, 0) for before, after in zip(last, now, strict=True)
        )
        self._last = now
        self._total = self._total[0] + down, self._total[1] + up

    def __del__(self) -> None:
        with suppress(OSError):
            self.close()
