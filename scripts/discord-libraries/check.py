"""Starts a hub, tells it of purchases, lets Discord's libraries read them, compares. See scripts/discord-libraries-check.

Usage: check.py PAIDUP PYTHON NODE    (PYTHON with discord.py and NODE with discord.js; an empty one is left out)
"""

import datetime
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import urllib.request

HERE = pathlib.Path(__file__).parent
ADMIN_KEY = "discord-libraries-check-key"
APPLICATION = "1019570616722472961"
# More than two pages of a hundred.
MANY = 230
DAY = datetime.timedelta(days=1)


def text(at):
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def milliseconds(at):
    return None if at is None else int(at.timestamp()) * 1000


class Hub:
    """A hub on a free port, with the numbering of statuses that a library expects."""

    def __init__(self, program, folder, numbering):
        environment = {
            "PATH": os.environ["PATH"],
            "PAIDUP_LISTEN": "127.0.0.1:0",
            "PAIDUP_DATABASE_URL": f"sqlite:{folder}/paidup.db",
            "PAIDUP_ADMIN_KEY": ADMIN_KEY,
            "PAIDUP_DISCORD_STATUS_NUMBERING": numbering,
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


def lives(now):
    """What the hub is told, and what must be read: by customer and start."""
    first = now - 10 * DAY
    later, last = first + 3 * DAY, first + 5 * DAY
    off = ("renewal_disabled", later, {"will_renew": False})
    # Name, what happens after the start, and: status, cancelled at, renews, gives access.
    stories = [
        ("renews", [], ("ACTIVE", None, True, True)),
        ("off", [off], ("ENDING", later, False, True)),
        ("ended", [("expired", later, {})], ("INACTIVE", None, False, False)),
        ("off and ended", [off, ("expired", last, {})], ("INACTIVE", later, False, False)),
        ("retry", [("billing_retry_started", later, {"billing_retry": True})], ("ACTIVE", None, True, False)),
        ("refunded", [("refunded", later, {"refund": {}})], ("INACTIVE", later, False, False)),
    ]
    told, truth = [], {}

    def tell(customer, purchase, start, story):
        name, after, expected = story
        end = start + 30 * DAY
        common = {"environment": "PRODUCTION", "purchase_id": purchase}
        told.append({
            "id": f"{purchase}/start", "observed_at": text(start), "reason": "purchased", **common, "store": "STRIPE",
            "customer_id": customer, "kind": "subscription", "transaction_id": f"{purchase}-1", "country": "DE",
            "product_id": "pro_monthly", "period": {"starts_at": text(start), "ends_at": text(end)}, "will_renew": True,
        })
        for reason, at, facets in after:
            facets = {key: {"transaction_id": f"{purchase}-1"} if key == "refund" else value for key, value in facets.items()}
            told.append({"id": f"{purchase}/{reason}", "observed_at": text(at), "reason": reason, **common, **facets})
        status, cancelled, renews, entitled = expected
        truth[customer, milliseconds(start)] = {
            "ends": milliseconds(end), "status": status, "cancelled": milliseconds(cancelled), "renews": renews,
            "entitled": entitled, "refunded": name == "refunded",
        }

    for number in range(24):
        tell(f"customer-{number}", f"sub-{number}", first + datetime.timedelta(minutes=number), stories[number % len(stories)])
    for number in range(MANY):
        tell("many", f"many-{number}", first + datetime.timedelta(seconds=number), stories[number % len(stories)])
    return told, truth


def populate(hub, told):
    source = hub.call("/v1/sources", {"type": "generic", "name": "shop", "config": {}})["id"]
    hub.call("/v1/products", {"product_id": "pro_monthly", "name": "Pro monthly", "entitlements": ["pro"]})
    hub.call(f"/ingest/{source}", told)
    key = hub.call("/v1/keys", {"name": "bot", "scopes": ["read"]})["key"]
    return key, hub.call("/v1/products/pro_monthly")["sku_id"]


def compare(library, read, truth, users, sku):
    """Every difference between what a library read and what is true."""
    wrong = []
    names = {user: customer for customer, user in users.items()}

    def expect(what, found, expected):
        if found != expected:
            wrong.append(f"{library}: {what} is {found!r}, not {expected!r}")

    expect("the SKU", [one for one in read["skus"] if one["id"] == sku], [{"id": sku, "name": "Pro monthly"}])
    for way in ["upwards", "downwards"]:
        rows = read[way]
        expect(f"{way}: the number of subscriptions", len(rows), len(truth))
        seen = set()
        for row in rows:
            start = (int(row["id"]) >> 22) + 1420070400000
            place = names.get(row["user_id"]), start
            known = truth.get(place)
            if known is None or place in seen:
                wrong.append(f"{library}: {way}: {row} is nobody's, or was read twice")
                continue
            seen.add(place)
            expect(f"{place} start", row["starts"], start)
            expect(f"{place} end", row["ends"], known["ends"])
            expect(f"{place} status", row["status"], known["status"])
            expect(f"{place} cancelled", row["cancelled"], known["cancelled"])
            expect(f"{place} SKUs", row["skus"], [sku])
            expect(f"{place} renewal", row["renewal"], [sku] if known["renews"] else None)
            expect(f"{place} entitlements", len(row["entitlements"]), int(known["entitled"]))
    deleted = {one["id"] for one in read["entitlements"] if one["deleted"]}
    expect("the number of entitlements", len({one["id"] for one in read["entitlements"]}), len(truth))
    expect("the number that is deleted", len(deleted), sum(one["refunded"] for one in truth.values()))
    given = {id for row in read["upwards"] for id in row["entitlements"]}
    expect("what subscriptions give", given <= {one["id"] for one in read["entitlements"]} - deleted, True)
    return wrong


def main():
    program, python, node = sys.argv[1:]
    readers = [("discord.py", "contract", [python, HERE / "read.py"]), ("discord.js", "discord", [node, HERE / "read.cjs"])]
    now = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
    told, truth = lives(now)
    customers = sorted({customer for customer, _ in truth})
    key, sku, wrong = None, None, []
    with tempfile.TemporaryDirectory() as folder:
        for library, numbering, command in readers:
            if not command[0]:
                continue
            with Hub(program, folder, numbering) as hub:
                if key is None:
                    key, sku = populate(hub, told)
                users = {customer: hub.call(f"/v1/customers/{customer}")["discord_user_id"] for customer in customers}
                task = {"url": hub.url, "key": key, "application": APPLICATION, "sku": sku, "users": list(users.values())}
                done = subprocess.run(command, input=json.dumps(task), stdout=subprocess.PIPE, text=True, timeout=120)
                if done.returncode != 0:
                    wrong.append(f"{library}: reading failed")
                    continue
                read = json.loads(done.stdout)
            found = compare(library, read, truth, users, sku)
            wrong += found
            print(f"{library} {read['version']}: {len(read['upwards'])} subscriptions upwards, {len(read['downwards'])} "
                  f"downwards, {len(read['entitlements'])} entitlements, {len(found)} differences")
    for line in wrong[:20]:
        print(line, file=sys.stderr)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
