"""The box's own connections: made here, so that their first flight is small, then measured and steered one by one.

A download's rate is its sender's to choose; what the receiver has is the window (RFC 9840). Seen on Linux 6.18 with a
round trip of 40 ms (2026-11), for a first window of 8 segments:

| before connecting              | first flight | window field counts | largest window later | the window is           |
|--------------------------------|--------------|---------------------|----------------------|-------------------------|
| nothing                        | 14,480 B     | 1,024 B             | autotuned            | the kernel's            |
| nothing; clamp once connecting | 14,480 B     | 1,024 B             | autotuned            | the kernel's again soon |
| `SO_RCVBUF`                    | 10,136 B     | 1 B                 | 65,535 B for ever    | the buffer's            |
| `TCP_WINDOW_CLAMP`             | 10,136 B     | 1 B                 | 65,535 B for ever    | 64 KB in 80 ms          |
| `SO_RCVBUF`, its lock opened,  | 10,136 B     | 64 B                | 4 MB                 | ours, up within a round |
| and a clamp of 4 MB            |              |                     |                      | trip, down at once      |

The last is done here: the offered window is the buffer's, while its scale is chosen from the largest buffer there may
be and the clamp, once `SO_BUF_LOCK` says that the buffer is nobody's wish (tcp_select_initial_window in the kernel's
tcp_output.c). From the first share on the clamp is moved, and the buffer is twice the clamp. The kernel's autotuning
lifts a clamp up to the buffer as more comes in a round trip than ever before, mostly once a connection: `sample` sees
that, and puts it back. What was offered is never taken back (RFC 9293 §3.8.6.2.1), so a lower window is in force once
what it is lower by has come.

Upwards the kernel paces (`SO_MAX_PACING_RATE`), and what is not sent yet is kept short (`TCP_NOTSENT_LOWAT`), so that a
lower share is at once what is sent. One upload on 1 Mbit/s queued for 380 ms by itself, and for 24 ms (two packets)
paced at 0.9; `SO_SNDBUF` changed nothing (cubic and BBR, 2026-11). Congestion control stays the kernel's.

A connection is known by the socket object it was made with, never by its number: a closed one has none, so whatever
gets its number next is not touched.
"""

import socket
import struct
from array import array
from collections.abc import Callable, Iterable
from fcntl import ioctl
from termios import FIONREAD, TIOCOUTQ
from typing import Any, Protocol
from weakref import WeakValueDictionary

from gateway.backhaul.sensing.samples import FULL_BYTES, FlowSample
from gateway.backhaul.shaping.marks import Markable, mark
from gateway.backhaul.shaping.window import SEGMENTS_MIN, WINDOW_BYTES_MAX
from gateway.backhaul.sharing.classes import TrafficClass
from gateway.clock import Clock

SMALL_BYTES = 576  # two of them are the least window the kernel has (SOCK_MIN_RCVBUF)
TIME_STAMPS_BYTES = 12  # which a segment's announced size includes (RFC 7323 §2)
UNSENT_BYTES_MAX = 16_384  # an eighth of a second at 1 Mbit/s; half of it is what asks for more
CHANGE_BYTES_MIN = 256  # smaller changes of a window are not worth a system call,
CHANGE_RATIO_MIN = 0.03  # nor are these
SETTLED_TIMES = 4  # autotuning has lifted what it will once so many windows have come
SO_BUF_LOCK = 72  # asm-generic/socket.h, since Linux 5.14
SO_MAX_PACING_RATE = 47
TCP_WINDOW_CLAMP = 10  # linux/tcp.h; Python names it from 3.12 on
TCP_NOTSENT_LOWAT = 25
PACE_MAX = (1 << 31) - 1
UNPACED = -1  # in SO_MAX_PACING_RATE, which is in bytes a second

# linux/tcp.h: rcv_ssthresh, rtt; rcv_rtt; total_retrans; bytes_acked, bytes_received; notsent_bytes, min_rtt,
# data_segs_in, data_segs_out; bytes_sent, bytes_retrans
_INFO = struct.Struct("=64xII20xI4xI16xQQ8xIIII40xQQ16xI")
_NEVER = (1 << 32) - 1  # min_rtt before it was measured
_TCP, _TCP_INFO = socket.IPPROTO_TCP, socket.TCP_INFO
_unread = array("i", [0])  # what the kernel writes to, once a sample

AddressInfo = tuple[Any, ...]


class Carrier(Protocol):
    """What is carried over a connection: a share."""

    def through(self, sock: socket.socket) -> None:
        """Be carried by `sock` from now on."""
        ...

    def leave(self, sock: socket.socket) -> None:
        """Be carried by it no more."""
        ...


