"""Servers on a loop of their own, in a thread, for clients that wait; and what a document is held against."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from pathlib import Path
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import CHECKS, load_all_checks

load_all_checks()
DOCUMENTS = Path(__file__).resolve().parents[2] / "docs" / "api"
START_S = 20.0
_METHODS = frozenset({"get", "head", "post", "put", "delete"})
# always the same requests, and so many of each operation that both documents take under 30 s together
FEW = settings(
    max_examples=12,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def operations(document: str) -> list[tuple[str, str]]:
    """Return path and method of each operation of a document."""
    schema = schemathesis.openapi.from_path(DOCUMENTS / document)
    return [(path, method) for path in schema for method in schema[path] if method in _METHODS]


def hold(
    document: str,
    operation: tuple[str, str],
    url: str,
    *,
    without: Sequence[str],
    fields: Mapping[str, str] | None = None,
    change: Callable[[Case[Any]], None] = lambda case: None,
) -> None:
    """Ask what the document allows and what it forbids; fail when an answer is none that it says."""
    schema = schemathesis.openapi.from_path(DOCUMENTS / document)
    schema.config.update(base_url=url)
    asked = schema[operation[0]][operation[1]]
    excluded: list[Any] = list(CHECKS.get_by_names(list(without)))

    @FEW
    @given(asked.as_strategy(GenerationMode.POSITIVE) | asked.as_strategy(GenerationMode.NEGATIVE))
    def ask(case: Case[Any]) -> None:
        change(case)
        case.call_and_validate(headers=dict(fields or {}), excluded_checks=excluded)

    ask()


@contextmanager
def in_thread(served: Callable[[], AbstractAsyncContextManager[str]]) -> Iterator[str]:
    """Run a server until the end of the block; yield its address."""
    addresses: list[str] = []
    is_up, is_over = threading.Event(), threading.Event()

    async def run() -> None:
        async with served() as address:
            addresses.append(address)
            is_up.set()
            await asyncio.to_thread(is_over.wait)

    def serve() -> None:
        try:
            asyncio.run(run())
        finally:
            is_up.set()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        assert is_up.wait(START_S), "the server did not start in time"
        assert addresses, "the server did not start"
        yield addresses[0]
    finally:
        is_over.set()
        thread.join(START_S)
