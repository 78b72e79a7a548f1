"""Kubernetes: `k8s_yaml`, `k8s_resource` and what else speaks of objects and of the cluster.

Source of names, defaults and checks: the Tiltfile API reference (tilt-dev/tilt.build).
"""

from collections.abc import Mapping
from urllib import parse

from tiltd.model.desired import ImagePath, Link, PodReadiness, PortForward
from tiltd.starlark import values as starlark
from tiltd.starlark.values import Value
from tiltd.tiltfile import jsonpath, links, object_selectors, objects, port_forwards
from tiltd.tiltfile.arguments import Arguments, shown
from tiltd.tiltfile.host_values import Blob, Wrapped
from tiltd.tiltfile.labels import check as check_label
from tiltd.tiltfile.mistakes import Mistake
from tiltd.tiltfile.object_selectors import Pattern
from tiltd.tiltfile.objects import Entity
from tiltd.tiltfile.reading import KindInfo, Reading, Registered, ResourceOptions
from tiltd.tiltfile.registry import Table

BUILTINS = Table()
PORT_FORWARD = "port_forward"
LINK = "link"
_STRATEGIES = ("", "default", "selectors-only")
_OBJECT_ID = "K8sObjectID"


@BUILTINS.add("k8s_yaml", "yaml allow_duplicates?")
def k8s_yaml(reading: Reading, args: Arguments) -> Value:
    """Add Kubernetes objects (reference: `k8s_yaml`)."""
    items = args.items("yaml")
    found = [entity for item in items for entity in _entities(reading, args, "yaml", item)]
    if not items or (not found and not _has_text(items[0])):
        raise Mistake(
            "k8s_yaml: yaml= is empty", hint="give the path of a YAML file, or a blob of YAML"
        )
    allow_duplicates = args.flag("allow_duplicates")
    place = reading.place()
    known = reading.kubernetes.by_address
    for entity in found:
        first = known.get(_address(entity))
        if first and not allow_duplicates:
            raise Mistake(
                f"the object {entity.id} is given twice to k8s_yaml",
                hint=f"it was first given at {first.place}; if both are meant, "
                "use k8s_yaml(…, allow_duplicates=True)",
            )
        registered = Registered(entity, place)
        known[_address(entity)] = registered
        reading.kubernetes.objects.append(registered)
    return None


@BUILTINS.add(
    "k8s_resource",
    "workload? new_name port_forwards extra_pod_selectors trigger_mode resource_deps objects "
    "auto_init pod_readiness links labels discovery_strategy",
)
def k8s_resource(reading: Reading, args: Arguments) -> Value:
    """Configure a resource, or make one out of objects (reference: `k8s_resource`)."""
    workload, new_name = args.name("workload"), args.name("new_name")
    fragments = args.text_list("objects")
    if not workload and not new_name:
        raise Mistake(
            "k8s_resource: no resource is named",
            hint="give workload= for an existing one, or new_name= and objects= for a new one",
        )
    if not workload and not fragments:
        raise Mistake(
            f"k8s_resource: the new resource {new_name!r} has neither a workload nor objects",
            hint="name an existing resource with workload=, or the new one's objects with objects=",
        )
    for fragment in fragments:
        args.checked("objects", object_selectors.check_fragment, fragment)
    reading.kubernetes.options.append(
        ResourceOptions(
            workload=workload or new_name,
            new_name=new_name,
            grouped=not workload,
            place=reading.place(),
            port_forwards=forwards(args, "port_forwards"),
            extra_pod_selectors=_pod_selectors(args),
            trigger_mode=args.trigger_mode("trigger_mode"),
            resource_deps=args.text_list("resource_deps"),
            objects=fragments,
            auto_init=args.optional_flag("auto_init"),
            pod_readiness=_readiness(args),
            links=link_list(args, "links"),
            labels=labels_of(args),
            discovery_strategy=_strategy(args),
        )
    )
    return None


@BUILTINS.add("filter_yaml", "yaml labels? name? namespace? kind? api_version?")
def filter_yaml(reading: Reading, args: Arguments) -> Value:
    """Split objects into those that match and the rest (reference: `filter_yaml`)."""
    pattern = args.checked("filters", _pattern, args)
    wanted = args.string_map("labels")
    matching: list[Entity] = []
    rest: list[Entity] = []
    for item in args.items("yaml"):
        for entity in _entities(reading, args, "yaml", item):
            hit = pattern.matches(entity) and object_selectors.has_labels(entity, wanted)
            (matching if hit else rest).append(entity)
    whole = args.value("yaml")
    source = whole.source if isinstance(whole, Blob) else "filter_yaml"
    return (Blob(objects.render(matching), source), Blob(objects.render(rest), source))


