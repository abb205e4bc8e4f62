"""A report as a RADIUS packet, and whether an answer acknowledges it. Pure but for the library's own randomness.

A packet is sent again as it is: same Identifier, same octets, so that the server knows it (RFC 2866 §3, RFC 5080
§2.2.2). An answer counts only with a Response Authenticator made with our secret over our request.

BlastRADIUS (CVE-2024-3596) forges answers to Access-Requests, into which it can put a prefix of its own because nothing
protects them. An Accounting-Request is covered whole by its own authenticator, so that way is closed, and RFC 2866 asks
for no Message-Authenticator; where an answer carries one, it is verified all the same.
"""

from collections.abc import Sequence
from enum import StrEnum

from pyrad.packet import AccountingResponse, AcctPacket, PacketError

TEXT_BYTES_MAX = 253  # RFC 2865 §5
PACKET_BYTES_MAX = 4_096  # RFC 2866 §3
_CODES = {
    "User-Name": 1,  # RFC 2865 §5
    "NAS-Identifier": 32,
    "Acct-Status-Type": 40,  # RFC 2866 §5
    "Acct-Delay-Time": 41,
    "Acct-Input-Octets": 42,
    "Acct-Output-Octets": 43,
    "Acct-Session-Id": 44,
    "Acct-Session-Time": 46,
    "Acct-Terminate-Cause": 49,
    "Acct-Input-Gigawords": 52,  # RFC 2869 §5
    "Acct-Output-Gigawords": 53,
    "Event-Timestamp": 55,
    "NAS-Port-Type": 61,
}


class Answer(StrEnum):
    """What an incoming datagram is to a request."""

    ACKNOWLEDGED = "acknowledged"
    OTHER = "other"  # to another request, or no answer at all
    FORGED = "forged"  # an answer to this one, made with another secret


class Request:
    """One accounting request, encoded once."""

    def __init__(self, identifier: int, secret: bytes, attributes: Sequence[tuple[str, int | str]]) -> None:
        self._packet = AcctPacket(id=identifier % 256, secret=secret)
        for name, value in attributes:
            self._packet[_CODES[name]] = [_octets(value)]
        self.octets: bytes = self._packet.RequestPacket()

    def answered_by(self, octets: bytes) -> Answer:
        """Return what a datagram is to this request."""
        if not 20 <= len(octets) <= PACKET_BYTES_MAX or octets[0] != AccountingResponse or octets[1] != self.octets[1]:
            return Answer.OTHER
        try:
            is_ours = self._packet.VerifyReply(self._packet.CreateReply(packet=octets), octets)
        except (PacketError, ValueError, KeyError, IndexError):
            return Answer.OTHER
        return Answer.ACKNOWLEDGED if is_ours else Answer.FORGED


def _octets(value: int | str) -> bytes:
    """Return a value as it is sent: a number in four octets, a text cut where it does not fit, between characters."""
    if isinstance(value, int):
        return value.to_bytes(4, "big")
    return value.encode()[:TEXT_BYTES_MAX].decode(errors="ignore").encode()
