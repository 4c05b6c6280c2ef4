//! Stripe's JSON, written by hand from its API reference and changelog, in both shapes.

use super::objects::{
    Charge, Customer, Dispute, Event, Id, Invoice, InvoicePayment, Line, Object, Price, Refund, Schedule, Session,
    Subscription,
};
use super::shape::Shape;
use crate::calendar::YEAR;
use crate::catalogue::Kind;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// The key of the customer's id in the app, in the `metadata` of subscriptions and payments.
pub const USER_KEY: &str = "app_user_id";

/// How an account writes its objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pen {
    /// Which generation of the API.
    pub shape: Shape,
    /// Real money.
    pub live: bool,
    /// Every session of a one-time payment says in its metadata what it sells: the only way to know where Stripe cannot be
    /// asked. Else half of the shop leaves it to the session's lines.
    pub names_products: bool,
}

impl Pen {
    /// An event as it is sent to an endpoint.
    #[must_use]
    pub fn event(&self, event: &Event) -> Value {
        let object = self.object(&event.object);
        let mut data = json!({"object": object});
        if let Some(before) = &event.before {
            data["previous_attributes"] = changed(&self.object(before), &data["object"]);
        }
        json!({
            "id": &*event.id, "object": "event", "api_version": self.shape.version(), "created": event.created,
            "data": data, "livemode": self.live, "pending_webhooks": 1,
            "request": {"id": null, "idempotency_key": null}, "type": event.kind,
        })
    }

    /// An object as the API shows it.
    #[must_use]
    pub fn object(&self, object: &Object) -> Value {
        match object {
            Object::Customer(one) => self.customer(one),
            Object::Subscription(one) => self.subscription(one),
            Object::Invoice(one) => self.invoice(one),
            Object::Charge(one) => self.charge(one),
            Object::InvoicePayment(one) => self.invoice_payment(one),
            Object::Refund(one) => refund(one),
            Object::Dispute(one) => self.dispute(one),
            Object::Session(one) => self.session(one),
            Object::Schedule(one) => self.schedule(one),
        }
    }

    fn customer(&self, one: &Customer) -> Value {
        json!({
            "id": &*one.id, "object": "customer", "address": address(one.country), "balance": 0, "created": one.created,
            "currency": null, "delinquent": false, "description": null, "email": null, "livemode": self.live,
            "metadata": {}, "name": null, "phone": null, "preferred_locales": [], "tax_exempt": "none",
        })
    }

    fn price(&self, price: &Price) -> Value {
        let recurring = (price.plan.kind == Kind::Subscription).then(|| {
            json!({"interval": interval(price), "interval_count": 1, "trial_period_days": null, "usage_type": "licensed"})
        });
        json!({
            "id": price.id(), "object": "price", "active": true, "billing_scheme": "per_unit", "created": 1_700_000_000,
            "currency": price.currency(), "livemode": self.live, "lookup_key": null, "metadata": {}, "nickname": null,
            "product": price.plan.id, "recurring": recurring,
            "type": if recurring_is(price) { "recurring" } else { "one_time" },
            "unit_amount": price.amount(), "unit_amount_decimal": price.amount().to_string(),
        })
    }

