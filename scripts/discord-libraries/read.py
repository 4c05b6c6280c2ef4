"""Reads everything with discord.py, by its own classes. The task comes on stdin, what was read goes to stdout."""

import asyncio
import json
import sys

import discord


def milliseconds(at):
    return None if at is None else round(at.timestamp() * 1000)


def row(one):
    # `renewal_sku_ids` is empty in discord.py where Discord sends null.
    return {
        "id": str(one.id), "user_id": str(one.user_id), "skus": [str(id) for id in one.sku_ids],
        "entitlements": [str(id) for id in one.entitlement_ids], "starts": milliseconds(one.current_period_start),
        "ends": milliseconds(one.current_period_end), "status": one.status.name.upper(),
        "cancelled": milliseconds(one.canceled_at), "renewal": [str(id) for id in one.renewal_sku_ids] or None,
    }


async def main():
    task = json.load(sys.stdin)
    discord.http.Route.BASE = task["url"] + "/discord/api/v10"
    client = discord.Client(intents=discord.Intents.none(), application_id=int(task["application"]))
    async with client:
        try:
            await client.http.static_login(task["key"])
        except discord.NotFound:
            # The hub is no bot and has no GET /users/@me; what log-in sets up besides stays.
            client.http.token = task["key"]
        skus = await client.fetch_skus()
        sku = next(one for one in skus if one.id == int(task["sku"]))
        read = {"upwards": [], "downwards": []}
        highest = discord.Object((1 << 63) - 1)
        for user in task["users"]:
            user = discord.Object(int(user))
            read["upwards"] += [row(one) async for one in sku.subscriptions(limit=None, user=user)]
            read["downwards"] += [row(one) async for one in sku.subscriptions(limit=None, user=user, before=highest)]
        for one in (read["upwards"][0], read["downwards"][-1]):
            assert row(await sku.fetch_subscription(int(one["id"]))) == one, one
        # discord.py passes `exclude_deleted` on only when it goes downwards.
        entitlements = client.entitlements(limit=None, before=highest, exclude_deleted=False)
        read["entitlements"] = [{"id": str(one.id), "deleted": one.deleted} async for one in entitlements]
        read["skus"] = [{"id": str(one.id), "name": one.name} for one in skus]
        read["version"] = discord.__version__
    json.dump(read, sys.stdout)


asyncio.run(main())
