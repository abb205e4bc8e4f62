"""Cache groups are strings of a list; anything else names none, and nothing raises."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.web.rules.groups import GROUP_CHARS_MAX, GROUPS_MAX, changed_groups, groups_of


@given(
    st.text(max_size=60)
    | st.lists(st.sampled_from(['"a"', '"', ",", ";", "(", ")", "a", "1", " ", "\\", "é"])).map("".join)
)
def test_no_value_makes_a_reader_raise(value: str) -> None:
    assert all(isinstance(each, str) for each in groups_of((("Cache-Groups", value),)))
    assert all(isinstance(each, str) for each in changed_groups((("Cache-Group-Invalidation", value),)))


@pytest.mark.parametrize(
    ("value", "groups"),
    [
        ('"a"', {"a"}),
        ('"a", "b";x=1', {"a", "b"}),
        ('"a", b, 3, ("c"), :YQ==:', {"a"}),
        (r'"a\"b"', {'a"b'}),
        ('"a",', set()),
        ('"a" "b"', set()),
        ('"ñ"', set()),
        ("", set()),
        (f'"{"x" * GROUP_CHARS_MAX}"', {"x" * GROUP_CHARS_MAX}),
        (f'"{"x" * (GROUP_CHARS_MAX + 1)}"', set()),
        (", ".join(f'"{number}"' for number in range(32)), {str(number) for number in range(32)}),
    ],
)
def test_groups_of_an_answer(value: str, groups: set[str]) -> None:
    assert groups_of((("Cache-Groups", value),)) == groups


def test_an_answer_is_in_a_bounded_number_of_groups() -> None:
    named = groups_of((("Cache-Groups", ", ".join(f'"{number}"' for number in range(GROUPS_MAX * 2))),))
    assert len(named) == GROUPS_MAX
