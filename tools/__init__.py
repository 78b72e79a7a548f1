"""Scripts that build, check and test the project; run as `python3 -m tools.NAME` from the top."""
