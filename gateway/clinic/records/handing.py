"""One record at a time goes to the receiving side, the most urgent first; what was not settled goes again.

The receiving side knows a record by its id, so that twice is once. A record waits a while for its files; one that comes
later than that follows by itself.
"""

from collections.abc import Iterator
from dataclasses import replace

from gateway.clinic.records.blobs import sha256_of
from gateway.clinic.records.book import FILE_KINDS, Moment, RecordBook
from gateway.clinic.records.entries import Writer
from gateway.clinic.records.standing import Standing, is_credible
from gateway.clinic.records.states import HANDS_OVER, Handover
from gateway.clinic.records.views import Actor, Entry, HandoverItem, Outcome, RecordView
from gateway.durable.seal import is_whole
from gateway.errors import N_, Conflict

RETRY_S_MAX = 86_400.0
SENDER = Actor(Writer.BOX, "handover")
_URGENCIES = ("asap", "urgent", "routine", "")  # FHIR R4 request-priority, the most urgent first


def hand_over(book: RecordBook, record: str, by: Actor, at: Moment) -> RecordView:
    """Let a record wait for the link; one that waits, or has gone with all that is in it, stays as it is."""
    standing = book.demand(record)
    if standing.stage not in HANDS_OVER:
        raise Conflict(N_("Only a finished record or a case can be handed over."), N_("Finish the consultation first."))
    if standing.handover in {Handover.NONE, Handover.ATTENTION}:
        book.audit(record, by, "hand-over:queued", at)
        book.write_label(standing, replace(book.label(standing), reason=""))
        standing = book.requeued(standing, at)
    return book.shown(standing)


def next_due(book: RecordBook, at: Moment) -> HandoverItem | None:
    """Return what goes now, marked as given to the link; what was not settled comes again."""
    waiting = [each for each in book.standings.all() if _may_go(book, each, at)]
    waiting.sort(key=lambda each: (each.id != book.in_flight, _rank(each), each.queued_wall_s, each.number))
    for standing in waiting:
        entries = tuple(book.opened(standing))
        late = tuple(_late_files(book, standing, entries))
        if not entries and not late and book.keys.sealed(standing):
            book.put(replace(standing, handover=Handover.DELIVERED), at)  # only the word of it was lost
            continue
        last = book.keys.last(standing)
        if standing.handover is not Handover.SENDING or standing.sent_key != last:
            standing = book.put(replace(standing, handover=Handover.SENDING, sent_key=last), at)
        book.audit(standing.id, SENDER, "hand-over:sending", at)
        book.in_flight = standing.id
        return HandoverItem(
            record=standing.id,
            stage=standing.stage,
            began_wall_s=standing.began_wall_s,
            changed_wall_s=standing.wall_s,
            due_wall_s=standing.due_wall_s,
            doctor=book.label(standing).doctor,
            entries=entries,
            tries=standing.tries,
            late_files=late,
        )
    return None


def settle(book: RecordBook, record: str, outcome: Outcome, at: Moment) -> None:
    """Write what came of giving a record to the link; of one that was not given, nothing."""
    standing = book.standings.get(record)
    if standing is None or standing.handover is not Handover.SENDING or book.in_flight != record:
        return
    match outcome.what:
        case "delivered":
            _delivered(book, standing, at)
        case "retry":
            pause_s = min(max(outcome.retry_after_s, 1.0), RETRY_S_MAX)
            changed = replace(standing, tries=standing.tries + 1, next_wall_s=at.wall_s + pause_s)
            book.put(replace(changed, handover=Handover.QUEUED), at)
            book.audit(record, SENDER, "hand-over:queued", at)
        case "refused":
            book.write_label(standing, replace(book.label(standing), reason=outcome.reason[:500]))
            book.put(replace(standing, handover=Handover.ATTENTION), at)
            book.audit(record, SENDER, "hand-over:attention", at)
    book.in_flight = ""


def _delivered(book: RecordBook, standing: Standing, at: Moment) -> None:
    book.audit(standing.id, SENDER, "hand-over:delivered", at)
    for row in book.database.files(standing.number):
        if is_whole(row) and row.is_here and row.key_number <= standing.sent_key:
            book.database.put_file(row._replace(is_sent=1)[:-1])
    if book.locks.seals:
        _begin_anew(book, standing)
        if book.keys.seal(standing, standing.sent_key):
            book.audit(standing.id, SENDER, "seal", at)
    delivered = book.put(replace(standing, handover=Handover.DELIVERED, tries=0), at)
    if _is_more(book, delivered):
        book.requeued(delivered, at)


def _begin_anew(book: RecordBook, standing: Standing) -> None:
    """Let files that are not here whole, and whose key is to be sealed, come from their beginning."""
    for row in book.database.files(standing.number):
        if is_whole(row) and not row.is_here and row.key_number <= standing.sent_key:
            book.database.put_file(row._replace(key_number=0, kept_bytes=0)[:-1])


def _is_more(book: RecordBook, standing: Standing) -> bool:
    """Say whether something was written while the record was under way."""
    entries = book.opened(standing, above_key=standing.sent_key)
    files = (row for row in book.database.files(standing.number) if row.key_number > standing.sent_key)
    return any(each.by is not Writer.FAR for each in entries) or any(row.is_here and not row.is_sent for row in files)


def _may_go(book: RecordBook, standing: Standing, at: Moment) -> bool:
    if standing.handover is Handover.SENDING:
        return True
    if standing.handover is not Handover.QUEUED:
        return False
    pause_s = standing.next_wall_s - at.wall_s
    if 0 < pause_s <= RETRY_S_MAX:  # beyond it the clock was set back
        return False
    waited_s = at.wall_s - standing.queued_wall_s
    if waited_s >= book.limits.files_wait_s or not is_credible(standing.queued_wall_s, at.wall_s):
        return True
    return all(row.is_here for row in book.database.files(standing.number) if row.is_named)


def _late_files(book: RecordBook, standing: Standing, entries: tuple[Entry, ...]) -> Iterator[str]:
    """Yield the hashes of files that are here, and whose entries went before them."""
    named = {
        book.locks.file_name(standing.id, str(each.fields["sha256"])) for each in entries if each.kind in FILE_KINDS
    }
    keys = book.keys.open(standing)
    for row in book.database.files(standing.number):
        key = keys.get(row.key_number)
        is_late = is_whole(row) and row.is_here and row.is_named and row.name not in named
        if is_late and key is not None and (sha256 := sha256_of(book.blobs.folder / row.name, key)):
            yield sha256


def _rank(standing: Standing) -> int:
    return _URGENCIES.index(standing.urgency) if standing.urgency in _URGENCIES else len(_URGENCIES)
