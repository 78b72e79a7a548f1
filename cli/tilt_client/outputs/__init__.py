"""What a session leaves for machines and later readers: reports, events, log files, CI's own marks.

`wanted` is what the user asked for and `files` how files are written; both are needed before there
is a daemon, so they import nothing that takes time.  `recorder` is fed with what the session says
and is the only one the session knows.  `document` makes plain data of a session, by the schema in
docs/schema; `junit`, `summary` (Markdown) and the JSON report are made of it.  `events` and
`logfiles` write as things happen; `pages` folds the log where GitHub or GitLab shows it.
"""
