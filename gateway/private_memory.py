"""What a process holds in memory is read by nobody else, and written into no core dump.

Another process of the same user can neither trace it nor read its `/proc/PID/mem`, `fd`, `maps` and `environ`; root
still can. A process that is begun by `exec` begins without it, and says so for itself.

Source: prctl(2) PR_SET_DUMPABLE, ptrace(2) "Ptrace access mode checking", core(5).
"""

import ctypes
import resource

_PR_SET_DUMPABLE = 4  # linux/prctl.h


def keep_private() -> None:
    """Have this process's memory read by itself and by root alone; where there is no prctl(2), dump no core."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
