"""What a process holds in memory is dumped nowhere and read by no other process of its user."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import ctypes, resource
from gateway.private_memory import keep_private
keep_private()
print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), *resource.getrlimit(resource.RLIMIT_CORE))
"""


def test_a_process_is_not_dumpable_and_has_no_core() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "0", "0"]


def test_the_box_s_service_swaps_nothing_and_dumps_nothing() -> None:
    lines = (ROOT / "deploy" / "tambo.service").read_text().splitlines()
    assert {"MemorySwapMax=0", "LimitCORE=0"} <= set(lines)
