"""How many trials the fault tests made is said at the end of a run, however little else is printed."""

import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

_TRIALS = "trials"  # the name of a test's property, which comes back from whatever process it ran in

Trials = Callable[[str, int], None]


@pytest.fixture
def trials(request: pytest.FixtureRequest) -> Trials:
    """Count trials of a kind: `trials("killed at a statement", 300)`."""

    def count(kind: str, number: int) -> None:
        request.node.user_properties.append((_TRIALS, (kind, number)))

    return count


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one: for what is killed or simulated, no sync is needed."""
    shared = Path("/dev/shm")
    if not os.access(shared, os.W_OK):
        yield tmp_path
        return
    with TemporaryDirectory(dir=shared, prefix="tambo-") as made:
        yield Path(made)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    counted: Counter[str] = Counter()
    for report in terminalreporter.stats.get("passed", []):
        for name, told in report.user_properties:
            if name == _TRIALS:
                counted[told[0]] += told[1]
    if counted:
        terminalreporter.section("trials")
        for kind, number in counted.items():
            terminalreporter.write_line(f"{number:>7,}  {kind}")
        terminalreporter.write_line(
            f"{counted.total():>7,}  trials in all: none lost an order, doubled or invented one"
        )
