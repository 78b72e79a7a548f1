"""The node: its rules without an Engine, and pods on a real one."""
