"""Lets generated requests find something: sets the hub up, and puts the ids of what is there into a part of the requests.
See scripts/api-fuzz."""

import json
import os
import urllib.request
import zlib

import schemathesis

URL = os.environ["API_FUZZ_URL"]
KEY = os.environ["API_FUZZ_KEY"]


def call(path, body=None):
    data = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(URL + path, data, headers), timeout=60) as answer:
        return json.loads(answer.read() or b"null")


def set_up():
    """What is there, by what it is called in paths."""
    source = call("/v1/sources", {"type": "generic", "name": "shop", "config": {}})["id"]
    product = call("/v1/products", {"product_id": "pro", "entitlements": ["pro"]})
    call(f"/ingest/{source}", {
        "id": source, "observed_at": "2026-01-01T00:00:00Z", "reason": "purchased", "environment": "PRODUCTION",
        "purchase_id": "purchase", "customer_id": "customer", "product_id": "pro",
        "period": {"starts_at": "2026-01-01T00:00:00Z"}, "will_renew": True,
    })
    call("/ingest/" + source, {
        "id": "test", "observed_at": "2026-01-01T00:00:00Z", "reason": "test", "environment": "SANDBOX", "purchase_id": "x",
    })
    # Nothing listens there: sending fails, which is an answer too.
    hook = {"type": "webhook", "name": "hook", "config": {"url": "http://127.0.0.1:9/hook"}}
    user = call("/v1/customers/customer")["discord_user_id"]
    entitlement = entitlement_of(user)
    return {
        "sources": source, "source_id": source, "products": product["id"], "entitlements": "pro", "customers": "customer",
        "app_user_id": "customer", "grants": call("/v1/customers/customer/grants", {"entitlement": "pro"})["id"],
        "destinations": call("/v1/destinations", hook)["id"], "events": call("/v1/events?limit=1")["data"][0]["id"],
        "notifications": call("/v1/notifications?limit=1")["data"][0]["id"],
        "keys": call("/v1/keys", {"name": "key", "scopes": ["read"]})["id"], "user_id": user,
        "sku_id": product["sku_id"], "application_id": "1", "entitlement_id": entitlement["id"],
        "subscription_id": entitlement["subscription_id"],
    }


def entitlement_of(user):
    request = urllib.request.Request(f"{URL}/discord/api/v10/applications/1/entitlements?user_id={user}")
    request.add_header("Authorization", f"Bot {KEY}")
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)[0]


KNOWN = set_up()


def is_chosen(parameters):
    """Two of three, always the same ones."""
    return zlib.crc32(repr(parameters).encode("utf-8", "replace")) % 3 > 0


@schemathesis.hook
def map_path_parameters(context, path_parameters):
    # What is deleted is found by nobody after that.
    if not path_parameters or context.operation.method.lower() == "delete" or not is_chosen(path_parameters):
        return path_parameters
    area = context.operation.path.split("/")[2]
    return {name: KNOWN.get(area if name == "id" else name, value) for name, value in path_parameters.items()}


@schemathesis.hook
def map_query(context, query):
    if query and "user_id" in query and is_chosen(query):
        return {**query, "user_id": KNOWN["user_id"]}
    return query
