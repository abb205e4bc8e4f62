"""What a merchant's program says beside the order itself: which of its orders, and which revision it has seen. Pure.

An order's revision is its entity tag, `"3"`: who changes it says which they saw, so no change undoes another unseen.

Source: RFC 9110 §8.8.3 (ETag), §13.1.1 (If-Match), §15.5.13 (412); RFC 6585 §3 (428).
"""

import re
from collections.abc import Sequence

from gateway.errors import N_, BadRequest
from gateway.market.records import OrderView
from gateway.market.states import State

LIST_DEFAULT = 50
_TAG = re.compile(r'\s*(W/)?"([^"]*)"\s*')
_TAGS_CHARS_MAX = 200
_NUMBER = re.compile(r"[0-9]{1,15}")


class ChangedMeanwhile(BadRequest):
    """The revision that was seen is not the present one."""

    status = 412
    code = "changed-meanwhile"
    what = N_("This order was changed meanwhile.")
    advice = N_("Nothing was changed. Look at it again, then decide.")


class RevisionNeeded(BadRequest):
    """Nobody said which revision was seen."""

    status = 428
    code = "revision-needed"
    what = N_("It is not said which revision of the order is meant.")
    advice = N_('Send If-Match with the ETag that the order was shown with, like "1".')


def tag(revision: int) -> str:
    """Write a revision as an entity tag.

    >>> tag(3)
    '"3"'
    """
    return f'"{revision}"'


def demand_seen(found: OrderView, if_match: str | None) -> None:
    """Return when `If-Match` names the present revision.

    Raises: RevisionNeeded, ChangedMeanwhile.
    """
    if if_match is None:
        raise RevisionNeeded
    if if_match.strip() != "*" and found.revision not in seen(if_match):
        error = ChangedMeanwhile()
        error.headers["ETag"] = tag(found.revision)
        raise error


def seen(if_match: str | None) -> frozenset[int]:
    """Return the revisions that an `If-Match` names; a weak tag matches nothing (§13.1.1).

    >>> sorted(seen('"1", "2", W/"3"'))
    [1, 2]
    """
    tags = [_TAG.fullmatch(each) for each in (if_match or "")[:_TAGS_CHARS_MAX].split(",")]
    texts = [found[2] for found in tags if found is not None and found[1] is None]
    return frozenset(int(text) for text in texts if text.isascii() and text.isdigit())


def limit(text: str | None, most: int) -> int:
    """Return how many orders are asked for.

    Raises: BadRequest.
    """
    if text is None:
        return LIST_DEFAULT
    if not _NUMBER.fullmatch(text) or not 1 <= int(text) <= most:
        raise BadRequest(N_("The limit is not allowed."), N_("It must be a whole number, 1 to %(most)d."), most=most)
    return int(text)


def before(text: str | None) -> int | None:
    """Return the number of the order to go on after.

    Raises: BadRequest.
    """
    if text is None:
        return None
    if not _NUMBER.fullmatch(text):
        raise BadRequest(N_("The place to go on from is not allowed."), N_("Use `next` of the answer before."))
    return int(text)


def states(texts: Sequence[str]) -> frozenset[State] | None:
    """Return the states that are asked for; None for any.

    Raises: BadRequest.
    """
    known = {str(state): state for state in State}
    if any(text not in known for text in texts):
        raise BadRequest(N_("There is no such state."), N_("Use a state as orders are shown with, like queued."))
    return frozenset(known[text] for text in texts) or None
