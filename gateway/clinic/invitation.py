"""A consultation's links: who holds one may take one place in one room until it expires, and nothing else. Pure.

A token is the place itself, signed: `version · role · expiry · consultation · HMAC-SHA256`, in URL-safe base64 without
padding. Nothing is stored, so a link made before a restart still opens its room. Whatever is wrong with a token, the
answer is the same sentence, so that trying tells nothing; only a genuine one that has run out is told so.

Source: RFC 2104 (HMAC), RFC 4648 §5 (URL-safe base64).
"""

import base64
import binascii
import hashlib
import hmac
import struct
from dataclasses import dataclass, field
from typing import Literal

from gateway.errors import N_, NotAllowed

Role = Literal["nurse", "doctor", "interpreter", "guest", "camera"]

ROLES: tuple[Role, ...] = ("nurse", "doctor", "interpreter", "guest", "camera")  # only ever added to at the end
INTERPRETER_S = 3_600  # an interpreter is asked in for one talk
TOKEN_CHARS_MAX = 120
CONSULTATION_BYTES_MAX = 40  # with the rest of a token: 106 characters
_VERSION = 1
_HEAD = struct.Struct("!BBQ")  # version, role, expiry in seconds since 1970 UTC
_MAC_BYTES = hashlib.sha256().digest_size
_PURPOSE = b"tambo clinic invitation\0"  # a key signs for one purpose only


class Expired(NotAllowed):
    """A genuine link that has run out."""

    code = "expired"
    what = N_("This consultation link has expired.")
    advice = N_("Ask the clinic for a new link.")


@dataclass(frozen=True, slots=True)
class Invitation:
    """What one link opens: a place in a room, until `expires_s` (seconds since 1970 UTC)."""

    consultation: str
    role: Role
    expires_s: int


@dataclass(frozen=True, slots=True)
class Invitations:
    """Who may be let into one consultation: a token for each role, made when it is asked for."""

    consultation: str
    wall_s: float
    link_s: int
    key: bytes = field(repr=False)

    @property
    def nurse(self) -> str:
        """The nurse's token."""
        return self.link("nurse")

    @property
    def doctor(self) -> str:
        """The doctor's token."""
        return self.link("doctor")

    def link(self, role: Role, link_s: int | None = None) -> str:
        """Return the token of a role, good for `link_s` from when this was made; an interpreter's for an hour."""
        usual_s = min(self.link_s, INTERPRETER_S) if role == "interpreter" else self.link_s
        expires_s = int(self.wall_s) + (usual_s if link_s is None else link_s)
        return sign(self.key, Invitation(self.consultation, role, expires_s))


def invite(key: bytes, *, wall_s: float, link_s: int, consultation: str) -> Invitations:
    """Return the tokens of a consultation, good for `link_s` from now."""
    return Invitations(consultation, wall_s, link_s, key)


def sign(key: bytes, invitation: Invitation) -> str:
    """Return the token for `invitation`.

    Raises: ValueError when the consultation's name is empty or too long.
    """
    name = invitation.consultation.encode()
    if not 0 < len(name) <= CONSULTATION_BYTES_MAX:
        raise ValueError("a consultation's name has 1 to 40 bytes")
    body = _HEAD.pack(_VERSION, ROLES.index(invitation.role), invitation.expires_s) + name
    return base64.urlsafe_b64encode(body + _mac(key, body)).rstrip(b"=").decode("ascii")


def read(key: bytes, token: str, wall_s: float) -> Invitation:
    """Return what `token` opens.

    Raises: Expired when it is genuine and has run out, else NotAllowed.
    """
    invitation = _genuine(key, token)
    if invitation is None:
        raise NotAllowed(
            N_("This consultation link is not valid."),
            N_("Open the link exactly as you were given it, or ask the clinic for a new one."),
        )
    if wall_s >= invitation.expires_s:
        raise Expired
    return invitation


def _genuine(key: bytes, token: str) -> Invitation | None:
    signed = _decoded(token)
    if len(signed) <= _HEAD.size + _MAC_BYTES:
        return None
    body, mac = signed[:-_MAC_BYTES], signed[-_MAC_BYTES:]
    if not hmac.compare_digest(mac, _mac(key, body)):
        return None
    version, role, expires_s = _HEAD.unpack_from(body)
    if version != _VERSION or role >= len(ROLES):  # a later version of the box signed it
        return None
    return Invitation(body[_HEAD.size :].decode(), ROLES[role], expires_s)


def _decoded(token: str) -> bytes:
    if len(token) > TOKEN_CHARS_MAX or not token.isascii():
        return b""
    try:
        signed = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return b""
    # one token, one spelling: base64 leaves spare bits at the end
    return signed if base64.urlsafe_b64encode(signed).rstrip(b"=").decode("ascii") == token else b""


def _mac(key: bytes, body: bytes) -> bytes:
    return hmac.new(key, _PURPOSE + body, hashlib.sha256).digest()
