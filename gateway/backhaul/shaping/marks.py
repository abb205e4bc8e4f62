"""Every socket of the box says in its packets which class they are of, for whoever queues them after us.

- realtime, AF41 (34): BUNDLE puts voice and picture on one 5-tuple, and RFC 8837 §5 has AF41 for "interactive video
  with or without audio". EF is for what is small and admitted (RFC 3246, RFC 4594 §4.1): where it is policed, a
  picture's burst would have the voice dropped with it.
- interactive, AF21 (18): low-latency data, a client's transactions and orders among them (RFC 4594 §4.7).
- web, default (0): RFC 4594 §4.9.
- bulk, LE (1): lower effort, which leaves first (RFC 8622).

The priority is for the box's own queues (`priomap`, skb->priority), and is set last: `IP_TOS` resets it.
"""

import socket
from contextlib import suppress
from types import MappingProxyType
from typing import Protocol

from gateway.backhaul.sharing.classes import TrafficClass

DSCP = MappingProxyType(
    {TrafficClass.REALTIME: 34, TrafficClass.INTERACTIVE: 18, TrafficClass.WEB: 0, TrafficClass.BULK: 1}
)
PRIORITY = MappingProxyType(  # linux/pkt_sched.h: TC_PRIO_INTERACTIVE, _INTERACTIVE_BULK, _BESTEFFORT, _BULK
    {TrafficClass.REALTIME: 6, TrafficClass.INTERACTIVE: 4, TrafficClass.WEB: 0, TrafficClass.BULK: 2}
)


class Markable(Protocol):
    """A socket, or what an event loop shows of one."""

    @property
    def family(self) -> int:
        """Its address family."""
        ...

    def setsockopt(self, level: int, option: int, value: int, /) -> None:
        """Set an option."""
        ...


def mark(sock: Markable, traffic_class: TrafficClass) -> None:
    """Let what the socket sends from now on bear the marks of a class; a socket that takes none stays as it is."""
    field = DSCP[traffic_class] << 2  # the two bits below are for ECN (RFC 3168 §5), which TCP sets by itself
    with suppress(OSError):
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, field)
        else:
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, field)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, PRIORITY[traffic_class])
