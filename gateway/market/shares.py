"""Nobody's requests take the places of all: past its share, a merchant's next one is refused at once. Pure.

A request that waits holds its body and a place before the journal's one thread. What is refused was not begun.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from gateway.errors import N_, NoCapacity

AT_ONCE_MAX = 64  # of one merchant: 21 MB of the largest orders; the journal's thread has room for 1,000
RETRY_AFTER_S = 5


class Shares:
    """How many requests of each merchant are at work."""

    def __init__(self, at_once_max: int = AT_ONCE_MAX) -> None:
        self._at_once_max = at_once_max
        self._busy: Counter[str] = Counter()

    @contextmanager
    def one_of(self, merchant: str) -> Iterator[None]:
        """Hold one place of a merchant's.

        Raises: NoCapacity.
        """
        if self._busy[merchant] >= self._at_once_max:
            refusal = NoCapacity(N_("Too many requests of yours are at work."), N_("Wait for their answers first."))
            refusal.headers["Retry-After"] = str(RETRY_AFTER_S)
            raise refusal
        self._busy[merchant] += 1
        try:
            yield
        finally:
            self._busy[merchant] -= 1
            if not self._busy[merchant]:
                del self._busy[merchant]