class OwnSocket(socket.socket):
    """A connection of the box, with what was set on it."""

    window_bytes: int | None = None  # the clamp in force; None: the kernel's own window
    room_bytes = 0  # the receive buffer that was asked for
    received_bytes = 0
    paced = UNPACED
    segment_bytes = FULL_BYTES
    peer = ""


class Flows:
    """Every connection the box has made, and which share each carries."""

    def __init__(
        self,
        clock: Clock,
        *,
        first_window_bytes: Callable[[], int | None] = lambda: None,
        marks: bool = True,
    ) -> None:
        self.first_window_bytes = first_window_bytes  # of a new connection; None: the kernel's
        self.small_segments: Callable[[], bool] = lambda: False  # whether a new connection's are
        self.bind: Callable[[socket.socket], None] = lambda sock: None  # to the way that is taken
        self._clock = clock
        self._marks = marks
        self._made: WeakValueDictionary[int, OwnSocket] = WeakValueDictionary()
        self._carrying: dict[int, OwnSocket] = {}  # by flow

    def open_socket(self, address: AddressInfo) -> socket.socket:
        """Return a socket that connects with a small first flight; `address` is as of getaddrinfo.

        Raises: OSError.
        """
        family, kind, protocol = address[:3]
        sock = OwnSocket(family, kind, protocol)
        try:
            self.bind(sock)
        except OSError:
            sock.close()
            raise
        self._made[sock.fileno()] = sock
        sock.setblocking(False)
        _set(sock, _TCP, TCP_NOTSENT_LOWAT, UNSENT_BYTES_MAX)
        if self.small_segments() and _set(sock, _TCP, socket.TCP_MAXSEG, SMALL_BYTES + TIME_STAMPS_BYTES):
            sock.segment_bytes = SMALL_BYTES
        first_bytes = self.first_window_bytes()
        if first_bytes is not None:
            sock.window_bytes = sock.room_bytes = max(first_bytes, SEGMENTS_MIN * sock.segment_bytes)
            if sock.segment_bytes == SMALL_BYTES:  # the window is rounded down to whole segments as announced
                sock.room_bytes += sock.room_bytes // SMALL_BYTES * TIME_STAMPS_BYTES
            _set(sock, socket.SOL_SOCKET, socket.SO_RCVBUF, sock.room_bytes)
            _set(sock, socket.SOL_SOCKET, SO_BUF_LOCK, 0)
        _set(sock, _TCP, TCP_WINDOW_CLAMP, WINDOW_BYTES_MAX)  # it may have to be steered later
        return sock

    def made(self, fileno: int) -> socket.socket | None:
        """Return the socket that was made here and has this number now."""
        sock = self._made.get(fileno)
        return sock if sock is not None and sock.fileno() == fileno else None

    def fits(self, sock: socket.socket) -> bool:
        """Say whether a connection's packets are as short as a new one's would be."""
        return not (isinstance(sock, OwnSocket) and sock.segment_bytes > SMALL_BYTES and self.small_segments())

    def through(self, flow: int, sock: socket.socket, traffic_class: TrafficClass) -> None:
        """Let a flow be what this socket carries."""
        if not isinstance(sock, OwnSocket):
            return
        self._carrying[flow] = sock
        if not sock.peer:
            sock.peer = _peer(sock)
        self.mark(sock, traffic_class)
        if sock.window_bytes is None or self.first_window_bytes() is None:
            self.clamp(flow, None)
        else:
            _set(sock, _TCP, TCP_WINDOW_CLAMP, sock.window_bytes)

    def leave(self, flow: int, sock: socket.socket) -> None:
        """Let a flow be carried by this socket no more: the next one may use it at another pace."""
        if self._carrying.get(flow) is sock:
            self.pace_up(flow, None)
            del self._carrying[flow]

    def rise(self, flow: int, traffic_class: TrafficClass) -> None:
        """Let a flow's socket bear the marks of another class."""
        if flow in self._carrying:
            self.mark(self._carrying[flow], traffic_class)

    def mark(self, sock: Markable, traffic_class: TrafficClass) -> None:
        """Let a socket, of whatever kind, bear the marks of a class, unless the operator wants none."""
        if self._marks:
            mark(sock, traffic_class)

    def clamp(self, flow: int, window_bytes: int | None, *, tight: bool = False) -> None:
        """Let a flow's sender have only so much in flight; None: what the kernel finds right.

        `tight`: what is not read counts, too, so that a connection that nobody reads from offers one window, not two.
        """
        sock = self._carrying.get(flow)
        if sock is None:
            return
        if window_bytes is None:
            if sock.window_bytes is not None:
                sock.window_bytes, sock.room_bytes = None, 0
                _set(sock, _TCP, TCP_WINDOW_CLAMP, WINDOW_BYTES_MAX)
                _set(sock, socket.SOL_SOCKET, SO_BUF_LOCK, 0)
            return
        before_bytes = sock.window_bytes
        if before_bytes is not None:
            change_bytes = abs(window_bytes - before_bytes)
            if change_bytes < CHANGE_BYTES_MIN or change_bytes < before_bytes * CHANGE_RATIO_MIN:
                window_bytes = before_bytes
        _make_room(sock, window_bytes, tight=tight)
        if window_bytes != before_bytes:
            sock.window_bytes = window_bytes
            _set(sock, _TCP, TCP_WINDOW_CLAMP, window_bytes)

    def pace_up(self, flow: int, rate_bps: int | None) -> None:
        """Let the kernel send a flow at no more than this rate of IP packets."""
        sock = self._carrying.get(flow)
        rate = UNPACED if rate_bps is None else min(max(rate_bps // 8, 1), PACE_MAX)
        if sock is not None and rate != sock.paced:
            sock.paced = rate
            _set(sock, socket.SOL_SOCKET, SO_MAX_PACING_RATE, rate)

    def sample(self, flows: Iterable[int] | None = None) -> list[FlowSample]:
        """Return what the kernel says of the connections that carry these shares, or any; a closed one carries none."""
        at_s = self._clock.now_s()
        samples = []
        for flow in tuple(self._carrying if flows is None else flows):
            sock = self._carrying.get(flow)
            if sock is None:
                continue
            try:
                samples.append(_sample(at_s, flow, sock))
            except OSError:
                del self._carrying[flow]
        return samples


def _make_room(sock: OwnSocket, window_bytes: int, *, tight: bool) -> None:
    """Have a receive buffer that holds the window with the kernel's own overhead.

    At first, and where it is tight, it is the window itself: autotuning lifts the clamp to what the buffer holds, once.
    It becomes smaller only to be tight: what is in flight then is more than it holds, and its open lock lets the kernel
    make room for that (tcp_clamp_window in tcp_input.c) instead of throwing it away. That room is taken back at the
    next look: left there, an unread connection would be sent more and more.
    """
    if not sock.room_bytes or tight:
        sock.room_bytes = _buffer_bytes(sock)
    settled = not tight and sock.received_bytes >= SETTLED_TIMES * window_bytes
    needed_bytes = window_bytes * 2 if settled else window_bytes
    if needed_bytes > sock.room_bytes or (tight and needed_bytes < sock.room_bytes):
        sock.room_bytes = needed_bytes
        _set(sock, socket.SOL_SOCKET, socket.SO_RCVBUF, needed_bytes)
        _set(sock, socket.SOL_SOCKET, SO_BUF_LOCK, 0)  # rmem_max may be lower than what autotuning may give


def _sample(at_s: float, flow: int, sock: OwnSocket) -> FlowSample:
    told = sock.getsockopt(_TCP, _TCP_INFO, _INFO.size)
    window, rtt, rcv_rtt, again, acked, received, notsent, min_rtt, came, went, sent, sent_again, offered = (
        _INFO.unpack(told)
    )
    if sock.window_bytes is not None and window > sock.window_bytes:
        _set(sock, _TCP, TCP_WINDOW_CLAMP, sock.window_bytes)
    ioctl(sock, FIONREAD, _unread)
    sock.received_bytes = received
    unsent = notsent + sent - sent_again - acked
    return FlowSample(
        at_s,
        flow,
        sock.peer,
        received,
        acked,
        _unread[0],
        offered,
        max(0, unsent),  # the SYN was acknowledged as a byte
        rcv_rtt * 1e-6 if rcv_rtt else None,
        rtt * 1e-6 if rtt else None,
        min_rtt * 1e-6 if min_rtt != _NEVER else None,
        came,
        went,
        again,
        sock.segment_bytes,
    )


def least_rtt_s(sock: socket.socket) -> float:
    """Return the least round trip the kernel has seen of a connection; 0 where it has seen none.

    Raises: OSError.
    """
    min_rtt = _INFO.unpack(sock.getsockopt(_TCP, _TCP_INFO, _INFO.size))[7]
    return 0.0 if min_rtt == _NEVER else min_rtt * 1e-6


def unacknowledged_bytes(sock: socket.socket) -> int:
    """Return what was given to the kernel for a connection and the other end has not acknowledged.

    Raises: OSError.
    """
    ioctl(sock, TIOCOUTQ, unacknowledged := array("i", [0]))
    return unacknowledged[0]


def _peer(sock: socket.socket) -> str:
    try:
        return str(sock.getpeername()[0])
    except OSError:
        return ""


def _buffer_bytes(sock: socket.socket) -> int:
    """Return the receive buffer, as one asks for it: the kernel has doubled that (socket(7))."""
    try:
        return sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2
    except OSError:
        return 0


def _set(sock: socket.socket, level: int, option: int, value: int) -> bool:
    """Set an option; a kernel that does not have it, or a socket that is closed, goes without."""
    try:
        sock.setsockopt(level, option, value)
    except OSError:
        return False
    return True
