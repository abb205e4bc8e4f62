"""What the conformance suite came to is printed below the tests' own summary."""

import pytest

from tests.conformance.cases import CASES
from tests.conformance.running import known, shares


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how much of what is required and recommended holds, where all of it was run."""
    if len(known) < sum(len(case.doors) for case in CASES):
        return
    failed = {name for (name, _), failure in known.items() if failure is not None}
    terminalreporter.section("conformance")
    for share in shares(CASES, failed):
        terminalreporter.write_line(str(share))
