"""Pods as containers on the Docker Engine."""
