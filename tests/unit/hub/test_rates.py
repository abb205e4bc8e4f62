"""A source gets so many answers a second, all together so many, and invented sources fill nothing."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.hub.rates import Rates, source_of


def test_a_source_gets_its_rate_and_no_more() -> None:
    rates = _rates(per_source_hz=10)
    answered = sum(rates.allows("a", 1, tick / 100) for tick in range(1_000))  # 100 a second for 10 s
    assert 100 <= answered <= 111


def test_one_source_takes_nothing_from_another() -> None:
    rates = _rates(per_source_hz=5)
    for _ in range(100):
        rates.allows("a", 1, 0.0)
    assert rates.allows("b", 2, 0.0)


def test_a_caught_request_sent_again_from_many_sources_takes_that_boxs_answers_only() -> None:
    rates = _rates(per_source_hz=5, total_hz=20)
    answered = sum(rates.allows(str(number), 1, 0.0) for number in range(1_000))
    assert answered == 5
    assert rates.allows("of another box", 2, 0.0)


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.floats(0, 0.1)), max_size=300))
def test_all_together_get_the_total(asked: list[tuple[str, float]]) -> None:
    rates, now_s, answered = _rates(per_source_hz=50, total_hz=20), 0.0, 0
    for source, pause_s in asked:
        now_s += pause_s
        answered += rates.allows(source, ord(source), now_s)
    assert answered <= 20 + 20 * now_s + 1


def test_invented_sources_are_forgotten_oldest_first() -> None:
    rates = _rates(per_source_hz=1, sources_max=100)
    for number in range(10_000):
        rates.allows(str(number), number, 0.0)
        rates.allows("steady", -1, 0.0)
    assert len(rates) == 100
    assert not rates.allows("steady", -1, 0.0)  # it has had its own all the time


def test_a_customers_ipv6_network_is_one_source() -> None:
    assert source_of("2001:db8::1") == source_of("2001:db8::ffff:1") != source_of("2001:db8:0:1::1")


def _rates(*, per_source_hz: float = 100, total_hz: float = 1e6, sources_max: int = 1_000) -> Rates:
    return Rates(per_source_hz=per_source_hz, total_hz=total_hz, sources_max=sources_max, now_s=0.0)
