"""The Tiltfile API on top of `tiltd.starlark`, and its result: a `Project`.

`loader` runs a Tiltfile in a thread and is the implementation of `ports.Tiltfiles`.  What the
builtins collect while it runs lies in a `reading.Reading`; `assembly` turns that, once and without
any side effect, into the project.  `builtins` holds the functions that Tiltfiles call, one module
a theme; the modules beside it are the plain logic that these share, and know no Starlark.
"""
