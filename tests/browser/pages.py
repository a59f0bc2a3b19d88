"""A few pages of our own on a port of 127.0.0.1, to see that what looks after pages does."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'"
"""As strict as that of the gateway's own pages."""
TYPES = {"js": "text/javascript", "css": "text/css"}
CLEAN = """<!doctype html>
<html lang="en"><head><title>Clean</title><link rel="stylesheet" href="style.css">
<script src="script.js" defer></script></head>
<body><main><h1>Heading</h1><p class="note">Text</p></main></body></html>
"""


class Pages:
    """Serves ``files``, the index among them, each by its name; anything else is a 404.

    All have ``policy`` as their content security policy; an empty one allows everything.
    """

    policy = POLICY

    def __init__(self) -> None:
        files = self.files = {"": CLEAN, "style.css": "", "script.js": ""}
        pages = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                name = self.path.lstrip("/")
                body = files.get(name, "").encode()
                self.send_response(200 if name in files else 404)
                suffix = name.rpartition(".")[2]
                self.send_header("Content-Type", TYPES.get(suffix, "text/html; charset=utf-8"))
                self.send_header("Content-Security-Policy", pages.policy)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Nothing: pytest shows what matters."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
