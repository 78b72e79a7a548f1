"""The web front: a page, and what it needs of the API."""

import os
import signal
import sys
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

API = os.environ["API"]
TOKEN = os.environ["SHOP_TOKEN"]
PAGE = Path(__file__).with_name("index.html")


def ask(path: str, method: str = "GET") -> str:
    """Ask the API."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    request = urllib.request.Request(f"{API}{path}", method=method, headers=headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return str(answer.read().decode())


class Front(BaseHTTPRequestHandler):
    """`/`, `/ready`, `/orders`, `/buy?item=`."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """All pages."""
        try:
            self._page()
        except OSError as error:  # urllib's errors are OSErrors
            self._answer(502, f"the API does not help: {error}")

    def _page(self) -> None:
        parts = urlsplit(self.path)
        match parts.path:
            case "/":
                self._answer(200, PAGE.read_text(encoding="utf-8"), "text/html")
            case "/ready":
                self._answer(200, ask("/ready"))
            case "/orders":
                self._answer(200, ask("/orders"))
            case "/buy":
                item = parse_qs(parts.query).get("item", ["something"])[0]
                self._answer(200, ask(f"/orders?item={quote(item)}", "POST"))
            case _:
                self._answer(404, "no such page")

    def _answer(self, status: int, text: str, kind: str = "text/plain") -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, line: str, *args: object) -> None:
        """One line a request, without the probes."""
        if self.path != "/ready":
            print(line % args)


def main() -> None:
    """Serve until asked to stop."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print("the web front is open on port 8000")
    ThreadingHTTPServer(("", 8000), Front).serve_forever()


if __name__ == "__main__":
    main()
