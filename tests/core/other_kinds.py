"""Manifests of the built-in kinds that few people write, as short as the API takes them.

Each is made for a name of its own, since most have no namespace.
"""

from typing import Any

Obj = dict[str, Any]

NOT_TRIED = {
    "APIService": "while nobody serves it, discovery is broken for everybody on the cluster",
    "IPAddress": "the API server's allocator has them, and repairs what it does not know",
    "Node": "pods of others would be scheduled on it",
}
"""Kinds that a test must not make on a cluster that others use too, and why."""

_IMAGE = "localhost:5000/base/busybox:1"
_LABELS = {"app": "kinds"}
_POD = {
    "metadata": {"labels": _LABELS},
    "spec": {"containers": [{"name": "main", "image": _IMAGE}]},
}
_NOWHERE = {"matchLabels": {"kubernetes.io/metadata.name": "there-is-no-such-namespace"}}
_RULES = [
    {
        "apiGroups": [""],
        "apiVersions": ["v1"],
        "resources": ["configmaps"],
        "operations": ["CREATE"],
    }
]
_RESOURCE_RULES = {"namespaceSelector": _NOWHERE, "resourceRules": _RULES}
_CLASS_ROLE = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}
_SUBJECT = {"kind": "ServiceAccount", "name": "default", "namespace": "default"}
_RIGHTS = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]
_CLAIM = {"devices": {"requests": [{"name": "one", "exactly": {"deviceClassName": "none"}}]}}
_FLOW = {
    "priorityLevelConfiguration": {"name": "catch-all"},
    "matchingPrecedence": 9999,
    "rules": [
        {
            "subjects": [{"kind": "User", "user": {"name": "nobody-at-all"}}],
            "nonResourceRules": [{"verbs": ["get"], "nonResourceURLs": ["/healthz"]}],
        }
    ],
}
_LIMITS = {"nominalConcurrencyShares": 0, "limitResponse": {"type": "Reject"}}
_VOLUME = {
    "capacity": {"storage": "1024Mi"},
    "accessModes": ["ReadWriteOnce"],
    "hostPath": {"path": "/nowhere"},
    "storageClassName": "none",
}


def _webhook(name: str) -> Obj:
    service = {"name": "nobody", "namespace": "default"}
    return {
        "name": f"{name}.tilt.example",
        "clientConfig": {"service": service},
        "rules": _RULES,
        "namespaceSelector": _NOWHERE,
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    }


