"""Lives of customers, in the words of the generic source: together every type that RevenueCat's format has words for and
that a store of that source can cause."""

import time

NOW = time.time()


def at(days):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(NOW + days * 86400))


def price(minor):
    return {"amount_minor": minor, "currency": "USD"}


class Life:
    """What is said of one purchase, in order."""

    def __init__(self, customer, store="APP_STORE"):
        self.customer, self.store, self.said = customer, store, []

    def say(self, days, reason, **facets):
        self.said.append({
            "id": f"{self.customer}/{len(self.said)}", "observed_at": at(days), "reason": reason, "environment": "PRODUCTION",
            "purchase_id": f"sub-{self.customer}", **facets,
        })
        return self

    def bought(self, until=20, product="pro_monthly", **facets):
        return self.say(-10, "purchased", **{
            "store": self.store, "customer_id": self.customer, "kind": "subscription", "transaction_id": f"{self.customer}-1",
            "product_id": product, "period_type": "normal", "period": {"starts_at": at(-10), "ends_at": at(until)},
            "will_renew": True, "price": price(999), "country": "DE", "attributes": {"$email": "ada@example.com", "plan": "x"}, **facets,
        })

    def paid(self, days, reason, product="pro_monthly"):
        return self.say(days, reason, product_id=product, transaction_id=f"{self.customer}-2", period_type="normal",
                        period={"starts_at": at(days), "ends_at": at(days + 30)}, will_renew=True, price=price(999))

    def once(self, kind, product, **facets):
        return self.say(-10, "one_time_purchased", store=self.store, customer_id=self.customer, kind=kind, product_id=product,
                        transaction_id=f"{self.customer}-1", price=price(4999), country="DE", period={"starts_at": at(-10)}, **facets)


def refund(customer):
    return {"transaction_id": f"{customer}-1", "refund": {"transaction_id": f"{customer}-1", **price(999)}}


def lives():
    trial = {"period_type": "trial", "price": price(0)}
    stores = ["APP_STORE", "MAC_APP_STORE", "PLAY_STORE", "AMAZON", "STRIPE", "PADDLE", "EXTERNAL"]
    return [
        *(Life(f"buys at {store}", store).bought() for store in stores),
        Life("has a trial").bought(**trial),
        Life("converts").bought(**trial).paid(-3, "renewed"),
        Life("renews").bought().paid(-1, "renewed"),
        Life("off").bought().say(-5, "renewal_disabled", will_renew=False, cancel_reason="UNSUBSCRIBE"),
        Life("off and on").bought().say(-5, "renewal_disabled", will_renew=False).say(-4, "renewal_enabled", will_renew=True),
        Life("ends").bought().say(-5, "renewal_disabled", will_renew=False).say(-1, "expired", expiration_reason="UNSUBSCRIBE"),
        Life("comes back").bought().say(-5, "expired", expiration_reason="UNSUBSCRIBE").paid(-1, "purchased"),
        Life("in grace").bought(until=0.5).say(-0.1, "grace_started", grace_ends_at=at(6)),
        Life("pays in grace").bought(until=0.5).say(-0.2, "grace_started", grace_ends_at=at(6)).paid(-0.1, "recovered"),
        Life("in retry").bought(until=0.5).say(-0.1, "billing_retry_started", billing_retry=True),
        Life("pays in retry").bought(until=0.5).say(-0.2, "billing_retry_started", billing_retry=True).paid(-0.1, "recovered"),
        Life("will pause", "PLAY_STORE").bought().say(-1, "pause_scheduled", pause={"resumes_at": at(30)}),
        Life("pauses", "PLAY_STORE").bought().say(-2, "pause_scheduled", pause={"resumes_at": at(30)})
        .say(-1, "paused", pause={"starts_at": at(-1), "resumes_at": at(30)}),
        Life("is refunded").bought().say(-1, "refunded", **refund("is refunded")),
        Life("is refunded, undone").bought().say(-2, "refunded", **refund("is refunded, undone"))
        .say(-1, "refund_reversed", **refund("is refunded, undone")),
        Life("upgrades").bought().paid(-1, "product_changed", "pro_yearly"),
        Life("will downgrade").bought(product="pro_yearly").say(-1, "product_change_scheduled", pending_product_id="pro_monthly"),
        Life("is given days").bought().say(-1, "extended", transaction_id="is given days-1",
                                           period={"starts_at": at(-10), "ends_at": at(27)}),
        Life("gives away").bought().say(-1, "transferred", transfer_to="receives"),
        Life("buys for ever").once("non_consumable", "lifetime"),
        Life("buys for ever, refunded").once("non_consumable", "lifetime").say(-1, "refunded", **refund("buys for ever, refunded")),
        Life("buys coins").once("consumable", "coins"),
        Life("is told a higher price").bought().say(-1, "price_increase", price=price(1299)),
    ]


def play(hub):
    """Tells the hub all lives; answers the customers."""
    for product, entitlements in [("pro_monthly", ["pro"]), ("pro_yearly", ["pro"]), ("lifetime", ["pro"]), ("coins", [])]:
        hub.call("/v1/products", {"product_id": product, "entitlements": entitlements})
    customers = ["receives"]
    for life in lives():
        hub.tell(life.said)
        customers.append(life.customer)
    for customer in ["is granted", "was granted"]:
        grant = hub.call(f"/v1/customers/{customer.replace(' ', '%20')}/grants", {"entitlement": "pro", "duration": "P7D"})
        if customer == "was granted":
            hub.call(f"/v1/grants/{grant['id']}", method="DELETE")
        customers.append(customer)
    return customers
