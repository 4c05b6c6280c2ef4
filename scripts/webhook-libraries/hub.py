"""A hub on a free port, and a receiver that keeps what comes."""

import http.server
import json
import os
import signal
import subprocess
import threading
import time
import urllib.request

ADMIN_KEY = "webhook-libraries-check-key"
PATIENCE = 60


class Receiver(http.server.ThreadingHTTPServer):
    """Keeps what comes, by path."""

    def __init__(self):
        self.requests = []
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def of(self, path):
        return [request for request in list(self.requests) if request["path"] == path]


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.requests.append({"path": self.path, "headers": headers, "body": body})
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


class Hub:
    """A hub on a free port, with one generic source."""

    def __init__(self, program, folder):
        environment = {
            "PATH": os.environ["PATH"],
            "PAIDUP_LISTEN": "127.0.0.1:0",
            "PAIDUP_DATABASE_URL": f"sqlite:{folder}/paidup.db",
            "PAIDUP_ADMIN_KEY": ADMIN_KEY,
            "PAIDUP_ALLOW_PRIVATE_TARGETS": "127.0.0.0/8",
            "PAIDUP_LOG": "warn",
        }
        self.process = subprocess.Popen([program, "serve"], env=environment, stdout=subprocess.PIPE, text=True)
        self.url = next(line.split("listening on ")[1].split()[0] for line in self.process.stdout if "listening on " in line)
        self.source = self.call("/v1/sources", {"type": "generic", "name": "shop", "config": {}})["id"]

    def call(self, path, body=None, method=None):
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {ADMIN_KEY}", "Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{path}: {error.code} {error.read().decode()}") from None

    def tell(self, observations):
        self.call(f"/ingest/{self.source}", observations)

    def webhook(self, name, config):
        return self.call("/v1/destinations", {"type": "webhook", "name": name, "config": config})

    def test(self, destination, event_type):
        return self.call(f"/v1/destinations/{destination}/test", {"type": event_type})

    def types(self):
        """Every canonical type."""
        return [row["type"] for row in self.call("/v1/events/schemas")["data"]]

    def wait_until_told(self):
        """Until no destination has anything left to be told; answers those that have."""
        until = time.time() + PATIENCE
        while True:
            waiting = [row["name"] for row in self.call("/v1/destinations")["data"] if row["behind"]]
            waiting += [row["event_id"] for row in self.call("/v1/deliveries?state=retrying")["data"]]
            if not waiting or time.time() > until:
                return waiting
            time.sleep(0.05)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
