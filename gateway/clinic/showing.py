"""What each page is shown of the call: who is there, what is sent, and how it goes. Nothing here changes anything."""

from collections.abc import Sequence

from gateway.backhaul.link import LinkStatus
from gateway.backhaul.sensing.state import LinkState
from gateway.clinic.allocation import left_for_pictures_bps
from gateway.clinic.focus import SPEAKS_LEVEL
from gateway.clinic.invitation import Role
from gateway.clinic.messages import LinkShown, PersonShown, Plan, QualityShown, SlotShown, State
from gateway.clinic.place import Place
from gateway.clinic.quality import CallQuality, Signs, judge
from gateway.clinic.sharing_out import Budgets, Outcome


def state_of(
    place: Place, places: Sequence[Place], outcome: Outcome, quality: CallQuality, link: LinkStatus, focus: Role | None
) -> State:
    """Return where the call stands for one of its people."""
    others = _others(place, places)
    given = outcome.given[place.role]
    words = place.socket.words(quality.message) if place.socket is not None and quality.message else ""
    return State(
        others=any(each.was_connected for each in others),
        heard=any(each.is_heard for each in _talkers(others)),
        plan=Plan(send=bool(others), picture=given.picture_bps > 0, video_bps=given.picture_bps, still_s=given.still_s),
        link=LinkShown(
            link.state.value,
            link.capacity.down_bps if link.capacity else None,
            link.capacity.up_bps if link.capacity else None,
        ),
        slots=tuple(SlotShown(each.who, each.picture) for each in given.slots),
        people=tuple(_person(each) for each in places if each.peer is not None),
        focus=focus,
        pinned=place.pinned,
        quality=QualityShown(quality.word, quality.cause, words),
    )


def quality_of(
    place: Place, places: Sequence[Place], outcome: Outcome, budgets: Budgets, link: LinkStatus, now_s: float
) -> CallQuality:
    """Return how the call is for one of its people."""
    others = _others(place, places)
    given = outcome.given[place.role]
    seen = [each.who for each in given.slots if each.picture and each.who is not None]
    senders = {each.role for each in others if each.switches.picture or each.switches.share}
    return judge(
        Signs(
            link_is_down=link.state is LinkState.DOWN and any(each.far for each in places if each.peer is not None),
            others=len(others),
            heard=any(each.is_heard for each in _talkers(others)),
            is_away=all(each.socket is None for each in _talkers(others)),
            wants_picture=any(each.who in senders for each in given.slots),
            sees_picture=bool(seen),
            left_bps=_left_bps(place, others, budgets),
            picture_bps=max((outcome.given[role].picture_bps for role in seen), default=0),
            receives_bps=place.peer.figures.estimate_bps if place.peer is not None else None,
            lost_ratio=place.peer.figures.fraction_lost if place.peer is not None else 0.0,
            page=place.page_figures(now_s),
        )
    )


def _others(place: Place, places: Sequence[Place]) -> list[Place]:
    return [each for each in places if each is not place and each.peer is not None]


def _talkers(others: Sequence[Place]) -> Sequence[Place]:
    """Return whose silence is news: a camera beside them says nothing of how they are heard."""
    return [each for each in others if each.role != "camera"] or others


def _left_bps(place: Place, others: Sequence[Place], budgets: Budgets) -> int | None:
    """Return what the link leaves for a picture on the way to them; None where none of it is beyond the link."""
    if place.far:
        return left_for_pictures_bps(budgets.up_bps, [each.voice for each in others])
    beyond = [each.voice for each in others if each.far]
    return left_for_pictures_bps(budgets.down_bps, beyond) if beyond else None


def _person(place: Place) -> PersonShown:
    level = place.peer.figures.voice_level if place.peer is not None else 0.0
    return PersonShown(
        who=place.role,
        heard=place.is_heard,
        speaks=place.switches.voice and level >= SPEAKS_LEVEL,
        voice=place.switches.voice,
        picture=place.switches.picture,
        share=place.switches.share,
        far=place.far,
    )
