"""The shop's API: orders come in, get listed and get shipped."""

import os
import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import database

TOKEN = os.environ["SHOP_TOKEN"]


class Api(BaseHTTPRequestHandler):
    """`GET /ready`, `GET /orders`, `POST /migrate`, `POST /orders?item=`, `POST /ship`."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Questions."""
        match urlsplit(self.path).path:
            case "/ready":
                self._answer(200, "ok")
            case "/orders":
                rows = (
                    f"{n} {item} {'shipped' if shipped else 'open'}"
                    for n, item, shipped in database.orders()
                )
                self._answer(200, "\n".join(rows))
            case _:
                self._answer(404, "no such page")

    def do_POST(self) -> None:
        """Changes; only with the token."""
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._answer(401, "wrong token")
            return
        parts = urlsplit(self.path)
        match parts.path:
            case "/migrate":
                database.migrate()
                self._answer(200, "migrated")
            case "/orders":
                item = parse_qs(parts.query).get("item", ["something"])[0]
                self._answer(200, str(database.order(item)))
            case "/ship":
                number = database.ship_one()
                self._answer(200, "" if number is None else str(number))
            case _:
                self._answer(404, "no such page")

    def _answer(self, status: int, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, line: str, *args: object) -> None:
        """One line a request, without those that come all the time."""
        if self.path not in ("/ready", "/ship"):
            print(line % args)


def main() -> None:
    """Serve until asked to stop."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    server = ThreadingHTTPServer(("", 8080), Api)
    print(f"{os.environ.get('SHOP_NAME', 'the shop')} takes orders on port 8080")
    server.serve_forever()


if __name__ == "__main__":
    main()
