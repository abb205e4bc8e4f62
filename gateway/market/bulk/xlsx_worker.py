"""One XLSX file is read from standard input and written as JSON to standard output, by a process that can do no harm.

What it reads is hostile by assumption: it holds nothing of the box, the kernel ends it when it takes more memory or
time than it may, and its parent when it is silent for too long. It writes no files.
"""

import json
import os
import resource
import sys

from gateway.market.bulk.table import FILE_BYTES_MAX, Unreadable
from gateway.market.bulk.xlsx_file import read_xlsx

MEMORY_BYTES_MAX = 512_000_000
CPU_S_MAX = 20  # 5,000 rows take 1.4 s here (2026-11), a small ARM board is ten times slower
FILES_MAX = 16
NICE = 10  # after pages and calls


def main() -> None:
    """Read the one file."""
    _confine()
    data = sys.stdin.buffer.read(FILE_BYTES_MAX + 1)
    try:
        found = read_xlsx(data)
        told: dict[str, object] = {
            "heading": [found.heading.number, found.heading.cells],
            "rows": [[row.number, row.cells] for row in found.rows],
        }
    except Unreadable as exc:
        told = {"what": exc.what, "advice": exc.advice, "values": exc.values}
    sys.stdout.buffer.write(json.dumps(told).encode())


def _confine() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S_MAX, CPU_S_MAX))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES_MAX, FILES_MAX))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(NICE)


if __name__ == "__main__":
    main()
