"""Starts a hub and a receiver, tells the hub of purchases, and verifies what the receiver got. See
scripts/webhook-libraries-check.

Usage: check.py PAIDUP PYTHON NODE    (PYTHON: not empty when standardwebhooks can be imported; NODE: with standardwebhooks)
"""

import hashlib
import hmac
import http.server
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

HERE = pathlib.Path(__file__).parent
ADMIN_KEY = "webhook-libraries-check-key"
FORMATS = ["paidup", "revenuecat", "purchasely"]
TEXT_SECRET = "a secret that the vendor's page showed"
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
    """A hub on a free port."""

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

    def call(self, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {ADMIN_KEY}", "Content-Type": "application/json"}
        with urllib.request.urlopen(urllib.request.Request(self.url + path, data, headers), timeout=60) as answer:
            return json.loads(answer.read() or b"null")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)


def by_python(task):
    """The official Python library."""
    from standardwebhooks import Webhook

    def fits(request):
        try:
            Webhook(task["secret"]).verify(request["body"], request["headers"])
            return True
        except Exception:
            return False

    return [fits(request) for request in task["requests"]]


def by_node(node, task):
    done = subprocess.run([node, HERE / "verify.cjs"], input=json.dumps(task), stdout=subprocess.PIPE, text=True, timeout=60)
    return json.loads(done.stdout) if done.returncode == 0 else [False] * len(task["requests"])


def by_revenuecat(request):
    """As RevenueCat's page on webhook security says."""
    parts = dict(part.split("=", 1) for part in request["headers"]["x-revenuecat-webhook-signature"].split(","))
    signed = hmac.new(TEXT_SECRET.encode(), f"{parts['t']}.{request['body']}".encode(), hashlib.sha256).hexdigest()
    fresh = abs(time.time() - int(parts["t"])) < 300
    return fresh and request["headers"]["authorization"] == "Bearer receiver" and hmac.compare_digest(signed, parts["v1"])


def by_purchasely(request):
    """As Purchasely's page on webhook security says."""
    signed = request["headers"]["x-purchasely-timestamp"] + request["body"]
    signed = hmac.new(TEXT_SECRET.encode(), signed.encode(), hashlib.sha256).hexdigest()
    return hmac.compare_digest(signed, request["headers"]["x-purchasely-request-signature"])


def flipped(request):
    """The same with one byte of the body changed."""
    middle = len(request["body"]) // 2
    other = "x" if request["body"][middle] != "x" else "y"
    return {**request, "body": request["body"][:middle] + other + request["body"][middle + 1 :]}


def main():
    program, python, node = sys.argv[1:]
    receiver, wrong, made = Receiver(), [], {}
    with tempfile.TemporaryDirectory() as folder, Hub(program, folder) as hub:
        source = hub.call("/v1/sources", {"type": "generic", "name": "shop", "config": {}})["id"]
        hub.call("/v1/products", {"product_id": "pro_monthly", "entitlements": ["pro"]})
        for form in FORMATS:
            config = {"url": f"http://127.0.0.1:{receiver.server_port}/{form}", "format": form, "signatures": ["v1", "v1a"]}
            if form != "paidup":
                config["hmac_secret"] = TEXT_SECRET
            if form == "revenuecat":
                config["authorization"] = "Bearer receiver"
            one = hub.call("/v1/destinations", {"type": "webhook", "name": form, "config": config})
            # What is sent while a secret rotates is signed by both.
            fresh = hub.call(f"/v1/destinations/{one['id']}/rotate_secret", {"overlap_hours": 1})
            public_keys = hub.call(f"/v1/destinations/{one['id']}/public_keys")["public_keys"]
            made[form] = {"secrets": [one["secret"], fresh["secret"]], "public_keys": public_keys}
        now = time.time()
        at = lambda days: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now + days * 86400))
        common = {"environment": "PRODUCTION", "purchase_id": "sub-1"}
        hub.call(f"/ingest/{source}", [
            {"id": "1", "observed_at": at(-10), "reason": "purchased", **common, "store": "STRIPE", "customer_id": "müller-✓",
             "kind": "subscription", "transaction_id": "t1", "product_id": "pro_monthly", "will_renew": True,
             "period": {"starts_at": at(-10), "ends_at": at(20)}, "price": {"amount_minor": 999, "currency": "EUR"}},
            {"id": "2", "observed_at": at(-5), "reason": "renewal_disabled", **common, "will_renew": False},
            {"id": "3", "observed_at": at(-1), "reason": "refunded", **common, "refund": {"transaction_id": "t1"}},
        ])
        expected = len(hub.call("/v1/events?limit=200")["data"])
        until = time.time() + PATIENCE
        while time.time() < until and len(receiver.of("/paidup")) < expected:
            time.sleep(0.05)
        while time.time() < until and any(one["behind"] for one in hub.call("/v1/destinations")["data"]):
            time.sleep(0.05)
    receiver.shutdown()
    for form in FORMATS:
        requests = receiver.of(f"/{form}")
        if not requests or (form == "paidup" and len(requests) != expected):
            wrong.append(f"{form}: {len(requests)} requests came")
        checks = {}
        for name, secret in zip(["the old secret", "the fresh secret"], made[form]["secrets"]):
            task = {"secret": secret, "public_keys": made[form]["public_keys"], "requests": requests}
            bad = {**task, "requests": [flipped(request) for request in requests]}
            if python:
                checks[f"standardwebhooks (Python), {name}"] = (by_python(task), by_python(bad))
            if node:
                checks[f"standardwebhooks (JavaScript), {name}, both public keys"] = (by_node(node, task), by_node(node, bad))
        if form == "revenuecat":
            checks["RevenueCat's check"] = ([by_revenuecat(one) for one in requests], [by_revenuecat(flipped(one)) for one in requests])
        if form == "purchasely":
            checks["Purchasely's check"] = ([by_purchasely(one) for one in requests], [by_purchasely(flipped(one)) for one in requests])
        for name, (taken, forged) in checks.items():
            print(f"{form}: {name}: {sum(taken)} of {len(requests)} requests taken, {sum(forged)} with a flipped byte")
            if not all(taken) or any(forged):
                wrong.append(f"{form}: {name} does not agree")
    for line in wrong:
        print(line, file=sys.stderr)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
