"""A whole is divided by max-min fairness: water rises in all vessels alike, until each has what it takes. Pure.

Whole numbers throughout, so that nothing is promised twice: the parts never add up to more than the whole, and no part
falls as the whole grows.

Source: Bertsekas and Gallager, Data Networks (1992), §6.5.2; the order in which bounds are settled is that of CSS
Flexible Box Layout §9.7.
"""

from collections.abc import Sequence
from typing import NamedTuple

UNLIMITED = 1 << 62


class Side(NamedTuple):
    """One that gets a part: by weight, at least `least` where that fits, never more than `most` (`least` ≤ `most`)."""

    weight: int
    least: int
    most: int


def equally(whole: int, most: Sequence[int]) -> list[int]:
    """Return a part for each, alike but for those that take less; nothing is left over that somebody would take.

    >>> equally(10, [2, UNLIMITED, UNLIMITED])
    [2, 4, 4]
    """
    parts = list(most)
    left, sides = whole, len(parts)
    for index in sorted(range(sides), key=parts.__getitem__):
        part = left // sides
        if parts[index] > part:
            parts[index] = part
        left -= parts[index]
        sides -= 1
    return parts


def by_weight(whole: int, sides: Sequence[Side]) -> list[int]:
    """Return a part for each, in proportion to the weights within the bounds; rounding leaves less than one a side.

    Where the minima do not fit, all are cut in the same proportion.

    >>> by_weight(100, [Side(3, 0, UNLIMITED), Side(1, 0, UNLIMITED)]), by_weight(100, [Side(3, 0, 30), Side(1, 0, 90)])
    ([75, 25], [30, 70])
    """
    if len(sides) <= 1:
        return [min(whole, side.most) for side in sides]
    if sum(side.most for side in sides) <= whole:
        return [side.most for side in sides]
    owed = sum(side.least for side in sides)
    if owed >= whole:
        return [side.least * whole // owed if owed else 0 for side in sides]
    return _settled(whole, sides)


def in_two(whole: int, ratio: float, first_most: int, second_most: int) -> tuple[int, int]:
    """Return both parts, the first `ratio` of the whole; what one does not take is the other's.

    >>> in_two(100, 0.1, UNLIMITED, UNLIMITED), in_two(100, 0.1, UNLIMITED, 50), in_two(100, 0.1, 20, 20)
    ((10, 90), (50, 50), (20, 20))
    """
    first = min(first_most, max(int(whole * ratio), whole - second_most))
    return first, min(second_most, whole - first)


def _settled(whole: int, sides: Sequence[Side]) -> list[int]:
    """Divide by weight, and again among the others each time somebody is held at a bound of theirs."""
    parts = [0] * len(sides)
    loose, left, weight = list(range(len(sides))), whole, sum(side.weight for side in sides)
    while True:
        short = {each: lack for each in loose if (lack := sides[each].least * weight - sides[each].weight * left) > 0}
        over = {each: much for each in loose if (much := sides[each].weight * left - sides[each].most * weight) > 0}
        if not short and not over:
            break
        lacking = sum(short.values()) >= sum(over.values())
        for each in short if lacking else over:
            parts[each] = sides[each].least if lacking else sides[each].most
            left -= parts[each]
            weight -= sides[each].weight
            loose.remove(each)
    for each in loose:
        parts[each] = sides[each].weight * left // weight
    return parts
