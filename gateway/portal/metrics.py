"""The box's figures for Prometheus, read at each scrape; nothing is kept between two, and no label names a person."""

import asyncio
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway import __version__
from gateway.portal.figures import Figure, figures
from gateway.portal.link_metrics import link_metrics
from gateway.portal.view import BoxView


class BoxCollector(Collector):
    """Turns a view of the box into metrics."""

    def __init__(self, view: BoxView) -> None:
        self._view = view

    def collect(self) -> Iterable[Metric]:
        """Yield every metric of the box as it is now."""
        yield InfoMetricFamily("tambo_build", "The program that runs.", {"version": __version__})
        yield GaugeMetricFamily("tambo_tasks", "Tasks of the event loop.", value=len(asyncio.all_tasks()))
        yield self._parts()
        yield from link_metrics(self._view)
        rooms = (("web", self._view.web()), ("market", self._view.market()), ("clinic", self._view.clinic()))
        for room, record in rooms:
            yield from (_family(figure) for figure in figures(room, record))

    def describe(self) -> Iterable[Metric]:
        """Yield nothing: what there is shows at the first scrape."""
        return ()

    def _parts(self) -> Metric:
        ready = GaugeMetricFamily("tambo_part_ready", "Whether a part of the box does its work.", labels=["part"])
        for part in self._view.parts():
            ready.add_metric([part.name], float(part.ready))
        return ready


def registry(view: BoxView) -> CollectorRegistry:
    """Return a registry of its own for a box: two boxes in one process do not mix."""
    made = CollectorRegistry()
    made.register(BoxCollector(view))
    return made


def process_registry() -> CollectorRegistry:
    """Return the process's own figures (memory, descriptors, CPU); a scrape of them reads files."""
    made = CollectorRegistry()
    ProcessCollector(registry=made)
    return made


def _family(figure: Figure) -> Metric:
    meaning = figure.name.removeprefix("tambo_").replace("_", " ")
    if figure.grows:
        return CounterMetricFamily(figure.name, f"Since the start: {meaning}.", value=figure.value)
    return GaugeMetricFamily(figure.name, f"Now: {meaning}.", value=figure.value)
