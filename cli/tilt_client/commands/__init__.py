"""One module a verb, with `run(argv) -> exit code`; `__main__` imports the one asked for."""