    fn subscription(&self, one: &Subscription) -> Value {
        let mut item = json!({
            "id": &*one.item, "object": "subscription_item", "created": one.created, "metadata": {},
            "price": self.price(&one.price), "quantity": one.quantity, "subscription": &*one.id, "tax_rates": [],
        });
        let mut value = json!({
            "id": &*one.id, "object": "subscription", "billing_cycle_anchor": one.period.0,
            "cancel_at": one.cancel_at, "cancel_at_period_end": one.cancel_at_period_end, "canceled_at": one.canceled_at,
            "cancellation_details": {
                "comment": null, "feedback": one.cancellation.1, "reason": one.cancellation.0,
            },
            "collection_method": "charge_automatically", "created": one.created,
            "currency": one.price.currency(), "customer": &*one.customer, "days_until_due": null,
            "default_payment_method": null, "description": null, "ended_at": one.ended_at,
            "latest_invoice": one.latest_invoice.as_deref(), "livemode": self.live, "metadata": metadata(&one.user),
            "next_pending_invoice_item_invoice": null,
            "pause_collection": one.pause.map(|pause| json!({
                "behavior": pause.behavior, "resumes_at": pause.resumes_at,
            })),
            "pending_setup_intent": null, "pending_update": null, "schedule": one.schedule.as_deref(),
            "start_date": one.created, "status": one.status,
            "trial_end": one.trial.map(|trial| trial.1), "trial_start": one.trial.map(|trial| trial.0),
            "trial_settings": {"end_behavior": {"missing_payment_method": one.without_method}},
        });
        let discount = one.coupon.map(|percent| discount(&one.id, percent));
        match self.shape {
            Shape::Classic => {
                value["current_period_start"] = one.period.0.into();
                value["current_period_end"] = one.period.1.into();
                value["discount"] = discount.unwrap_or_default();
            }
            Shape::Basil => {
                item["current_period_start"] = one.period.0.into();
                item["current_period_end"] = one.period.1.into();
                value["discounts"] = discount.map_or_else(|| json!([]), |discount| json!([discount["id"]]));
            }
        }
        let url = format!("/v1/subscription_items?subscription={}", one.id);
        value["items"] = list(vec![item], false, &url);
        value
    }

    fn invoice(&self, one: &Invoice) -> Value {
        let paid = if one.status == "paid" { one.due } else { 0 };
        let lines = one.lines.iter().enumerate().map(|(number, line)| self.line(one, number, line)).collect();
        let [finalized, paid_at, uncollectible, voided] = one.transitions;
        let mut value = json!({
            "id": &*one.id, "object": "invoice", "account_country": "IE", "amount_due": one.due, "amount_paid": paid,
            "amount_remaining": one.due - paid, "attempt_count": one.attempts, "attempted": one.attempts > 0,
            "auto_advance": one.status == "draft" || one.next_attempt.is_some(), "billing_reason": one.reason,
            "collection_method": "charge_automatically", "created": one.created, "currency": one.currency,
            "customer": &*one.customer, "customer_address": address(one.country), "customer_email": null,
            "lines": list(lines, false, &format!("/v1/invoices/{}/lines", one.id)), "livemode": self.live,
            "metadata": {}, "next_payment_attempt": one.next_attempt, "number": null, "period_end": one.window.1,
            "period_start": one.window.0, "status": one.status,
            "status_transitions": {
                "finalized_at": finalized, "marked_uncollectible_at": uncollectible, "paid_at": paid_at,
                "voided_at": voided,
            },
            "subtotal": one.lines.iter().map(|line| line.amount).sum::<i64>(), "total": one.due,
        });
        let discount = one.coupon.map(|percent| discount(&one.subscription, percent));
        match self.shape {
            Shape::Classic => {
                value["paid"] = (one.status == "paid").into();
                value["subscription"] = (&*one.subscription).into();
                value["charge"] = one.payment.as_ref().map(|payment| &*payment.charge).into();
                value["payment_intent"] = one.payment.as_ref().map(|payment| &*payment.intent).into();
                value["discount"] = discount.unwrap_or_default();
            }
            Shape::Basil => {
                let details = json!({"metadata": metadata(&one.user), "subscription": &*one.subscription});
                value["parent"] =
                    json!({"quote_details": null, "subscription_details": details, "type": "subscription_details"});
                value["discounts"] = discount.map_or_else(|| json!([]), |discount| json!([discount["id"]]));
            }
        }
        value
    }

