"""A real Kubernetes on a bare Debian machine, as plain processes, for the tests.

Nothing here is a stand-in: Docker Engine, registry, etcd, the Kubernetes servers, containerd, CNI
plugins and CoreDNS are the programs that run in production. They come from package registries
only (apt, pip, Go modules), because no image registry and no download site can be relied upon.

One process is one `process.Service`: a name, an argument list and a check that says it is ready.
`cluster.up` walks the services in order and starts those that don't run, so that it is at once
the first start, the repair of what died, and the quick "all is there".

Two folders hold everything: the cache (binaries, made once, about 15 minutes) outlives `down`;
the state (data, certificates, sockets, logs, pid files) goes with it. Standard library only:
this runs before the virtual environment exists.
"""
