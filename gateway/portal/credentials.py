"""What a name, a password and a code may look like. Pure.

Length alone makes a password: rules about its composition make people write it down, and are asked of nobody here.
Codes that people type are of an alphabet without look-alikes, and are read as they were meant.

Source: NIST SP 800-63B-4 §3.1.1.2 (length, no composition rules), Crockford's base 32.
"""

import hashlib
import re
from collections.abc import Callable
from enum import StrEnum

from gateway.errors import N_, BadRequest

PASSWORD_CHARS_MIN = 10
PASSWORD_CHARS_MAX = 128  # argon2 would take more; a form field should not
TOKEN_PREFIX = "tambo_"  # noqa: S105 - marks a token as one, so that a leaked one is found
TOKEN_BYTES = 32
LABEL_CHARS_MAX = 40
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}\Z")
_CODE_LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_CODE_GROUPS, _CODE_GROUP_LETTERS = 4, 4  # 80 bits
_MEANT = str.maketrans({"O": "0", "I": "1", "L": "1", "-": None, " ": None})


class Role(StrEnum):
    """What a person may do here."""

    MERCHANT = "merchant"
    CASHIER = "cashier"  # of one merchant
    NURSE = "nurse"
    DOCTOR = "doctor"
    TECHNICIAN = "technician"


def is_name(text: str) -> bool:
    """Say whether an account may have this name.

    >>> is_name("rosa.quispe"), is_name("Rosa"), is_name("-x"), is_name("a" * 33)
    (True, False, False, False)
    """
    return _NAME.match(text) is not None


def password_fault(password: str) -> str:
    """Return what is wrong with a new password as a message id, or nothing.

    >>> password_fault("seis llamas al alba"), password_fault("corta")
    ('', 'A password needs at least 10 characters.')
    """
    if len(password) < PASSWORD_CHARS_MIN:
        return N_("A password needs at least 10 characters.")
    if len(password) > PASSWORD_CHARS_MAX:
        return N_("A password has at most 128 characters.")
    return ""


def check_name(name: str) -> str:
    """Return `name` when an account may have it.

    Raises: BadRequest.
    """
    if not is_name(name):
        raise BadRequest(
            N_("This user name is not possible."),
            N_("Use small letters, digits, dots, hyphens and underscores: at most 32, the first a letter or a digit."),
        )
    return name


def check_password(password: str) -> str:
    """Return `password` when it may be one.

    Raises: BadRequest.
    """
    if fault := password_fault(password):
        raise BadRequest(fault, N_("Choose a longer one: a few words are easy to remember."))
    return password


def check_label(label: str) -> str:
    """Return a token's label as it is kept: in one line, without what is not seen.

    >>> check_label("  caja   dos ")
    'caja dos'

    Raises: BadRequest.
    """
    kept = " ".join(label.split())
    if len(kept) > LABEL_CHARS_MAX or not kept.isprintable():
        raise BadRequest(N_("This label is not possible."), N_("Write at most 40 letters and digits."))
    return kept


def write_code(pick: Callable[[int], int]) -> str:
    """Return a fresh code of 80 bits; `pick(n)` chooses a number below n.

    >>> write_code(lambda n: n - 1)
    'ZZZZ-ZZZZ-ZZZZ-ZZZZ'
    """
    groups = ("".join(_CODE_LETTERS[pick(32)] for _ in range(_CODE_GROUP_LETTERS)) for _ in range(_CODE_GROUPS))
    return "-".join(groups)


def read_code(typed: str) -> str:
    """Return a typed code as it was meant: without hyphens and spaces, look-alikes mended.

    >>> read_code("zzzz-o1il zzzz zzzz")
    'ZZZZ0111ZZZZZZZZ'
    """
    return typed[:64].upper().translate(_MEANT)


def fingerprint(secret: str) -> bytes:
    """Return what is stored of a random secret; it cannot be turned back.

    A random secret of 80 bits or more needs no slow hash: there is nothing to guess.
    """
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
