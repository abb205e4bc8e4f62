"""A worker reads one job after another from the socket it was started with, and can do nothing else of harm.

What it decodes is hostile by assumption. It is a process of its own, started anew and not forked, that holds none of
the box's sockets and keys; the kernel ends it when it takes more memory or time than it may, and its parent when it is
silent for too long. It writes no files, and is gone when its parent is.
"""

import os
import resource
import socket
import sys

from gateway.web.saver.jobs import LENGTHS, DenseJob, Done, answered, read_job

FILES_MAX = 32
CPU_SPARE_S = 2  # over a job's own limit, so that the job ends by itself where it can
NICE = 5  # after the pages, and after a consultation by far


def main() -> None:
    """Do jobs until the socket is closed."""
    memory_bytes_max, idle = int(sys.argv[1]), sys.argv[2] == "idle"
    _confine(memory_bytes_max, idle=idle)
    with socket.socket(fileno=os.dup(0)) as channel:
        while (lengths := _exactly(channel, LENGTHS.size)) is not None:
            head_bytes, data_bytes = LENGTHS.unpack(lengths)
            head, data = _exactly(channel, head_bytes), _exactly(channel, data_bytes)
            if head is None or data is None:
                return
            channel.sendall(answered(_done(head, data)))


def _done(head: bytes, data: bytes) -> Done:
    job = read_job(head)
    _limit_cpu(job.time_s)
    try:
        if isinstance(job, DenseJob):
            from gateway.web.saver.dense import dense

            return dense(data, job)
        from gateway.web.saver.render import rendered  # imported where it is needed: it is most of a worker's memory

        return rendered(data, job)
    except MemoryError:
        return Done("too-large")


def _confine(memory_bytes_max: int, *, idle: bool) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes_max, memory_bytes_max))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES_MAX, FILES_MAX))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(NICE)
    if idle and hasattr(os, "SCHED_IDLE"):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))  # only where nobody else wants the core


def _limit_cpu(time_s: float) -> None:
    """Have the kernel end this process once it has used so much more of a core."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard_s = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime + time_s) + CPU_SPARE_S, hard_s))


def _exactly(channel: socket.socket, size_bytes: int) -> bytes | None:
    """Return so many bytes, or None at the end."""
    data = bytearray(size_bytes)
    view = memoryview(data)
    while view:
        count = channel.recv_into(view)
        if not count:
            return None
        view = view[count:]
    return bytes(data)


if __name__ == "__main__":
    main()
