"""A socket is bound to one way, and cut when its way is dead.

Bound by the device (socket(7), SO_BINDTODEVICE: without privilege since Linux 5.7, for a socket that is bound to none
yet); before that by the device's address. Either needs a route: each device a default route of its own, with a metric,
and by address also a rule (`ip rule add from ADDRESS table N`).

A dead connection is cut by connecting it to nowhere (AF_UNSPEC): the kernel forgets it and wakes whoever reads with
ECONNRESET. Shutting it down would wake them with an end of file, which a body without a length ends with too.
"""

import ctypes
import socket
import struct
from fcntl import ioctl

IP_BIND_ADDRESS_NO_PORT = 24  # linux/in.h
_SIOCGIFADDR = 0x8915  # netdevice(7)
_IFREQ = struct.Struct("16s24x")
_ADDRESS_AT = 20  # of `sin_addr` in struct ifreq
_NOWHERE = struct.pack("H14x", socket.AF_UNSPEC)
_libc = ctypes.CDLL(None)


def bind_to(sock: socket.socket, interface: str) -> None:
    """Let a socket that is not connected yet go out by this interface alone.

    Raises: OSError, where the interface is gone.
    """
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
    except PermissionError:
        if sock.family != socket.AF_INET:
            raise
        sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        sock.bind((address_of(interface), 0))


def address_of(interface: str) -> str:
    """Return the interface's IPv4 address.

    Raises: OSError, where it is gone or has none.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        told = ioctl(asked, _SIOCGIFADDR, _IFREQ.pack(interface.encode()))
    return socket.inet_ntoa(told[_ADDRESS_AT : _ADDRESS_AT + 4])


def cut(sock: socket.socket) -> None:
    """End a TCP connection at once, whoever waits for it; one that is closed or never was connected is left alone."""
    number = sock.fileno()
    if number >= 0:
        _libc.connect(number, _NOWHERE, len(_NOWHERE))  # where it fails there was nothing to end
