"""Docker Compose: the adapter, on the imitation and on a real Engine."""
