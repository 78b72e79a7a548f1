"""Benches: one file a question, each prints one JSON object. Run them as `make bench`.

- `bench_import`: how long until the client says something, and until a daemon takes calls?
- `bench_ci`: ten services from sources to healthy: all new, and with nothing changed.
- `bench_watch`: how soon is a verdict told; what do 500 pods and 10,000 log lines a second cost?
- `bench_scale`: a thousand ConfigMaps in two hundred resources: first, and with nothing changed.

They measure what pip installs, which is compiled: `make setup` compiles the sources too.

`measure` runs a program and weighs it; `phases` watches one run from outside, over the API;
`cluster` has the namespaces and projects.  Where a `tilt` is on PATH, it gets the same projects.
"""
