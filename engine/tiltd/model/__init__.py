"""What the engine talks about: frozen values only; no behaviour beyond a name's spelling, no I/O.

`names` says what things are called, `problems` how failure is told, `desired` what the Tiltfile
asks for, `observed` what the world shows, `state` all of it at one revision, `events` what has
happened, `actions` what to do about it, `decisions` an action or the reason for having none.
"""