    fn line(&self, invoice: &Invoice, number: usize, line: &Line) -> Value {
        let mut value = json!({
            "id": format!("il_{}_{number}", invoice.id.trim_start_matches("in_")), "object": "line_item",
            "amount": line.amount, "currency": invoice.currency, "description": line.price.plan.name,
            "discountable": true, "livemode": self.live, "metadata": metadata(&invoice.user),
            "period": {"end": line.period.1, "start": line.period.0}, "quantity": line.quantity,
        });
        match self.shape {
            Shape::Classic => {
                value["price"] = self.price(&line.price);
                value["proration"] = line.proration.into();
                value["subscription"] = (&*invoice.subscription).into();
                value["subscription_item"] = (&*invoice.item).into();
                value["type"] = if line.proration { "invoiceitem" } else { "subscription" }.into();
            }
            Shape::Basil => {
                value["parent"] = json!({
                    "invoice_item_details": null, "type": "subscription_item_details",
                    "subscription_item_details": {
                        "invoice_item": null, "proration": line.proration, "subscription": &*invoice.subscription,
                        "subscription_item": &*invoice.item,
                    },
                });
                value["pricing"] = json!({
                    "price_details": {"price": line.price.id(), "product": line.price.plan.id}, "type": "price_details",
                    "unit_amount_decimal": line.price.amount().to_string(),
                });
            }
        }
        value
    }

    fn charge(&self, one: &Charge) -> Value {
        let mut value = json!({
            "id": &*one.id, "object": "charge", "amount": one.amount, "amount_captured": one.amount,
            "amount_refunded": one.refunded, "billing_details": {
                "address": address(one.country), "email": null, "name": null, "phone": null,
            },
            "captured": true, "created": one.created, "currency": one.currency, "customer": one.customer.as_deref(),
            "disputed": one.disputed, "failure_code": null, "failure_message": null, "livemode": self.live,
            "metadata": payment_metadata(one), "paid": true, "payment_intent": &*one.intent,
            "payment_method_details": {"card": {"brand": "visa", "country": one.country}, "type": "card"},
            "refunded": one.refunded == one.amount, "status": "succeeded",
        });
        match self.shape {
            Shape::Classic => value["invoice"] = one.invoice.as_deref().into(),
            Shape::Basil => {}
        }
        value
    }

    /// The payment intent of a charge.
    #[must_use]
    pub fn intent(&self, one: &Charge) -> Value {
        let mut value = json!({
            "id": &*one.intent, "object": "payment_intent", "amount": one.amount, "amount_received": one.amount,
            "created": one.created, "currency": one.currency, "customer": one.customer.as_deref(),
            "latest_charge": &*one.id, "livemode": self.live, "metadata": payment_metadata(one), "status": "succeeded",
        });
        match self.shape {
            Shape::Classic => value["invoice"] = one.invoice.as_deref().into(),
            Shape::Basil => {}
        }
        value
    }

    fn invoice_payment(&self, one: &InvoicePayment) -> Value {
        json!({
            "id": &*one.id, "object": "invoice_payment", "amount_paid": one.amount, "amount_requested": one.amount,
            "created": one.created, "currency": one.currency, "invoice": &*one.invoice, "is_default": true,
            "livemode": self.live, "payment": {"payment_intent": &*one.intent, "type": "payment_intent"},
            "status": "paid", "status_transitions": {"canceled_at": null, "paid_at": one.created},
        })
    }

    fn dispute(&self, one: &Dispute) -> Value {
        json!({
            "id": &*one.id, "object": "dispute", "amount": one.amount, "charge": &*one.charge, "created": one.created,
            "currency": one.currency, "is_charge_refundable": false, "livemode": self.live, "metadata": {},
            "payment_intent": &*one.intent, "reason": "fraudulent", "status": one.status,
        })
    }

    fn session(&self, one: &Session) -> Value {
        json!({
            "id": &*one.id, "object": "checkout.session", "amount_subtotal": one.total, "amount_total": one.total,
            "client_reference_id": one.reference.as_deref(), "created": one.created, "currency": one.price.currency(),
            "customer": one.customer.as_deref(), "customer_details": {
                "address": address(one.country), "email": null, "name": null, "phone": null,
            },
            "expires_at": one.created + 86_400, "invoice": one.invoice.as_deref(), "livemode": self.live,
            "metadata": self.session_metadata(one), "mode": one.mode, "payment_intent": one.intent.as_deref(),
            "payment_status": one.payment_status, "status": "complete", "subscription": one.subscription.as_deref(),
        })
    }

