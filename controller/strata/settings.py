"""The daemon's settings, in one place. Times are seconds."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class ControllerSettings:
    """How the controller behaves. The defaults are for production; tests and `strata up` shorten some.

    `endpoints` names EC2 endpoints other than AWS that a Stack's `spec.endpoint` may choose. `events_queues` are the
    URLs of the SQS queues that EventBridge's events of a region, at an endpoint (None: AWS), come through.
    """

    endpoints: Mapping[str, str] = field(default_factory=dict)
    events_queues: Mapping[tuple[str, str | None], str] = field(default_factory=dict)
    lease_ttl_s: float = 15.0
    act_margin_s: float = 4.0  # a cloud mutation needs this much of the lease left
    workers: int = 64  # passes wait for coalesced calls: enough of them fill one
    resync_s: float = 300.0
    launch_window_s: float = 0.02  # how long the launcher gathers equal launches
    poll_interval_s: float = 5.0
    signals_interval_s: float = 60.0  # no source has news more often; also the step of Prometheus's answers
    impaired_interval_s: float = 15.0  # EC2 checks once a minute: asking at each poll would learn nothing more
    sweep_interval_s: float = 600.0
    absence_gap_s: float = 120.0  # two complete sweeps this far apart prove absence
    absence_age_s: float = 600.0  # and the machine was launched at least this long ago
    many_absent_age_s: float = 3600.0  # many at once: missing for longer than EC2 shows what was terminated
    launch_unanswered_s: float = 600.0
    launch_sweep_after_s: float = 900.0
    launch_expiry_s: float = 12 * 3600.0
    launch_keep_s: float = 24 * 3600.0
    orphan_grace_s: float = 900.0
    refusal_memory_s: float = 300.0  # how long a (type, zone) that had no capacity is not asked again
    backoff_base_s: float = 5.0
    backoff_cap_s: float = 600.0
    fallback_retry_s: float = 3600.0  # so long after the last one, a slot without spot capacity tries again
    stable_after_s: float = 600.0  # online this long forgets earlier failures
