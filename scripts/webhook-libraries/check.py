"""Starts a hub, tells it of purchases, and lets other people's code judge what it sends. See scripts/webhook-libraries-check.

Usage: check.py PAIDUP FOLDER PYTHON NODE PHP    (FOLDER: what was installed, with our .cjs and .mjs beside it; PYTHON: not empty
when standardwebhooks can be imported; NODE, PHP: the programs, or empty)
"""

import collections
import hashlib
import hmac
import json
import pathlib
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

import lives
from hub import Hub, Receiver

PAGE = pathlib.Path(__file__).parent.parent.parent / "docs" / "destinations" / "webhook.md"
FORMATS = ["paidup", "revenuecat", "purchasely"]
TEXT_SECRET = "a secret that the vendor's page showed"
AUTHORIZATION = "Bearer of more than thirty-two characters, as it demands"
# Of RevenueCat's types and stores: those that are newer than the package of types.
NEWER_TYPES = {"TEST", "REFUND_REVERSED", "PRICE_INCREASE_CONSENT_REQUIRED", "PRICE_INCREASE_CONSENT_APPROVED"}
NEWER_STORES = {"PADDLE", "EXTERNAL"}
# Every type that the format has words for (docs/destinations/webhook.md).
REVENUECAT_TYPES = NEWER_TYPES | {
    "INITIAL_PURCHASE", "RENEWAL", "CANCELLATION", "UNCANCELLATION", "NON_RENEWING_PURCHASE", "SUBSCRIPTION_PAUSED", "EXPIRATION",
    "BILLING_ISSUE", "PRODUCT_CHANGE", "TRANSFER", "SUBSCRIPTION_EXTENDED", "TEMPORARY_ENTITLEMENT_GRANT",
}


# Who verifies: each answers true or false for each request.


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


def by_program(arguments, given):
    """A program that reads JSON and writes JSON."""
    done = subprocess.run(arguments, input=json.dumps(given), stdout=subprocess.PIPE, text=True, timeout=120)
    return json.loads(done.stdout) if done.returncode == 0 else None


def by_node(node, folder, task):
    return by_program([node, folder / "verify.cjs"], task) or [False] * len(task["requests"])


def of_page(language):
    """The code on the page about webhooks."""
    return PAGE.read_text().split(f"```{language}\n", 1)[1].split("```", 1)[0]


def by_page_in_python(task):
    names = {}
    exec(of_page("python"), names)
    return [bool(names["verified"](one["body"].encode(), one["headers"], task["secret"])) for one in task["requests"]]


# What stands behind the page's code, so that it can be asked from outside.
AROUND = {
    "js": ("cjs", """
const task = JSON.parse(require("node:fs").readFileSync(0));
console.log(JSON.stringify(task.requests.map(({ headers, body }) => verified(Buffer.from(body), headers, task.secret))));
"""),
    "php": ("php", """
$task = json_decode(stream_get_contents(STDIN), true);
echo json_encode(array_map(fn($one) => verified($one['body'], $one['headers'], $task['secret']), $task['requests']));
"""),
}


def by_page(program, language, folder, task):
    ending, around = AROUND[language]
    file = pathlib.Path(folder) / f"page.{ending}"
    file.write_text(of_page(language) + around)
    return by_program([program, file], task) or [False] * len(task["requests"])


def revenuecats_signature(headers, body):
    """As RevenueCat's page on webhook security says."""
    parts = dict(part.split("=", 1) for part in headers["x-revenuecat-webhook-signature"].split(","))
    signed = hmac.new(TEXT_SECRET.encode(), f"{parts['t']}.{body}".encode(), hashlib.sha256).hexdigest()
    return abs(time.time() - int(parts["t"])) < 300 and headers["authorization"] == AUTHORIZATION and hmac.compare_digest(signed, parts["v1"])


def purchaselys_signature(headers, body, secret=TEXT_SECRET):
    """As Purchasely's page on webhook security says: the timestamp's text, and the raw body at once behind it."""
    digest = hmac.new(secret.encode(), (headers["x-purchasely-timestamp"] + body).encode(), hashlib.sha256).hexdigest()
    return hmac.compare_digest(digest, headers["x-purchasely-request-signature"])


# The example on Purchasely's page.
assert purchaselys_signature(
    {
        "x-purchasely-timestamp": "1698322022",
        "x-purchasely-request-signature": "f3c2a452e9ea72f41107321aeaf7999f1054148866a710c9b23f9f501785e2a4",
    },
    '{"a_random_key":"a_random_value_ad"}',
    "foobar",
)


