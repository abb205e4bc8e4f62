"""What can become of a record, as two tables: where the patient is with it, and where its way to the far side is. Pure.

    booked → waiting → talking → finished → closed
       └────────┴─────────┴─────────┴→ asked → answered → closed        (booked, waiting, talking → cancelled)

    none → queued → sending → delivered;   sending → queued (once more), sending → attention (refused) → queued

Any open stage comes to `asked` by one tap: the record is a case then, and needs a question. What is finished or asked
can be handed over; what was written after that goes by itself.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class Stage(StrEnum):
    """Where a record stands."""

    BOOKED = "booked"  # has a time
    WAITING = "waiting"  # the patient is here
    TALKING = "talking"  # in a call
    FINISHED = "finished"  # the call is over
    ASKED = "asked"  # a case: a doctor shall answer
    ANSWERED = "answered"  # the answer is here, and nobody has read it
    CLOSED = "closed"  # nothing more is awaited
    CANCELLED = "cancelled"  # it did not take place


class Handover(StrEnum):
    """How far a record is on its way to the receiving side."""

    NONE = "none"
    QUEUED = "queued"  # waits for the link
    SENDING = "sending"  # given to the link; whether it arrived is not known yet
    DELIVERED = "delivered"  # the receiving side has it
    ATTENTION = "attention"  # it was refused; a person must look


MOVES: Mapping[Stage | None, frozenset[Stage]] = MappingProxyType(
    {
        None: frozenset({Stage.BOOKED, Stage.WAITING, Stage.TALKING, Stage.ASKED}),
        Stage.BOOKED: frozenset({Stage.WAITING, Stage.TALKING, Stage.ASKED, Stage.CANCELLED}),
        Stage.WAITING: frozenset({Stage.BOOKED, Stage.TALKING, Stage.ASKED, Stage.CANCELLED}),
        Stage.TALKING: frozenset({Stage.WAITING, Stage.FINISHED, Stage.ASKED, Stage.CANCELLED}),
        Stage.FINISHED: frozenset({Stage.TALKING, Stage.ASKED, Stage.CLOSED}),
        Stage.ASKED: frozenset({Stage.TALKING, Stage.ANSWERED, Stage.CLOSED}),
        Stage.ANSWERED: frozenset({Stage.TALKING, Stage.ASKED, Stage.CLOSED}),
        Stage.CLOSED: frozenset(),
        Stage.CANCELLED: frozenset(),
    }
)
ENDED = frozenset({Stage.CLOSED, Stage.CANCELLED})  # nothing is written any more
OPEN = frozenset(Stage) - ENDED
HANDS_OVER = frozenset({Stage.FINISHED, Stage.ASKED, Stage.ANSWERED, Stage.CLOSED})

HANDOVERS: Mapping[Handover, frozenset[Handover]] = MappingProxyType(
    {
        Handover.NONE: frozenset({Handover.QUEUED}),
        Handover.QUEUED: frozenset({Handover.SENDING}),
        Handover.SENDING: frozenset({Handover.QUEUED, Handover.DELIVERED, Handover.ATTENTION}),
        Handover.ATTENTION: frozenset({Handover.QUEUED}),
        Handover.DELIVERED: frozenset({Handover.QUEUED}),  # something was written after it
    }
)
ON_ITS_WAY = frozenset({Handover.QUEUED, Handover.SENDING, Handover.ATTENTION})  # never let go of


def may_move(before: Stage | None, after: Stage, *, has_request: bool) -> bool:
    """Say whether a record may come to a stage; None is before it began.

    >>> may_move(Stage.TALKING, Stage.ASKED, has_request=True), may_move(Stage.TALKING, Stage.ASKED, has_request=False)
    (True, False)
    """
    return after in MOVES[before] and (after is not Stage.ASKED or has_request)


def may_hand_over(stage: Stage, before: Handover, after: Handover) -> bool:
    """Say whether a record's handover may go on like this.

    >>> may_hand_over(Stage.TALKING, Handover.NONE, Handover.QUEUED)
    False
    """
    return stage in HANDS_OVER and after in HANDOVERS[before]