def manifests(name: str, namespace: str, request: str) -> list[Obj]:
    """One of each.

    Args:
        name: of all of them.
        namespace: for those that have one.
        request: a certificate request (PEM in base64).
    """
    admission = "admissionregistration.k8s.io/v1"
    selector = {"matchLabels": _LABELS}
    mutation = {
        "patchType": "ApplyConfiguration",
        "applyConfiguration": {"expression": "Object{}"},
    }
    mutating = {
        "matchConstraints": _RESOURCE_RULES,
        "mutations": [mutation],
        "failurePolicy": "Ignore",
        "reinvocationPolicy": "Never",
    }
    validating = {
        "matchConstraints": _RESOURCE_RULES,
        "validations": [{"expression": "true"}],
        "failurePolicy": "Ignore",
    }
    holder = {"holderIdentity": "us", "leaseDurationSeconds": 30}
    regarding = {"kind": "ConfigMap", "name": "conf", "namespace": namespace}
    limited: Obj = {"type": "Limited", "limited": _LIMITS}
    kind_of: dict[str, list[tuple[str, Obj]]] = {
        "v1": [
            (
                "Endpoints",
                {"subsets": [{"addresses": [{"ip": "10.9.9.9"}], "ports": [{"port": 1}]}]},
            ),
            ("Event", {"involvedObject": regarding, "reason": "Tried", "type": "Normal"}),
            ("Namespace", {}),
            ("PersistentVolume", {"spec": _VOLUME}),
            ("PodTemplate", {"template": _POD}),
            (
                "ReplicationController",
                {"spec": {"replicas": 0, "selector": _LABELS, "template": _POD}},
            ),
        ],
        "apps/v1": [
            ("ControllerRevision", {"revision": 1, "data": {"a": {"b": 1}}}),
            ("ReplicaSet", {"spec": {"replicas": 0, "selector": selector, "template": _POD}}),
        ],
        "certificates.k8s.io/v1": [
            (
                "CertificateSigningRequest",
                {
                    "spec": {
                        "request": request,
                        "signerName": "tilt.example/none",
                        "usages": ["client auth"],
                    }
                },
            )
        ],
        "coordination.k8s.io/v1": [("Lease", {"spec": holder})],
        "discovery.k8s.io/v1": [
            (
                "EndpointSlice",
                {
                    "addressType": "IPv4",
                    "endpoints": [{"addresses": ["10.9.9.9"], "conditions": {"ready": True}}],
                    "ports": [{"port": 80}],
                },
            )
        ],
        "flowcontrol.apiserver.k8s.io/v1": [
            ("FlowSchema", {"spec": _FLOW}),
            ("PriorityLevelConfiguration", {"spec": limited}),
        ],
        "networking.k8s.io/v1": [
            ("IngressClass", {"spec": {"controller": "tilt.example/none"}}),
            ("ServiceCIDR", {"spec": {"cidrs": ["10.231.0.0/28"]}}),
        ],
        "node.k8s.io/v1": [("RuntimeClass", {"handler": "none"})],
        "rbac.authorization.k8s.io/v1": [
            ("ClusterRole", {"rules": _RIGHTS}),
            ("ClusterRoleBinding", {"roleRef": _CLASS_ROLE, "subjects": [_SUBJECT]}),
        ],
        "resource.k8s.io/v1": [
            ("DeviceClass", {"spec": {"selectors": [{"cel": {"expression": "true"}}]}}),
            ("ResourceClaim", {"spec": _CLAIM}),
            ("ResourceClaimTemplate", {"spec": {"spec": _CLAIM}}),
            (
                "ResourceSlice",
                {
                    "spec": {
                        "driver": "tilt.example",
                        "allNodes": True,
                        "pool": {"name": name, "generation": 1, "resourceSliceCount": 1},
                    }
                },
            ),
        ],
        "scheduling.k8s.io/v1": [("PriorityClass", {"value": 7})],
        "storage.k8s.io/v1": [
            ("CSIDriver", {"spec": {"podInfoOnMount": True}}),
            ("CSINode", {"spec": {"drivers": []}}),
            ("CSIStorageCapacity", {"storageClassName": "none", "capacity": "1024Mi"}),
            ("StorageClass", {"provisioner": "tilt.example/none"}),
            (
                "VolumeAttachment",
                {
                    "spec": {
                        "attacher": "tilt.example",
                        "nodeName": "none",
                        "source": {"persistentVolumeName": "none"},
                    }
                },
            ),
            ("VolumeAttributesClass", {"driverName": "tilt.example", "parameters": {"a": "b"}}),
        ],
        admission: [
            ("MutatingAdmissionPolicy", {"spec": mutating}),
            ("MutatingAdmissionPolicyBinding", {"spec": {"policyName": name}}),
            ("MutatingWebhookConfiguration", {"webhooks": [_webhook(name)]}),
            ("ValidatingAdmissionPolicy", {"spec": validating}),
            (
                "ValidatingAdmissionPolicyBinding",
                {"spec": {"policyName": name, "validationActions": ["Warn"]}},
            ),
            ("ValidatingWebhookConfiguration", {"webhooks": [_webhook(name)]}),
        ],
    }
    made: list[Obj] = []
    for api, rows in kind_of.items():
        for kind, fields in rows:
            metadata = {"name": name, "namespace": namespace}
            if kind not in _NAMESPACED:
                del metadata["namespace"]
            made.append({"apiVersion": api, "kind": kind, "metadata": metadata, **fields})
    return made


_NAMESPACED = {
    "CSIStorageCapacity",
    "ControllerRevision",
    "EndpointSlice",
    "Endpoints",
    "Event",
    "Lease",
    "PodTemplate",
    "ReplicaSet",
    "ReplicationController",
    "ResourceClaim",
    "ResourceClaimTemplate",
}
