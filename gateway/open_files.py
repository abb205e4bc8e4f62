"""A process may open as many files as the system lets it: a village's connections are files, and 1,024 are few."""

import contextlib
import resource


def may_open_all() -> None:
    """Raise this process's limit of open files to the most that it may set itself (setrlimit(2))."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
