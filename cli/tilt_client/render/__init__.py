"""From the daemon's words to lines for people: pure, no clock, no terminal.

`screen` is what the rest of the client sees: fed with answers and log lines, it gives lines to
print.  `known` is the state so far; `news` tells what changed in it; `waiting` what is not there
yet; `report` the end.  `tails` keeps the last lines of each container for that report.
"""
