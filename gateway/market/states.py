"""What can become of an order, as a table. Pure.

    recorded → queued → sending → accepted | rejected
                  ↑        ↓
                  └────────┘   asked to come again, or no receipt
    any of the first three → needs attention → queued | rejected

States are appended as events, never overwritten; an order's state is its last event. Only a receipt for the order leads
out of `sending` to an end, and an end has no way out: an order that took effect cannot be sent again.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class State(StrEnum):
    """Where an order stands."""

    RECORDED = "recorded"  # on disk, its receipt given
    QUEUED = "queued"  # waits for the link
    SENDING = "sending"  # given to the link; whether it arrived is not known yet
    ACCEPTED = "accepted"  # the marketplace has it
    NEEDS_ATTENTION = "needs-attention"  # a person must look at it
    REJECTED = "rejected"  # the marketplace refused it, with a reason


SUCCESSORS: Mapping[State | None, frozenset[State]] = MappingProxyType(
    {
        None: frozenset({State.RECORDED}),
        State.RECORDED: frozenset({State.QUEUED, State.NEEDS_ATTENTION}),
        State.QUEUED: frozenset({State.SENDING, State.NEEDS_ATTENTION}),
        State.SENDING: frozenset({State.QUEUED, State.ACCEPTED, State.REJECTED, State.NEEDS_ATTENTION}),
        State.NEEDS_ATTENTION: frozenset({State.QUEUED, State.REJECTED}),
        State.ACCEPTED: frozenset(),
        State.REJECTED: frozenset(),
    }
)
ENDS = frozenset(state for state in State if not SUCCESSORS[state])
WAITING = frozenset({State.RECORDED, State.QUEUED, State.SENDING})


def may_follow(before: State | None, after: State) -> bool:
    """Say whether an order in `before` may come to `after`; None is before it was recorded.

    >>> may_follow(State.SENDING, State.ACCEPTED), may_follow(State.ACCEPTED, State.SENDING)
    (True, False)
    """
    return after in SUCCESSORS[before]


def way(before: State | None, after: State) -> tuple[State, ...] | None:
    """Return the shortest lawful way from one state to another, without the first; None when there is none.

    >>> [str(state) for state in way(State.QUEUED, State.ACCEPTED) or ()]
    ['sending', 'accepted']
    """
    ways: list[tuple[State, ...]] = [()]
    reached = {before}
    for steps in ways:  # grows while it is walked: breadth first
        last = steps[-1] if steps else before
        if last is after:
            return steps
        onward = [state for state in State if state in SUCCESSORS[last] and state not in reached]
        reached.update(onward)
        ways.extend((*steps, state) for state in onward)
    return None
