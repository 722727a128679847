"""What /livez and /readyz say of this daemon, from memory."""

from strata.reconcile.controller import Controller
from strata.server.context import HealthCheck

_STALE_S = 15.0  # three signs of life missed


def checks(controller: Controller) -> list[HealthCheck]:
    """The store's cache must be fresh, and somebody must lead: us, with all reconcilers well, or another."""
    informer = controller.informer
    age_s = informer.age_s()
    found = [
        HealthCheck("process", ok=True, livez=True),
        HealthCheck("store", ok=informer.synced and age_s < _STALE_S, reason=_store_reason(informer.synced, age_s)),
    ]
    reign = controller.reign
    if reign is not None:
        unwell = reign.unhealthy()
        reason = "; ".join(f"{name}: {why}" for name, why in unwell)
        found.append(HealthCheck("reconcilers", ok=not unwell, reason=reason))
    else:
        leader = controller.election.known_leader
        reason = f"{leader.identity} leads" if leader else "nobody is known to lead: nothing is changed in EC2"
        found.append(HealthCheck("leader", ok=leader is not None, reason=reason))
    return found


def _store_reason(synced: bool, age_s: float) -> str:  # noqa: FBT001 - one fact of two
    if not synced:
        return "etcd has not been read yet"
    if age_s >= _STALE_S:
        return f"etcd gave no sign of life for {age_s:.0f} s; nothing is changed until it does"
    return ""


def waiting_checks(reason: str) -> list[HealthCheck]:
    """The process is well, and waits for etcd."""
    return [HealthCheck("process", ok=True, livez=True), HealthCheck("store", ok=False, reason=reason)]
