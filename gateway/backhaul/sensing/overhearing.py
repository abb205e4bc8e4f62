"""Listens on the link's interface to the timestamps that pass, and looks at few enough to cost next to nothing.

The kernel drops all else (classic BPF), notes when each packet came, and keeps them until the next tick: there is no
wake-up per packet. When more come than may be looked at, it is asked at once to drop half of them, and what waits is
forgotten. Needs CAP_NET_RAW; without it the box does without.

Source: packet(7), socket(7), Linux Documentation/networking/filter.rst.
"""

import ctypes
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from gateway.backhaul.sensing.overheard import Overheard, lowest
from gateway.backhaul.sensing.samples import DelaySample, Sees
from gateway.backhaul.sensing.segments import SNAP_BYTES, THIN_BITS_MAX, kernel_filter, parse
from gateway.backhaul.sensing.stamps import ANCILLARY_BYTES, LATE_NS, age_ns, note_arrivals, raw_us, wall_ns
from gateway.clock import Clock
from gateway.errors import N_

LOOKED_AT_HZ_MAX = 200.0  # packets a second: under 1 % of a core
LOOKED_AT_ONCE_MAX = 64
THIN_AFTER_S = 1.0
FEW_RATIO = 0.3  # twice as many still leave room
ALL_PROTOCOLS = 0x0003  # ETH_P_ALL: only this one hears what goes out, too
SO_ATTACH_FILTER = 26  # asm-generic/socket.h
RECEIVE_BUFFER_BYTES = 1 << 18
WAITING_MAX = 512  # more small packets than that buffer holds
LOOK_AGAIN_S = 5.0  # for an interface that is gone
_INSTRUCTION_BYTES = 8
NOT_ALLOWED = N_("The box may not listen to passing timestamps: it has no CAP_NET_RAW. It measures with what it has.")
NO_INTERFACE = N_("The link's interface is not there: nothing passes that could be listened to.")


@dataclass(frozen=True, slots=True)
class OverhearingStatistics:
    """What was looked at since the start; `trouble` is a message id."""

    looked_at: int
    told: int
    flows: int
    thinned_to: int  # one in so many
    trouble: str | None


class Overhearing:
    """The ear on one interface; `drain` is called every 10 to 20 ms by whoever wants to know."""

    def __init__(
        self,
        interface: str,
        clock: Clock,
        *,
        known: Callable[[Sees], float | None] | None = None,
        looked_at_hz_max: float = LOOKED_AT_HZ_MAX,
    ) -> None:
        self._interface = interface
        self._clock = clock
        self._overheard = Overheard(known) if known is not None else Overheard()
        self._looked_at_hz_max = looked_at_hz_max
        self._socket: socket.socket | None = None
        self._trouble: str | None = None
        self._wanted = False
        self._look_again_s = 0.0
        self._thin_bits = 0
        self._second: tuple[float, int] = (0.0, 0)  # since when, how many were looked at by then
        self._purse = 0.0  # how many may be looked at now
        self._drained_s = 0.0
        self._drained_us = raw_us()
        self._looked_at = self._told = 0

    def start(self) -> str | None:
        """Listen from now on; returns a sentence (a message id) where that is not possible now."""
        self._wanted = True
        self._drained_s = self._clock.now_s()
        self._open()
        return self._trouble

    def stop(self) -> None:
        """Listen no longer."""
        self._wanted = False
        self._close()

    def statistics(self) -> OverhearingStatistics:
        """Return what was looked at."""
        return OverhearingStatistics(
            self._looked_at, self._told, len(self._overheard), 1 << self._thin_bits, self._trouble
        )

    def drain(self) -> list[DelaySample]:
        """Return what was heard since the last look: the least of each flow and direction. Never waits."""
        now_s = self._clock.now_s()
        now_us = raw_us()
        since_ns, self._drained_us = (now_us - self._drained_us) * 1000 + LATE_NS, now_us
        self._purse = min(LOOKED_AT_ONCE_MAX, self._purse + self._looked_at_hz_max * max(0.0, now_s - self._drained_s))
        self._drained_s = now_s
        if self._socket is None:
            if self._wanted and self._trouble != NOT_ALLOWED and now_s >= self._look_again_s:
                self._open()
            return []
        heard = self._read(self._socket, now_s, since_ns)
        if self._socket is not None:
            self._thin(self._socket, now_s)
        told = lowest(heard)
        self._told += len(told)
        return told

    def _read(self, sock: socket.socket, now_s: float, since_ns: int) -> list[DelaySample]:
        heard: list[DelaySample] = []
        now_ns = wall_ns()
        while self._purse >= 1:
            try:
                packet, ancillary, _, address = sock.recvmsg(SNAP_BYTES, ANCILLARY_BYTES)
            except BlockingIOError:
                break
            except OSError:  # ENETDOWN: the interface is down or gone
                self._close()
                self._trouble = NO_INTERFACE
                break
            self._purse -= 1
            self._looked_at += 1
            at_s = now_s - age_ns(ancillary, now_ns, since_ns) / 1e9
            segment = parse(packet, outgoing=address[2] == socket.PACKET_OUTGOING, at_s=at_s)
            if segment is not None:
                heard.extend(self._overheard.feed(segment))
        return heard

    def _thin(self, sock: socket.socket, now_s: float) -> None:
        """Let the kernel pass half as many at once when there were too many, and twice after a second of few."""
        if self._purse < 1 and self._thin_bits < THIN_BITS_MAX:
            self._pass_one_in(sock, self._thin_bits + 1, now_s)
            _forget_waiting(sock)  # late news is worse than none
        since_s, before = self._second
        if now_s - since_s < THIN_AFTER_S:
            return
        few = (self._looked_at - before) / (now_s - since_s) < FEW_RATIO * self._looked_at_hz_max
        self._pass_one_in(sock, max(self._thin_bits - 1, 0) if few else self._thin_bits, now_s)

    def _pass_one_in(self, sock: socket.socket, thin_bits: int, now_s: float) -> None:
        self._second = (now_s, self._looked_at)
        if thin_bits != self._thin_bits:
            self._thin_bits = thin_bits
            attach(sock, kernel_filter(thin_bits))

    def _open(self) -> None:
        self._look_again_s = self._clock.now_s() + LOOK_AGAIN_S
        self._trouble = None
        try:
            # of no protocol until it is bound, so that nothing comes in unfiltered
            sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, 0)
        except OSError:
            self._trouble = NOT_ALLOWED
            return
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
            note_arrivals(sock)
            attach(sock, kernel_filter(self._thin_bits))
            sock.bind((self._interface, ALL_PROTOCOLS))
        except OSError:
            sock.close()
            self._trouble = NO_INTERFACE
            return
        self._socket = sock
        self._second = (self._clock.now_s(), self._looked_at)

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _forget_waiting(sock: socket.socket) -> None:
    one = bytearray(1)
    with suppress(OSError):
        for _ in range(WAITING_MAX):
            sock.recv_into(one)


def attach(sock: socket.socket, program: bytes) -> None:
    """Put a filter in the place of the one before."""
    code = ctypes.create_string_buffer(program)
    sock.setsockopt(
        socket.SOL_SOCKET,
        SO_ATTACH_FILTER,
        struct.pack("@HP", len(program) // _INSTRUCTION_BYTES, ctypes.addressof(code)),
    )
