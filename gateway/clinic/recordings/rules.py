"""What is to be done with a recording that nobody writes any more. Pure.

It leaves with its record, with the consent it was made upon, and when its days are over; until then the record tells of
it, and it goes to the receiving side at night, behind its record.
"""

from enum import StrEnum

from gateway.clinic.records.recorded import RecordedStanding
from gateway.clinic.records.states import Handover
from gateway.errors import N_

DAY_S = 86_400.0

WORDS = {
    "full": N_("The recording has stopped: there is no room for more of it on the box. The call goes on."),
    "slow": N_("The recording has stopped: the box's storage is too slow. The call goes on."),
    "disk": N_("The recording has stopped: the box's storage fails. Tell the technician. The call goes on."),
    "died": N_("The recording has stopped. What was recorded is kept."),
    "fault": N_("The recording has stopped. What was recorded is kept."),
    "withdrawn": N_("The recording has stopped and was erased: the patient does not agree to it any more."),
}
"""What the nurse is told of a recording that ended by itself, by its reason."""


class Due(StrEnum):
    """What comes next."""

    ERASE = "erase"
    WRITE = "write"
    """Tell of it in the record."""
    UPLOAD = "upload"
    REST = "rest"


def due(standing: RecordedStanding | None, ended_wall_s: float, wall_s: float, keep_days: int) -> Due:
    """Return what is due; None for one whose record has left, or that nobody can open.

    >>> due(None, 0.0, 0.0, 30).value
    'erase'
    """
    if standing is None or standing.is_withdrawn or wall_s - ended_wall_s > keep_days * DAY_S:
        return Due.ERASE
    if not standing.is_written and not standing.is_ended:
        return Due.WRITE
    return Due.UPLOAD if standing.is_written and standing.handover is Handover.DELIVERED else Due.REST
