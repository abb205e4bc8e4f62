"""What a failure of the index means: a row is broken, the disk is, it is full, or the index itself is broken."""

import errno
import sqlite3
from enum import Enum

from diskcache import Timeout

from gateway.web.store.rows import NotPlain

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_OF_THE_DISK = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_READONLY,
    }
)
# whatever reading damaged rows may come to; what is none of these is a fault of the program
FAULTS = (OSError, sqlite3.Error, Timeout, ValueError, TypeError, LookupError, ArithmeticError, AssertionError)


class Fault(Enum):
    """What failed."""

    ROW = "row"
    DISK = "disk"
    FULL = "full"
    INDEX = "index"


def fault_of(exc: BaseException) -> Fault:
    """Return what failed; the first failure says it, not what failed while it was put right."""
    while isinstance(exc.__context__, FAULTS):
        exc = exc.__context__
    if isinstance(exc, NotPlain):
        return Fault.ROW
    if isinstance(exc, OSError):
        return Fault.FULL if exc.errno in _FULL else Fault.DISK
    if isinstance(exc, Timeout):
        return Fault.DISK
    code = getattr(exc, "sqlite_errorcode", None)
    if isinstance(exc, sqlite3.Error) and code is not None and code & 0xFF in _OF_THE_DISK:
        return Fault.FULL if code & 0xFF == sqlite3.SQLITE_FULL else Fault.DISK
    return Fault.INDEX
