"""A record leaves the box some days after nothing more is awaited of it, and nothing that is on its way ever does.

Let go of are closed and cancelled records, and finished ones that were delivered. A time stamp counts from the moment
it can be believed: one made before the clock was set, or that lies ahead of it, begins anew.
"""

from gateway.clinic.records.book import Moment, RecordBook
from gateway.clinic.records.entries import Writer
from gateway.clinic.records.standing import Standing, is_credible
from gateway.clinic.records.states import ENDED, ON_ITS_WAY, Handover, Stage
from gateway.clinic.records.views import Actor

DAY_S = 86_400.0
LINES_AT_ONCE = 500
_KEEPER = Actor(Writer.BOX, "retention")


def let_go(book: RecordBook, at: Moment) -> bool:
    """Delete one record that is past its time, or some lines of the trail; say whether there may be more."""
    for standing in [each for each in book.standings.all() if _is_done(each)]:
        if not is_credible(standing.wall_s, at.wall_s):
            if is_credible(at.wall_s, at.wall_s):
                book.put(standing, at)
        elif at.wall_s - standing.wall_s > book.limits.keep_days * DAY_S:
            _delete(book, standing, at)
            return True
    return book.trail.trim(LINES_AT_ONCE) > 0


def _is_done(standing: Standing) -> bool:
    if standing.handover in ON_ITS_WAY:
        return False
    return standing.stage in ENDED or (standing.stage is Stage.FINISHED and standing.handover is Handover.DELIVERED)


def _delete(book: RecordBook, standing: Standing, at: Moment) -> None:
    book.leaving += [row.name for row in book.database.files(standing.number)]
    book.standings.remove(standing)
    book.audit(standing.id, _KEEPER, "delete", at)
    book.keys.owes_erasure = book.is_changed = True