def flipped(request):
    """The same with one byte of the body changed."""
    middle = len(request["body"]) // 2
    other = "x" if request["body"][middle] != "x" else "y"
    return {**request, "body": request["body"][:middle] + other + request["body"][middle + 1 :]}


def later(request):
    """The same with another time on it."""
    shifted = {name: str(int(value) + 1) for name, value in request["headers"].items() if name.endswith("-timestamp")}
    return {**request, "headers": {**request["headers"], **shifted}}


class Checker:
    """What is checked, and what was wrong."""

    def __init__(self, folder, python, node, php):
        self.folder, self.python, self.node, self.php = pathlib.Path(folder), python, node, php
        self.wrong = []

    def expect(self, is_so, complaint):
        if not is_so:
            self.wrong.append(complaint)

    def verifiers(self, form, secret, public_keys):
        """Name and function of everybody who judges signatures of this format."""
        task = lambda requests: {"secret": secret, "public_keys": public_keys, "requests": requests}
        if self.python:
            yield "standardwebhooks (Python)", lambda requests: by_python(task(requests))
        if self.node:
            yield "standardwebhooks (JavaScript), both public keys", lambda requests: by_node(self.node, self.folder, task(requests))
            yield "the page's JavaScript", lambda requests: by_page(self.node, "js", self.folder, task(requests))
        if self.php:
            yield "the page's PHP", lambda requests: by_page(self.php, "php", self.folder, task(requests))
        yield "the page's Python", lambda requests: by_page_in_python(task(requests))
        if form == "revenuecat":
            yield "RevenueCat's signature", lambda requests: [revenuecats_signature(one["headers"], one["body"]) for one in requests]
        if form == "purchasely":
            yield "Purchasely's signature", lambda requests: [purchaselys_signature(one["headers"], one["body"]) for one in requests]

    def signatures(self, form, requests, made):
        for which, secret in zip(["old", "fresh"], made["secrets"]):
            for name, verify in self.verifiers(form, secret, made["public_keys"]):
                taken = verify(requests)
                forged = verify([flipped(one) for one in requests])
                # RevenueCat's time stands inside of its own header.
                moved = [] if name.startswith("RevenueCat") else verify([later(one) for one in requests])
                print(f"{form}: {name}, {which} secret: {sum(taken)} of {len(requests)} requests taken; "
                      f"{sum(forged)} with a flipped byte, {sum(moved)} with another time")
                self.expect(requests and all(taken) and not any(forged) and not any(moved), f"{form}: {name} does not agree")

    def types(self, requests):
        """RevenueCat's bodies, held against somebody else's types of them."""
        bodies = [json.loads(one["body"]) for one in requests]
        known = [one for one in bodies if one["event"]["type"] not in NEWER_TYPES and one["event"]["store"] not in NEWER_STORES]
        damaged = [{**one, "event": {**one["event"], "event_timestamp_ms": str(one["event"]["event_timestamp_ms"])}} for one in known]
        found = by_program([self.node, self.folder / "types.cjs"], known + damaged)
        if found is None:
            return self.expect(False, "@puzzmo/revenue-cat-webhook-types: the compiler failed")
        fits, spoiled = found[: len(known)], found[len(known) :]
        print(f"revenuecat: @puzzmo/revenue-cat-webhook-types: {sum(not one for one in fits)} of {len(known)} bodies taken; "
              f"{sum(not one for one in spoiled)} with a time that is a text")
        for body, complaints in zip(known, fits):
            self.expect(not complaints, f"{body['event']['type']} of {body['event']['store']} does not fit its type: {complaints}")
        self.expect(known and all(spoiled), "@puzzmo/revenue-cat-webhook-types: a time that is a text was taken")


class Somebody:
    """The receiver that was written for RevenueCat."""

    def __init__(self, node, folder):
        command = [node, folder / "receive.mjs", AUTHORIZATION]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=folder)
        self.url = self.process.stdout.readline().strip()

    def ask(self, path):
        with urllib.request.urlopen(self.url + path, timeout=60) as answer:
            return json.loads(answer.read())

    def active(self, customer):
        return dict(self.ask(f"/entitlements?user={urllib.parse.quote(customer)}"))

    def stop(self):
        self.process.terminate()
        self.process.wait(30)


def set_up(hub, receiver):
    """A destination of each format; each has rotated its secret, so that both sign."""
    made = {}
    for form in FORMATS:
        config = {"url": f"http://127.0.0.1:{receiver.server_port}/{form}", "format": form, "signatures": ["v1", "v1a"]}
        if form != "paidup":
            config["hmac_secret"] = TEXT_SECRET
        if form == "revenuecat":
            config["authorization"] = AUTHORIZATION
        one = hub.webhook(form, config)
        fresh = hub.call(f"/v1/destinations/{one['id']}/rotate_secret", {"overlap_hours": 1})
        public_keys = hub.call(f"/v1/destinations/{one['id']}/public_keys")["public_keys"]
        made[form] = {"id": one["id"], "secrets": [one["secret"], fresh["secret"]], "public_keys": public_keys}
    return made