    fn session_metadata(&self, one: &Session) -> Value {
        let is_named = self.names_products || one.price.plan.kind == Kind::Consumable;
        if one.mode == "payment" && is_named { json!({"price_id": one.price.id()}) } else { json!({}) }
    }

    /// What was bought in a session: shown only to those who ask for it.
    #[must_use]
    pub fn line_items(&self, one: &Session) -> Value {
        let item = json!({
            "id": format!("li_{}", one.id.trim_start_matches("cs_")), "object": "item", "amount_total": one.total,
            "currency": one.price.currency(), "description": one.price.plan.name, "price": self.price(&one.price),
            "quantity": 1,
        });
        list(vec![item], false, &format!("/v1/checkout/sessions/{}/line_items", one.id))
    }

    fn schedule(&self, one: &Schedule) -> Value {
        let phases: Vec<Value> = one.phases.iter().map(|phase| json!({
            "currency": phase.price.currency(), "end_date": phase.ends, "metadata": {}, "proration_behavior": "none",
            "items": [{"metadata": {}, "price": phase.price.id(), "quantity": phase.quantity}],
            "start_date": phase.starts, "trial_end": null,
        })).collect();
        let current = one.phases.get(one.current).filter(|_| one.status == "active");
        json!({
            "id": &*one.id, "object": "subscription_schedule", "canceled_at": null, "completed_at": null,
            "created": one.created,
            "current_phase": current.map(|phase| json!({"end_date": phase.ends, "start_date": phase.starts})),
            "customer": &*one.customer, "end_behavior": "release", "livemode": self.live, "metadata": {},
            "phases": phases, "released_at": one.released_at,
            "released_subscription": one.released_at.map(|_| &*one.subscription), "status": one.status,
            "subscription": if one.released_at.is_some() { None } else { Some(&*one.subscription) },
        })
    }
}

fn refund(one: &Refund) -> Value {
    json!({
        "id": &*one.id, "object": "refund", "amount": one.amount, "charge": &*one.charge, "created": one.created,
        "currency": one.currency, "metadata": {}, "payment_intent": &*one.intent, "reason": "requested_by_customer",
        "status": one.status,
    })
}

/// Stripe's list.
pub(crate) fn list(rows: Vec<Value>, has_more: bool, url: &str) -> Value {
    json!({"object": "list", "data": rows, "has_more": has_more, "url": url})
}

fn interval(price: &Price) -> &'static str {
    if price.plan.period >= YEAR { "year" } else { "month" }
}

fn recurring_is(price: &Price) -> bool {
    price.plan.kind == Kind::Subscription
}

fn address(country: &str) -> Value {
    json!({"city": null, "country": country, "line1": null, "line2": null, "postal_code": null, "state": null})
}

fn metadata(user: &Option<Arc<str>>) -> Value {
    user.as_ref().map_or_else(|| json!({}), |user| json!({USER_KEY: &**user}))
}

/// A one-time payment says what was bought and for whom; an invoice's payment says nothing.
fn payment_metadata(one: &Charge) -> Value {
    let mut said = metadata(&one.user);
    if one.invoice.is_none() {
        said["product_id"] = one.product.into();
    }
    said
}

fn discount(subscription: &Id, percent: u32) -> Value {
    json!({
        "id": format!("di_{}", subscription.trim_start_matches("sub_")), "object": "discount",
        "coupon": {
            "id": format!("off{percent}"), "object": "coupon", "duration": "once", "percent_off": percent, "valid": true,
        },
        "subscription": &**subscription,
    })
}

/// `previous_attributes`: of what changed, how it was. Hashes are compared key by key, arrays as a whole.
fn changed(before: &Value, after: &Value) -> Value {
    let (Some(old), Some(new)) = (before.as_object(), after.as_object()) else { return before.clone() };
    let mut was = Map::new();
    for (key, value) in old {
        let now = new.get(key).unwrap_or(&Value::Null);
        if value != now {
            was.insert(key.clone(), if now.is_null() { value.clone() } else { changed(value, now) });
        }
    }
    Value::Object(was)
}
