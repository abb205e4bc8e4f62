"""The link's figures for Prometheus and for programs that read JSON; an estimate never without its confidence and age.

A figure that nobody knows has no sample: Prometheus shows a gap, and an alert can ask for `absent()`. Rates are bytes a
second, as Prometheus has base units; JSON keeps the box's own.

Source: https://prometheus.io/docs/practices/naming/.
"""

from collections.abc import Callable, Iterable, Iterator

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from gateway.backhaul.link import LinkStatus
from gateway.backhaul.sensing.figures import LinkFigures
from gateway.backhaul.sensing.state import LinkState
from gateway.portal.figures import plain
from gateway.portal.view import BoxView, LinkWatch

_FIGURES = (  # of a direction: its field, its metric, base units in one of ours, what it is
    ("capacity_bps", "tambo_link_capacity_bytes_per_second", 1 / 8, "What the link is taken to carry."),
    ("base_delay_s", "tambo_link_base_delay_seconds", 1.0, "Delay while nothing waits."),
    ("queueing_s", "tambo_link_queueing_seconds", 1.0, "What packets wait beyond the base delay."),
    ("loss_ratio", "tambo_link_loss_ratio", 1.0, "Packets lost, of those sent."),
)


def link_metrics(view: BoxView) -> Iterator[Metric]:
    """Yield what is known of the link as it is now."""
    status, watch = view.link(), view.watch()
    state = GaugeMetricFamily("tambo_link_state", "1 for the state the link is in.", labels=["state"])
    for each in LinkState:
        state.add_metric([each.value], float(status.state is each))
    yield state
    figures = watch.figures() if watch else LinkFigures()
    yield from _estimates(figures, status)
    if watch is not None:
        yield from _watched(watch)
    moved = CounterMetricFamily("tambo_link_moved_bytes", "Bytes carried over the link.", labels=["class", "way"])
    for traffic_class, each_moved in view.moved().items():
        moved.add_metric([traffic_class.value, "down"], each_moved.down_bytes)
        moved.add_metric([traffic_class.value, "up"], each_moved.up_bytes)
    yield moved


def link_document(watch: LinkWatch | None, say: Callable[[str], str]) -> dict[str, object]:
    """Return what is known of the link as JSON has it, beside its state; sentences are in the reader's language."""
    if watch is None:
        return {}
    return {
        "figures": plain(watch.figures()),
        "calls": watch.calls(),
        "call_budget": plain(watch.call_budget()),
        "since_start": plain(watch.history.statistics()),
        "probes_bytes": watch.probes_bytes(),
        "bulk_paused_s": watch.bulk_paused_s(),
        "allowance": plain(watch.allowance()),
        "saved": plain(watch.saved()),
        "ways": plain(watch.ways()),
        "cannot": [say(each.words) % each.values for each in watch.cannot()],
        "instruments": plain(watch.instruments()),
    }


def _estimates(figures: LinkFigures, status: LinkStatus) -> Iterable[Metric]:
    """Return each figure, and how sure and how old each is; a capacity that was only told has neither."""
    labels = ["figure", "way"]
    sure = GaugeMetricFamily("tambo_link_confidence_ratio", "How sure a figure is: 1 was measured.", labels=labels)
    old = GaugeMetricFamily("tambo_link_figure_age_seconds", "How old a figure is.", labels=labels)
    made: list[Metric] = []
    told = {"down": status.capacity.down_bps, "up": status.capacity.up_bps} if status.capacity else {}
    for field, name, factor, meaning in _FIGURES:
        family = GaugeMetricFamily(name, meaning, labels=["way"])
        for way, known in (("down", figures.down), ("up", figures.up)):
            estimate = getattr(known, field)
            if estimate is not None:
                family.add_metric([way], estimate.value * factor)
                sure.add_metric([field.rpartition("_")[0], way], estimate.confidence)
                old.add_metric([field.rpartition("_")[0], way], estimate.age_s)
            elif field == "capacity_bps" and way in told:
                family.add_metric([way], told[way] * factor)
        if family.samples:
            made.append(family)
    return [*made, *(each for each in (sure, old) if each.samples)]


def _watched(watch: LinkWatch) -> Iterator[Metric]:
    budget = watch.call_budget()
    rates = GaugeMetricFamily(
        "tambo_link_call_budget_bytes_per_second", "What a consultation has, or would get.", labels=["way"]
    )
    rates.add_metric(["down"], budget.down_bps / 8)
    rates.add_metric(["up"], budget.up_bps / 8)
    yield rates
    seconds = watch.history.statistics()
    congested = CounterMetricFamily("tambo_link_congested_seconds", "Time in which packets waited.", labels=["way"])
    congested.add_metric(["down"], seconds.congested_down_s)
    congested.add_metric(["up"], seconds.congested_up_s)
    yield congested
    states = CounterMetricFamily("tambo_link_state_seconds", "Time in each state.", labels=["state"])
    states.add_metric([LinkState.UP.value], seconds.seen_s - seconds.down_s - seconds.degraded_s)
    states.add_metric([LinkState.DEGRADED.value], seconds.degraded_s)
    states.add_metric([LinkState.DOWN.value], seconds.down_s)
    yield states
    yield CounterMetricFamily("tambo_link_probe_bytes", "What measuring cost.", value=watch.probes_bytes())
    yield GaugeMetricFamily(
        "tambo_link_bulk_paused_seconds", "How long the bulk class rests by command.", value=watch.bulk_paused_s()
    )
