"""The daemon's own metrics. Per-layer series come from a collector in reconcile/, on the leader alone."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, disable_created_metrics

disable_created_metrics()  # type: ignore[no-untyped-call]  # they double the page, and nobody reads them

_PASS_BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class DaemonMetrics:
    """One set of metrics a process, in a registry of its own."""

    def __init__(self, version: str, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        r = self.registry
        self.build = Info("strata_build", "The version that runs", registry=r)
        self.build.info({"version": version})
        self.leader = Gauge("strata_leader", "1 where this daemon leads", registry=r)
        self.leader_changes = Counter("strata_leader_transitions", "Leaderships gained or lost", registry=r)
        self.queue_depth = Gauge("strata_queue_depth", "Keys that wait", ["queue"], registry=r)
        self.queue_wait = Histogram(
            "strata_queue_wait_seconds", "Time a key waited", ["queue"], buckets=_PASS_BUCKETS_S, registry=r
        )
        self.pass_seconds = Histogram(
            "strata_pass_duration_seconds", "Time a pass took", ["kind"], buckets=_PASS_BUCKETS_S, registry=r
        )
        self.retries = Counter("strata_pass_retries", "Passes that failed, by reason", ["kind", "reason"], registry=r)
        self.crashes = Counter(
            "strata_crashes", "Work that ended by a fault of ours and is tried again, by kind", ["kind"], registry=r
        )
        self.ec2_calls = Counter(
            "strata_ec2_calls", "EC2 and SSM calls, by action and code (ok if none)", ["action", "code"], registry=r
        )
        self.ec2_seconds = Histogram("strata_ec2_call_duration_seconds", "Time a call took", ["action"], registry=r)
        self.ec2_throttles = Counter(
            "strata_ec2_throttles", "Calls that EC2 throttled (server), or that waited for our bucket (client)",
            ["action", "side"], registry=r,
        )  # fmt: skip
        self.watch_age = Gauge("strata_watch_age_seconds", "Time since the watch last gave a sign of life", registry=r)
        self.poll_age = Gauge(
            "strata_ec2_poll_age_seconds", "Time since a region was last polled completely", ["region"], registry=r
        )
        self.events_queue_up = Gauge(
            "strata_events_queue_up", "1 while the region's queue of events can be read", ["region"], registry=r
        )
        self.events_queue_messages = Counter(
            "strata_events_queue_messages",
            "Messages of the region's queue, by kind; foreign and malformed ones are dropped",
            ["region", "kind"], registry=r,
        )  # fmt: skip
        self.witness_failures = Counter(
            "strata_witness_failures", "Times that the store's revision could not be noted outside of it", registry=r
        )
        self.events_written = Counter("strata_events_written", "Events recorded", ["type", "reason"], registry=r)
        self.loop_stall = Histogram(
            "strata_event_loop_stall_seconds", "How late the event loop woke a timer",
            buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5), registry=r,
        )  # fmt: skip
