"""How a call went, from its beginning to its end: for how long it was heard and seen, and what was in its way. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from gateway.clinic.quality import Cause

STEP_S_MAX = 1.0  # what happened in a longer gap nobody knows


@dataclass(frozen=True, slots=True)
class Course:
    """One call so far; walls in seconds since 1970 UTC, the rest as they add up."""

    began_wall_s: float
    seen_s: float
    voice_s: float = 0.0
    picture_s: float = 0.0
    breaks: int = 0
    is_heard: bool = True
    causes_s: Mapping[Cause, float] = field(default_factory=dict)

    @property
    def cause(self) -> str:
        """What was in its way for longest; nothing where nothing was."""
        return max(self.causes_s, key=lambda cause: self.causes_s[cause], default="")


def follow(course: Course, now_s: float, *, heard: bool, seen: bool, causes: frozenset[Cause]) -> Course:
    """Return the course a moment later: whether everybody was heard, somebody was seen, and what was in the way.

    >>> follow(Course(0.0, 10.0), 10.5, heard=True, seen=False, causes=frozenset()).voice_s
    0.5
    """
    passed_s = min(max(now_s - course.seen_s, 0.0), STEP_S_MAX)
    added: dict[Cause, float] = {cause: course.causes_s.get(cause, 0.0) + passed_s for cause in causes}
    return replace(
        course,
        seen_s=now_s,
        voice_s=course.voice_s + (passed_s if heard else 0.0),
        picture_s=course.picture_s + (passed_s if seen else 0.0),
        breaks=course.breaks + (course.is_heard and not heard),
        is_heard=heard,
        causes_s={**course.causes_s, **added},
    )


def fields_of(course: Course, ended_wall_s: float) -> dict[str, object]:
    """Return the course as the fields of a record's `quality` entry."""
    return {
        "began_s": course.began_wall_s,
        "ended_s": max(ended_wall_s, course.began_wall_s),
        "voice_s": round(course.voice_s, 1),
        "picture_s": round(course.picture_s, 1),
        "breaks": course.breaks,
        "cause": course.cause,
    }
