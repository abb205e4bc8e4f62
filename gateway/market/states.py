"""What can become of an order, as a table. Pure.

    recorded → queued → sending → at hub → accepted → fulfilled
                  ↑        ↓         ↓         ↓
                  ├────────┴── needs attention ┤ → cancelled
                  └────────────── rejected ────┘

States are appended as events, never overwritten; an order's state is its last event. Only a receipt for the order leads
out of `sending` to an end. An order that took effect is queued again only for a change of it, which is a revision of
its own; a cancelled or fulfilled one never.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class State(StrEnum):
    """Where an order stands."""

    RECORDED = "recorded"  # on disk, its receipt given
    QUEUED = "queued"  # waits for the link
    SENDING = "sending"  # given to the link; whether it arrived is not known yet
    AT_HUB = "at-hub"  # kept on the far side of the link; the marketplace has not answered
    ACCEPTED = "accepted"  # the marketplace has it
    NEEDS_ATTENTION = "needs-attention"  # a person must decide
    REJECTED = "rejected"  # the marketplace refused it, with a reason
    FULFILLED = "fulfilled"  # the goods are handed over
    CANCELLED = "cancelled"  # it is not wanted any more, and takes no effect


_FAR_SIDE_SAYS = frozenset(
    {State.ACCEPTED, State.NEEDS_ATTENTION, State.REJECTED, State.FULFILLED, State.CANCELLED, State.QUEUED}
)
SUCCESSORS: Mapping[State | None, frozenset[State]] = MappingProxyType(
    {
        None: frozenset({State.RECORDED}),
        State.RECORDED: frozenset({State.QUEUED, State.NEEDS_ATTENTION}),
        State.QUEUED: frozenset({State.SENDING, State.NEEDS_ATTENTION, State.CANCELLED}),
        State.SENDING: _FAR_SIDE_SAYS | {State.AT_HUB},
        State.AT_HUB: _FAR_SIDE_SAYS,
        State.ACCEPTED: _FAR_SIDE_SAYS - {State.ACCEPTED},
        State.NEEDS_ATTENTION: _FAR_SIDE_SAYS - {State.NEEDS_ATTENTION},
        State.REJECTED: frozenset({State.QUEUED}),  # asked to go once more, by hand
        State.FULFILLED: frozenset(),
        State.CANCELLED: frozenset(),
    }
)
WAITING = frozenset({State.RECORDED, State.QUEUED, State.SENDING})  # the box has something to send
SETTLED = frozenset({State.ACCEPTED, State.REJECTED, State.FULFILLED, State.CANCELLED})  # nothing more is awaited here


def may_follow(before: State | None, after: State) -> bool:
    """Say whether an order in `before` may come to `after`; None is before it was recorded.

    >>> may_follow(State.SENDING, State.ACCEPTED), may_follow(State.CANCELLED, State.SENDING)
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