@BUILTINS.add(
    "k8s_kind",
    "kind * api_version? image_json_path? image_object|image_object_json_path? pod_readiness?",
)
def k8s_kind(reading: Reading, args: Arguments) -> Value:
    """Say where objects of a kind hold images and pods (reference: `k8s_kind`)."""
    pattern = args.checked("kind", _pattern, args)
    paths = _image_paths(args, "image_json_path")
    image_object = _image_object(args)
    if paths and image_object:
        raise Mistake("k8s_kind: give either image_json_path= or image_object=, not both")
    known = reading.kubernetes.kinds.get(pattern, KindInfo())
    reading.kubernetes.kinds[pattern] = KindInfo(
        paths or image_object or known.image_paths, _readiness(args) or known.pod_readiness
    )
    return None


@BUILTINS.add("k8s_image_json_path", "paths api_version? kind? name? namespace?")
def k8s_image_json_path(reading: Reading, args: Arguments) -> Value:
    """Say where some objects hold images (reference: `k8s_image_json_path`)."""
    if not any(args.text(part) for part in ("kind", "name", "namespace")):
        raise Mistake(
            "k8s_image_json_path: one of kind=, name= and namespace= is needed",
            hint="say which objects have an image at this path",
        )
    pattern = args.checked("kind", _pattern, args)
    known = reading.kubernetes.kinds.get(pattern, KindInfo())
    reading.kubernetes.kinds[pattern] = KindInfo(_image_paths(args, "paths"), known.pod_readiness)
    return None


@BUILTINS.add("workload_to_resource_function", "func|fn")
def workload_to_resource_function(reading: Reading, args: Arguments) -> Value:
    """Let a function name the resources (reference: `workload_to_resource_function`)."""
    function = args.value("func")
    if not starlark.is_defined(function):
        raise args.refuse("func", "a function of this Tiltfile", function)
    parameters = function.__code__.co_argcount
    if parameters != 1:
        raise Mistake(
            f"workload_to_resource_function: {function.__name__} must take one argument, "
            f"not {parameters}"
        )

    place = reading.place()

    def name_of(entity: Entity) -> str:
        name = reading.call(function, _object_id(entity))
        if not isinstance(name, str):
            raise Mistake(
                f"workload_to_resource_function: the function must return a string, "
                f"not {shown(name)}",
                place=place,
            )
        return name

    reading.kubernetes.name_function = name_of
    return None


@BUILTINS.add("k8s_context")
def k8s_context(reading: Reading, args: Arguments) -> Value:
    """The name of the Kubernetes context (reference: `k8s_context`)."""
    del args
    return reading.context.name


@BUILTINS.add("k8s_namespace")
def k8s_namespace(reading: Reading, args: Arguments) -> Value:
    """The default namespace (reference: `k8s_namespace`)."""
    del args
    return reading.context.namespace


@BUILTINS.add("allow_k8s_contexts", "contexts")
def allow_k8s_contexts(reading: Reading, args: Arguments) -> Value:
    """Allow contexts that are not known as local ones (reference: `allow_k8s_contexts`)."""
    reading.kubernetes.allowed_contexts.update(args.texts("contexts"))
    return None


@BUILTINS.add("port_forward", "local_port container_port? name? link_path? host?")
def port_forward(reading: Reading, args: Arguments) -> Value:
    """A forwarded port (reference: `port_forward`)."""
    del reading
    link_path = args.text("link_path")
    try:
        parse.urlsplit(link_path)
    except ValueError as error:
        raise Mistake(f"port_forward: link_path={link_path!r} is no path: {error}") from error
    host = args.text("host")
    forward = PortForward(
        local_port=args.checked("local_port", port_forwards.port, args.integer("local_port")),
        container_port=args.checked(
            "container_port", port_forwards.port, args.integer("container_port")
        ),
        host=args.checked("host", port_forwards.check_host, host) if host else "localhost",
        name=args.text("name"),
        link_path=link_path,
    )
    fields = {"local_port": forward.local_port, "container_port": forward.container_port}
    return Wrapped(PORT_FORWARD, forward, {**fields, "name": forward.name})


@BUILTINS.add("link", "url name?")
def link(reading: Reading, args: Arguments) -> Value:
    """A link of a resource (reference: `link`)."""
    del reading
    made = args.checked("url", links.make, args.text("url"), args.text("name"))
    return Wrapped(LINK, made, {"url": made.url, "name": made.name})


