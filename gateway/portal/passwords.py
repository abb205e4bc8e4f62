"""A password is stored as argon2id and checked at a cost that is the same whether the account exists.

19 MiB and two passes: OWASP's setting for small machines; about 40 ms on a laptop, 200 ms on a village board. Two at
once (see `Doorkeeper`) keep it under 40 MiB.

Source: RFC 9106; OWASP Password Storage Cheat Sheet (m=19456, t=2, p=1).
"""

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

MEMORY_KIB = 19_456
PASSES = 2
LANES = 1

_HASHER = PasswordHasher(time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=LANES)
# What an unknown name is checked against: the hash of a random password that was thrown away.
_NOBODY = "$argon2id$v=19$m=19456,t=2,p=1$ODwiBihJst1pKCaZ0T6fQg$wuz4BjnvteuONpCtrlvcC1thaRQZ5Fxt5kiGVUfbS6k"


def hashed(password: str) -> str:
    """Return the argon2id hash of a password, with its parameters and salt. Slow on purpose."""
    return _HASHER.hash(password)


def matches(stored: str | None, password: str) -> bool:
    """Say whether `password` is the one behind `stored`; costs the same when there is none."""
    try:
        _HASHER.verify(stored or _NOBODY, password)
    except (VerificationError, InvalidHashError):
        return False
    return stored is not None
