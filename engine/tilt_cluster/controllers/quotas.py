"""The status of ResourceQuotas: what of them is used."""

from tilt_cluster import fields, quota
from tilt_cluster.controllers.plan import Key, Status, Steps, View
from tilt_cluster.objects import RESOURCE_QUOTAS


def sync(view: View, key: Key, _now: float) -> Steps:
    """Count what one quota's namespace uses."""
    found = view.find(RESOURCE_QUOTAS, key.name, key.namespace)
    if found is not None:
        yield Status(RESOURCE_QUOTAS, fields.with_status(found, quota.status(view, found)))
    return None
