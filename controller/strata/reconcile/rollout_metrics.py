"""What Prometheus is told of machines that are renewed, on their way out, or kept stopped."""

from collections.abc import Iterable, Iterator

from prometheus_client.core import GaugeMetricFamily, Metric

from strata.resources import reasons
from strata.resources.layer import Layer
from strata.resources.meta import find_condition

_LABELS = ("stack", "layer")


def rollout_gauges(layers: Iterable[Layer]) -> Iterator[Metric]:
    """All from the layers' last status."""
    updated = GaugeMetricFamily(
        "strata_layer_updated", "Slots whose machine is of the present template", labels=_LABELS
    )
    outdated = GaugeMetricFamily("strata_layer_outdated", "Slots whose machine is to be renewed", labels=_LABELS)
    stalled = GaugeMetricFamily(
        "strata_layer_rollout_stalled", "1 while a new machine does not come up and keeps others back", labels=_LABELS
    )
    leaving = GaugeMetricFamily(
        "strata_layer_leaving", "Slots on their way out, whose machine runs on for a while", labels=_LABELS
    )
    warm = GaugeMetricFamily("strata_layer_warm", "Slots that are kept stopped, to be started first", labels=_LABELS)
    for layer in layers:
        labels = (layer.metadata.namespace, layer.metadata.name)
        progress, rollout = find_condition(layer.status.conditions, "Progressing"), layer.status.rollout
        if rollout is not None:
            updated.add_metric(labels, rollout.updated)
            outdated.add_metric(labels, rollout.outdated)
        stalled.add_metric(labels, progress is not None and progress.reason == reasons.ROLLOUT_STALLED)
        leaving.add_metric(labels, layer.status.leaving)
        warm.add_metric(labels, layer.status.warm)
    yield from (updated, outdated, stalled, leaving, warm)
