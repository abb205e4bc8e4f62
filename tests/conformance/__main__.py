"""`python -m tests.conformance` prints how much of what is required and recommended holds, by document and door."""

import asyncio
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.conformance.cases import CASES, EXCEPTIONS
from tests.conformance.running import Outcomes, run_all, shares


def main() -> int:
    """Run every case, print the table, and return 0 where all holds that is not a known exception."""
    wanted = [(case, door) for case in CASES for door in case.doors]
    with tempfile.TemporaryDirectory() as folder:
        outcomes: Outcomes = asyncio.run(run_all(wanted, Path(folder) / "web"))
    failed = {name for (name, _), failure in outcomes.items() if failure is not None}
    for share in shares(CASES, failed):
        print(share)
    by_document = Counter(case.section.split(" ")[0] for case in CASES)
    print("cases by RFC: " + ", ".join(f"{document}: {count}" for document, count in sorted(by_document.items())))
    for name in sorted(failed):
        print(f"  {name}: {EXCEPTIONS.get(name, 'FAILS, and is not on the list of exceptions')}")
    for name in sorted(EXCEPTIONS.keys() - failed):
        print(f"  {name}: holds now, and is to be taken off the list of exceptions")
    return int(failed != EXCEPTIONS.keys())


sys.exit(main())
