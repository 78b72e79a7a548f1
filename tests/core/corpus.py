"""Manifests of all common kinds, written in the many ways in which people write them.

Each is a name (a sentence's end) and an object; a namespace is put in by the test.
"""

from typing import Any

Obj = dict[str, Any]

IMAGE = "localhost:5000/base/busybox:1"
_CONTAINER: Obj = {"name": "main", "image": IMAGE, "command": ["sleep", "1000"]}


def _obj(api: str, kind: str, name: str, **fields: Any) -> Obj:
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name}, **fields}


def _workload(kind: str, name: str, pod: Obj, **spec: Any) -> Obj:
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": pod}
    body = _obj("apps/v1", kind, name)
    body["spec"] = {"selector": {"matchLabels": labels}, "template": template, **spec}
    return body


def _deployment(name: str, pod: Obj | None = None, **container: Any) -> Obj:
    spec = {"containers": [{**_CONTAINER, **container}], **(pod or {})}
    return _workload("Deployment", name, spec, replicas=0)


def _job_spec() -> Obj:
    return {"template": {"spec": {"restartPolicy": "Never", "containers": [dict(_CONTAINER)]}}}


def _volumes() -> Obj:
    sources = [
        {"configMap": {"name": "some", "items": [{"key": "a", "path": "a"}]}},
        {"secret": {"name": "some", "optional": True}},
        {"downwardAPI": {"items": [{"path": "l", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
        {"serviceAccountToken": {"path": "token", "expirationSeconds": 3600}},
    ]
    return {
        "volumes": [
            {"name": "empty", "emptyDir": {}},
            {"name": "sized", "emptyDir": {"medium": "Memory", "sizeLimit": "1024Mi"}},
            {"name": "conf", "configMap": {"name": "some", "defaultMode": 0o644}},
            {"name": "sec", "secret": {"secretName": "some", "optional": True}},
            {"name": "host", "hostPath": {"path": "/tmp", "type": ""}},  # noqa: S108 - the node's
            {"name": "claim", "persistentVolumeClaim": {"claimName": "data"}},
            {"name": "all", "projected": {"sources": sources, "defaultMode": 420}},
            {
                "name": "own",
                "ephemeral": {
                    "volumeClaimTemplate": {
                        "spec": {
                            "accessModes": ["ReadWriteOnce"],
                            "resources": {"requests": {"storage": "1024Mi"}},
                        }
                    }
                },
            },
        ],
        "tolerations": [
            {"key": "a", "operator": "Exists"},
            {"key": "b", "operator": "Equal", "value": "c", "effect": "NoSchedule"},
            {"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 30},
        ],
    }


def _env() -> list[Obj]:
    return [
        {"name": "PLAIN", "value": "1"},
        {"name": "EMPTY", "value": ""},
        {"name": "NONE"},
        {"name": "CONF", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}},
        {"name": "SEC", "valueFrom": {"secretKeyRef": {"name": "c", "key": "k", "optional": True}}},
        {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
        {
            "name": "CPU",
            "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1m"}},
        },
    ]


def _probes() -> Obj:
    return {
        "readinessProbe": {"httpGet": {"path": "/", "port": "http"}},
        "livenessProbe": {"tcpSocket": {"port": 80}, "periodSeconds": 10, "timeoutSeconds": 1},
        "startupProbe": {"exec": {"command": ["true"]}, "failureThreshold": 30},
        "lifecycle": {"preStop": {"exec": {"command": ["sleep", "1"]}}},
        "ports": [{"name": "http", "containerPort": 80}],
    }


def _crd() -> Obj:
    spec_schema = {
        "type": "object",
        "properties": {
            "size": {"type": "string", "default": "small"},
            "count": {"type": "integer", "default": 1},
            "tags": {"type": "array", "items": {"type": "string"}},
            "labels": {"type": "object", "additionalProperties": {"type": "string"}},
            "parts": {
                "type": "array",
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["name"],
                "items": {
                    "type": "object",
                    "required": ["name"],
                    "properties": {
                        "name": {"type": "string"},
                        "weight": {"type": "integer", "default": 10},
                    },
                },
            },
            "anything": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
            "maybe": {"type": "string", "nullable": True},
        },
    }
    schema = {"type": "object", "properties": {"spec": spec_schema, "status": {"type": "object"}}}
    version: Obj = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
        "subresources": {"status": {}},
    }
    body = _obj("apiextensions.k8s.io/v1", "CustomResourceDefinition", "widgets.drift.tilt.example")
    body["metadata"]["creationTimestamp"] = None
    body["spec"] = {
        "group": "drift.tilt.example",
        "names": {"kind": "Widget", "plural": "widgets"},
        "scope": "Namespaced",
        "versions": [version],
    }
    body["status"] = {
        "acceptedNames": {"kind": "", "plural": ""},
        "conditions": [],
        "storedVersions": [],
    }
    return body


CRD = _crd()

_STRICT: dict[str, Obj] = {
    "a bare Deployment": _deployment("bare"),
    "ports in all spellings": _deployment(
        "ports",
        ports=[
            {"containerPort": 80},
            {"containerPort": 443, "name": "https", "protocol": "TCP"},
            {"containerPort": 53, "protocol": "UDP", "name": "dns-udp"},
            {"containerPort": 53, "protocol": "TCP", "name": "dns-tcp"},
        ],
    ),
    "env from everywhere": _deployment(
        "env",
        env=_env(),
        envFrom=[{"configMapRef": {"name": "c"}}, {"prefix": "X_", "secretRef": {"name": "s"}}],
    ),
    "probes": _deployment("probes", **_probes()),
    "volumes of all kinds": _deployment(
        "volumes",
        _volumes(),
        volumeMounts=[
            {"name": "empty", "mountPath": "/empty"},
            {"name": "conf", "mountPath": "/conf", "readOnly": True, "subPath": "a"},
            {"name": "all", "mountPath": "/all"},
        ],
    ),
    "quantities that are not canonical": _deployment(
        "quantities",
        resources={
            "requests": {"cpu": "1000m", "memory": "1024Mi"},
            "limits": {"cpu": "2.0", "memory": "2048Mi", "ephemeral-storage": "1000000k"},
        },
    ),
    "quantities that are numbers": _deployment(
        "numbers", resources={"limits": {"cpu": 1, "memory": 1073741824}, "requests": {"cpu": 0.5}}
    ),
    "empty maps and lists": _deployment(
        "empties",
        {
            "nodeSelector": {},
            "securityContext": {},
            "imagePullSecrets": [],
            "volumes": [],
            "affinity": {},
            "tolerations": [],
            "initContainers": [],
        },
        resources={},
        env=[],
        args=[],
        securityContext={},
        ports=[],
    ),
    "nulls": _deployment(
        "nulls",
        {"nodeSelector": None, "volumes": None, "securityContext": None},
        resources=None,
        env=None,
        livenessProbe=None,
    ),
    "an empty strategy and null annotations": {
        **_deployment("strategy"),
        "spec": {
            **_deployment("strategy")["spec"],
            "strategy": {},
            "minReadySeconds": 0,
            "paused": False,
            "template": {
                "metadata": {
                    "creationTimestamp": None,
                    "labels": {"app": "strategy"},
                    "annotations": {},
                },
                "spec": {"containers": [dict(_CONTAINER)]},
            },
        },
        "status": {},
    },
    "all of a pod's spec": _deployment(
        "pod",
        {
            "serviceAccount": "default",
            "serviceAccountName": "default",
            "automountServiceAccountToken": False,
            "dnsPolicy": "ClusterFirst",
            "hostAliases": [{"ip": "127.0.0.1", "hostnames": ["a", "b"]}],
            "terminationGracePeriodSeconds": 0,
            "imagePullSecrets": [{"name": "pull"}],
            "initContainers": [{"name": "init", "image": IMAGE, "restartPolicy": "Always"}],
            "securityContext": {"runAsUser": 0, "sysctls": [], "supplementalGroups": [1, 2]},
            "topologySpreadConstraints": [
                {
                    "maxSkew": 1,
                    "topologyKey": "kubernetes.io/hostname",
                    "whenUnsatisfiable": "ScheduleAnyway",
                    "labelSelector": {"matchLabels": {"app": "pod"}},
                }
            ],
            "affinity": {
                "podAntiAffinity": {
                    "preferredDuringSchedulingIgnoredDuringExecution": [
                        {
                            "weight": 1,
                            "podAffinityTerm": {
                                "topologyKey": "kubernetes.io/hostname",
                                "labelSelector": {
                                    "matchExpressions": [
                                        {"key": "app", "operator": "In", "values": ["pod"]}
                                    ]
                                },
                            },
                        }
                    ]
                }
            },
        },
        securityContext={
            "privileged": False,
            "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]},
        },
    ),
    "a StatefulSet with claims": _workload(
        "StatefulSet",
        "db",
        {"containers": [{**_CONTAINER, "volumeMounts": [{"name": "data", "mountPath": "/data"}]}]},
        serviceName="db",
        replicas=0,
        volumeClaimTemplates=[
            {
                "metadata": {"name": "data", "labels": {"a": "b"}},
                "spec": {
                    "accessModes": ["ReadWriteOnce"],
                    "resources": {"requests": {"storage": "1024Mi"}},
                },
            }
        ],
    ),
    "a StatefulSet whose claims say what they are": _workload(
        "StatefulSet",
        "db2",
        {"containers": [dict(_CONTAINER)]},
        serviceName="db2",
        replicas=0,
        volumeClaimTemplates=[
            {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "metadata": {"name": "data", "creationTimestamp": None},
                "spec": {
                    "accessModes": ["ReadWriteOnce"],
                    "resources": {"requests": {"storage": "1Gi"}},
                },
                "status": {},
            }
        ],
    ),
    "a DaemonSet": _workload(
        "DaemonSet",
        "agent",
        {"containers": [dict(_CONTAINER)], "nodeSelector": {"no": "where"}},
        updateStrategy={"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "10%"}},
    ),
    "a Job": _obj("batch/v1", "Job", "job", spec={"suspend": True, **_job_spec()}),
    "a CronJob": _obj(
        "batch/v1",
        "CronJob",
        "cron",
        spec={"schedule": "0 0 * * *", "suspend": True, "jobTemplate": {"spec": _job_spec()}},
    ),
    "a Service": _obj(
        "v1", "Service", "svc", spec={"selector": {"app": "a"}, "ports": [{"port": 80}]}
    ),
    "a Service with several ports": _obj(
        "v1",
        "Service",
        "svcs",
        spec={
            "selector": {"app": "a"},
            "ports": [
                {"port": 80, "targetPort": "http", "name": "http"},
                {"port": 53, "protocol": "UDP", "name": "udp"},
                {"port": 53, "protocol": "TCP", "name": "tcp", "targetPort": 5353},
            ],
            "sessionAffinity": "None",
        },
    ),
    "a NodePort Service": _obj(
        "v1", "Service", "node-port", spec={"type": "NodePort", "ports": [{"port": 80}]}
    ),
    "a LoadBalancer Service": _obj(
        "v1",
        "Service",
        "balancer",
        spec={"type": "LoadBalancer", "ports": [{"port": 80}], "loadBalancerSourceRanges": []},
    ),
    "a headless Service": _obj(
        "v1",
        "Service",
        "headless",
        spec={"clusterIP": "None", "selector": {"app": "a"}, "ports": [{"port": 80}]},
    ),
    "an ExternalName Service": _obj(
        "v1", "Service", "external", spec={"type": "ExternalName", "externalName": "example.com"}
    ),
    "an Ingress": _obj(
        "networking.k8s.io/v1",
        "Ingress",
        "web",
        spec={
            "rules": [
                {
                    "host": "a.example",
                    "http": {
                        "paths": [
                            {
                                "path": "/",
                                "pathType": "Prefix",
                                "backend": {"service": {"name": "svc", "port": {"number": 80}}},
                            }
                        ]
                    },
                }
            ],
            "tls": [{"hosts": ["a.example"], "secretName": "tls"}],
        },
    ),
    "a NetworkPolicy that selects all": _obj(
        "networking.k8s.io/v1",
        "NetworkPolicy",
        "deny",
        spec={"podSelector": {}, "policyTypes": ["Ingress"]},
    ),
    "a NetworkPolicy with rules": _obj(
        "networking.k8s.io/v1",
        "NetworkPolicy",
        "allow",
        spec={
            "podSelector": {"matchLabels": {"app": "a"}},
            "ingress": [
                {
                    "from": [{"podSelector": {}}, {"ipBlock": {"cidr": "10.0.0.0/8"}}],
                    "ports": [{"port": 80}],
                },
                {},
            ],
        },
    ),
    "a ConfigMap": _obj("v1", "ConfigMap", "conf", data={"a": "1", "empty": "", "b.conf": "x\ny"}),
    "a ConfigMap without data": _obj("v1", "ConfigMap", "no-data"),
    "a ConfigMap with empty data": _obj("v1", "ConfigMap", "empty-data", data={}, binaryData={}),
    "a ConfigMap with null data": _obj("v1", "ConfigMap", "null-data", data=None),
    "a ConfigMap with binary data": _obj(
        "v1", "ConfigMap", "binary", binaryData={"b": "aGVsbG8="}, immutable=False
    ),
    "a Secret": _obj("v1", "Secret", "sec", data={"a": "aGVsbG8="}),
    "a Secret of a type": _obj(
        "v1",
        "Secret",
        "auth",
        type="kubernetes.io/basic-auth",
        data={"username": "aGVsbG8=", "password": "aGVsbG8="},
    ),
    "a Secret with stringData": _obj("v1", "Secret", "str", stringData={"a": "hello", "b": ""}),
    "a Secret with both": _obj(
        "v1", "Secret", "both", data={"a": "aGVsbG8=", "c": "Yw=="}, stringData={"a": "hi"}
    ),
    "a ServiceAccount": _obj(
        "v1",
        "ServiceAccount",
        "sa",
        automountServiceAccountToken=False,
        imagePullSecrets=[{"name": "pull"}],
        secrets=[{"name": "tok"}],
    ),
    "a Role": _obj(
        "rbac.authorization.k8s.io/v1",
        "Role",
        "role",
        rules=[{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}],
    ),
    "a Role without rules": _obj("rbac.authorization.k8s.io/v1", "Role", "no-role", rules=[]),
    "a RoleBinding": _obj(
        "rbac.authorization.k8s.io/v1",
        "RoleBinding",
        "binding",
        roleRef={"kind": "Role", "name": "role", "apiGroup": "rbac.authorization.k8s.io"},
        subjects=[{"kind": "ServiceAccount", "name": "sa", "namespace": "default"}],
    ),
    "a RoleBinding in short": _obj(
        "rbac.authorization.k8s.io/v1",
        "RoleBinding",
        "short",
        roleRef={"kind": "Role", "name": "role", "apiGroup": "rbac.authorization.k8s.io"},
        subjects=[{"kind": "User", "name": "me"}],
    ),
    "an autoscaler": _obj(
        "autoscaling/v2",
        "HorizontalPodAutoscaler",
        "hpa",
        spec={
            "maxReplicas": 3,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "bare"},
            "metrics": [
                {
                    "type": "Resource",
                    "resource": {
                        "name": "cpu",
                        "target": {"type": "Utilization", "averageUtilization": 80},
                    },
                }
            ],
        },
    ),
    "an autoscaler of the first version": _obj(
        "autoscaling/v1",
        "HorizontalPodAutoscaler",
        "hpa1",
        spec={
            "maxReplicas": 3,
            "targetCPUUtilizationPercentage": 80,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "no"},
        },
    ),
    "a disruption budget": _obj(
        "policy/v1",
        "PodDisruptionBudget",
        "pdb",
        spec={"minAvailable": "50%", "selector": {"matchLabels": {"app": "a"}}},
    ),
    "a volume claim": _obj(
        "v1",
        "PersistentVolumeClaim",
        "data",
        spec={
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1024Mi"}},
            "storageClassName": "none",
        },
    ),
    "a quota": _obj(
        "v1",
        "ResourceQuota",
        "quota",
        spec={"hard": {"count/services": 100, "requests.storage": "10240Mi"}},
    ),
    "limits": _obj(
        "v1",
        "LimitRange",
        "limits",
        spec={
            "limits": [
                {
                    "type": "PersistentVolumeClaim",
                    "max": {"storage": "1024Gi"},
                    "min": {"storage": "0"},
                }
            ]
        },
    ),
    "a pod": _obj(
        "v1",
        "Pod",
        "pod",
        spec={"containers": [dict(_CONTAINER)], "nodeSelector": {"no": "where"}},
    ),
    "labels and annotations": {
        **_obj("v1", "ConfigMap", "labelled", data={"a": "1"}),
        "metadata": {
            "name": "labelled",
            "labels": {"a/b": "c", "empty": ""},
            "annotations": {"x.y/z": '{"a": 1}', "empty": ""},
            "finalizers": [],
            "ownerReferences": [],
        },
    },
}

_CUSTOM: dict[str, Obj] = {
    "a custom resource with defaults": _obj(
        "drift.tilt.example/v1", "Widget", "plain", spec={"tags": ["a", "b"]}
    ),
    "a custom resource with all sorts": _obj(
        "drift.tilt.example/v1",
        "Widget",
        "sorts",
        spec={
            "size": "big",
            "count": 0,
            "tags": [],
            "labels": {},
            "parts": [{"name": "b"}, {"name": "a", "weight": 1}],
            "anything": {"x": None, "y": {}, "z": [{"a": 1}, None]},
            "maybe": None,
        },
        status={},
    ),
    "a custom resource without a spec": _obj("drift.tilt.example/v1", "Widget", "none"),
}

OBJECTS: dict[str, Obj] = {**_STRICT, **_CUSTOM}