def forwards(args: Arguments, name: str) -> tuple[PortForward, ...]:
    """The argument `port_forwards`: numbers, strings, port_forward() values, or a list of them."""
    return tuple(args.checked(name, _forward, args, name, item) for item in args.items(name))


def link_list(args: Arguments, name: str) -> tuple[Link, ...]:
    """The argument `links`: strings, link() values, or a list of them."""
    return tuple(args.checked(name, _link, args, name, item) for item in args.items(name))


def labels_of(args: Arguments) -> tuple[str, ...]:
    """The argument `labels`: a label, or a list of them."""
    return tuple(args.checked("labels", check_label, text) for text in args.texts("labels"))


def _forward(args: Arguments, name: str, item: Value) -> PortForward:
    if isinstance(item, Wrapped) and isinstance(item.value, PortForward):
        return item.value
    if isinstance(item, int) and not isinstance(item, bool):
        return PortForward(port_forwards.port(item))
    if isinstance(item, str):
        return port_forwards.parse(item)
    raise args.refuse(name, "a port, a string, a port_forward() or a list of them", item)


def _link(args: Arguments, name: str, item: Value) -> Link:
    if isinstance(item, Wrapped) and isinstance(item.value, Link):
        return item.value
    if isinstance(item, str):
        return links.make(item)
    raise args.refuse(name, "a URL, a link() or a list of them", item)


def _entities(reading: Reading, args: Arguments, name: str, item: Value) -> list[Entity]:
    if isinstance(item, Blob):
        return objects.parse(item.text, f"{args.call}({item.source})")
    if not isinstance(item, str):
        raise args.refuse(name, "a path, a blob of YAML, or a list of these", item)
    path = args.checked(name, reading.files.absolute, item)
    try:
        text = reading.files.read(path, "YAML file")
    except FileNotFoundError as error:
        raise reading.files.unreadable(path, "YAML file", error) from error
    return objects.parse(text, reading.files.shown(path), path)


def _has_text(item: Value) -> bool:
    return bool(item.text if isinstance(item, Blob) else item)


def _address(entity: Entity) -> tuple[str, str, str, str]:
    return (entity.api_version, entity.kind, entity.given_namespace, entity.name)


def _object_id(entity: Entity) -> Value:
    parts = ("name", "kind", "namespace", "group")
    fields = {part: getattr(entity, part) for part in parts}
    return Wrapped(_OBJECT_ID, entity.full_name, fields)


def _pattern(args: Arguments) -> Pattern:
    return Pattern(
        args.text("api_version"), args.text("kind"), args.text("name"), args.text("namespace")
    )


def _readiness(args: Arguments) -> PodReadiness | None:
    text = args.stringable("pod_readiness")
    if not text:
        return None
    try:
        return PodReadiness(text)
    except ValueError as error:
        raise Mistake(
            f"{args.call}: pod_readiness={text!r} is not known",
            hint="write 'wait', 'ignore' or 'succeeded'",
        ) from error


def _strategy(args: Arguments) -> str:
    text = args.stringable("discovery_strategy")
    if text not in _STRATEGIES:
        raise Mistake(
            f"k8s_resource: discovery_strategy={text!r} is not known",
            hint="write 'default' or 'selectors-only'",
        )
    return text


def _pod_selectors(args: Arguments) -> tuple[Mapping[str, str], ...]:
    value = args.value("extra_pod_selectors")
    dicts = [value] if isinstance(value, starlark.Dict) else args.items("extra_pod_selectors")
    found = [args.as_string_map("extra_pod_selectors", item) for item in dicts]
    return tuple(labels for labels in found if labels)


def _image_paths(args: Arguments, name: str) -> tuple[ImagePath, ...]:
    paths = args.texts(name)
    for path in paths:
        args.checked(name, jsonpath.parse, path)
    return tuple(ImagePath(path) for path in paths)


def _image_object(args: Arguments) -> tuple[ImagePath, ...]:
    given = args.string_map("image_object")
    if not given:
        return ()
    wanted = ("json_path", "repo_field", "tag_field")
    missing = [key for key in wanted if not given.get(key)]
    unknown = [key for key in given if key not in wanted]
    if missing or unknown:
        raise Mistake(
            f"k8s_kind: image_object= needs exactly {', '.join(wanted)}"
            + (f"; missing: {', '.join(missing)}" if missing else "")
            + (f"; unknown: {', '.join(unknown)}" if unknown else "")
        )
    args.checked("image_object", jsonpath.parse, given["json_path"])
    return (ImagePath(given["json_path"], given["repo_field"], given["tag_field"]),)
