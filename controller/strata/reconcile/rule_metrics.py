"""What Prometheus is told of the rules behind each layer's number: what each adds, and what the clock does next."""

from collections.abc import Iterable, Iterator

from prometheus_client.core import GaugeMetricFamily, Metric

from strata.resources.layer import Layer

_LABELS = ("stack", "layer")
_WINDOW = "schedule/"


def rule_gauges(layers: Iterable[Layer]) -> Iterator[Metric]:
    """All from the layers' last status."""
    by_rule = GaugeMetricFamily(
        "strata_layer_desired_by_rule", "What each rule adds to the layer's number, or cuts", labels=(*_LABELS, "rule")
    )
    windows = GaugeMetricFamily(
        "strata_layer_schedule_window_open", "1 while the window is open", labels=(*_LABELS, "window")
    )
    next_at = GaugeMetricFamily(
        "strata_layer_next_change_timestamp_seconds", "When the clock changes the layer's number next", labels=_LABELS
    )
    next_desired = GaugeMetricFamily(
        "strata_layer_next_change_desired", "What the layer's number is then", labels=_LABELS
    )
    for layer in layers:
        labels = (layer.metadata.namespace, layer.metadata.name)
        added = {one.rule: one.instances for one in layer.status.because}
        for rule, instances in added.items():
            by_rule.add_metric((*labels, rule), instances)
        for window in layer.spec.capacity.schedule:
            windows.add_metric((*labels, window.name), _WINDOW + window.name in added)
        change = layer.status.next_change
        if change is not None:
            next_at.add_metric(labels, change.at.timestamp())
            next_desired.add_metric(labels, change.desired)
    yield from (by_rule, windows, next_at, next_desired)
