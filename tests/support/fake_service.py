"""A service that is only a process: it answers /health and stops on SIGTERM.

Run as `python -m tests.support.fake_service NAME`. The environment sets its behaviour: FAKE_DIES names a
service that ends at once, FAKE_SICK one that never gets healthy, FAKE_STUBBORN one that ignores SIGTERM.
"""

import http.server
import os
import signal
import sys


class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(503 if os.environ.get("FAKE_SICK") == sys.argv[1] else 200)
        self.end_headers()
        self.wfile.write(b'{"status": "ok"}')

    def log_message(self, *args: object) -> None:
        pass


def main(name: str) -> None:
    if os.environ.get("FAKE_DIES") == name:
        sys.exit(f"{name}: DATA_KEY has 3 bytes, 32 are needed")
    server = http.server.ThreadingHTTPServer((os.environ["HTTP_HOST"], int(os.environ["HTTP_PORT"])), Health)
    stubborn = os.environ.get("FAKE_STUBBORN") == name
    signal.signal(signal.SIGTERM, signal.SIG_IGN if stubborn else lambda *_: sys.exit(0))
    server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1])