def samples(check, hub, form, destination):
    """A sample of every event through a destination; every one is taken, or the format has no words for it."""
    for event_type in hub.types():
        came = hub.test(destination, event_type)
        is_silent = came["status"] is None and came["explanation"].startswith("nothing was sent: ")
        check.expect(came["delivered"] or (is_silent and form != "paidup"), f"{form}: {event_type}: {came['explanation']}")


def state_at_somebody(check, hub, somebody, customers, destination):
    """Who may use what, and until when, there and here."""
    forged = hub.webhook("forged", {"url": somebody.url + "/webhooks/revenuecat", "format": "revenuecat", "authorization": AUTHORIZATION + "!"})
    came = hub.test(forged["id"], "SUBSCRIPTION_RENEWED")
    check.expect(came["status"] == 401 and "401" in came["explanation"], f"a wrong Authorization: {came}")
    hub.call(f"/v1/destinations/{forged['id']}", method="DELETE")
    for again in [False, True]:
        if again:
            # Repeats change nothing there: it knows them by their ids.
            replay = hub.call("/v1/replays", {"destination": destination, "from": lives.at(-1)})
            path = f"/v1/replays/{replay['id']}"
            until = time.time() + 60
            while hub.call(path)["state"] != "done" and time.time() < until:
                time.sleep(0.1)
            check.expect(not hub.wait_until_told(), "convex-revenuecat: the replay did not end")
        same, having = 0, 0
        for customer in customers:
            here = {row["id"]: row["expires_at"] for row in hub.call(f"/v1/customers/{urllib.parse.quote(customer)}/entitlements")["entitlements"]}
            there = somebody.active(customer)
            same += here.keys() == there.keys()
            having += bool(here)
            check.expect(here.keys() == there.keys(), f"convex-revenuecat: {customer}: {list(there)} there, {list(here)} here")
        check.expect(10 < having < len(customers) - 5, f"{having} of {len(customers)} customers have access: that compares little")
        print(f"revenuecat: convex-revenuecat{', everything told twice' if again else ''}: {same} of {len(customers)} customers have the same "
              f"access there and here, {having} of them some")
    report = somebody.ask("/report")
    print(f"revenuecat: convex-revenuecat answered {report['answers']}")
    check.expect(set(report["answers"]) <= {"200", "401"} and report["answers"]["401"] == 1, f"convex-revenuecat answered {report['answers']}")
    for complaint in report["complaints"]:
        check.expect(False, f"convex-revenuecat complains: {complaint}")


def main():
    program, folder, python, node, php = sys.argv[1:]
    check, receiver = Checker(folder, python, node, php), Receiver()
    somebody = Somebody(node, check.folder) if node else None
    with tempfile.TemporaryDirectory() as scratch, Hub(program, scratch) as hub:
        made = set_up(hub, receiver)
        if somebody:
            config = {"url": somebody.url + "/webhooks/revenuecat", "format": "revenuecat", "authorization": AUTHORIZATION}
            theirs = hub.webhook("convex-revenuecat", config)["id"]
        customers = lives.play(hub)
        check.expect(not hub.wait_until_told(), "not everything was told in time")
        expected = len(events(hub))
        check.expect(len(receiver.of("/paidup")) == expected, f"paidup: {len(receiver.of('/paidup'))} requests, not {expected}")
        if somebody:
            state_at_somebody(check, hub, somebody, customers, theirs)
            samples(check, hub, "revenuecat", theirs)
        for form in FORMATS:
            samples(check, hub, form, made[form]["id"])
    receiver.shutdown()
    if somebody:
        somebody.stop()
    told = collections.Counter(json.loads(one["body"])["event"]["type"] for one in receiver.of("/revenuecat"))
    check.expect(set(told) == REVENUECAT_TYPES, f"revenuecat: told {sorted(told)}")
    for form in FORMATS:
        check.signatures(form, receiver.of(f"/{form}"), made[form])
    if node:
        check.types(receiver.of("/revenuecat"))
    for line in check.wrong:
        print(line, file=sys.stderr)
    sys.exit(1 if check.wrong else 0)


def events(hub):
    """Every event of the log."""
    found, after = [], ""
    while True:
        page = hub.call(f"/v1/events?limit=200{after}")
        found += page["data"]
        if not page["next_cursor"]:
            return found
        after = f"&after={page['next_cursor']}"


if __name__ == "__main__":
    main()
