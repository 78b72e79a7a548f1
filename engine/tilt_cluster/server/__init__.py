"""HTTPS and WebSockets: the only part of the API that knows aiohttp."""
