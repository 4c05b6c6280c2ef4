//! Discord's objects as JSON.

use paidup_lifecycle::dialects::discord::{EntitlementShape, Numbering, SkuShape, SubscriptionShape};
use paidup_lifecycle::snowflake::Snowflake;
use paidup_lifecycle::time::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

/// A Subscription. <https://discord.com/developers/docs/resources/subscription#subscription-object>
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DiscordSubscription {
    /// Its id; tells when it began.
    #[schema(value_type = String)]
    id: Snowflake,
    /// Who subscribes: the linked Discord account, else an id of ours.
    #[schema(value_type = String)]
    user_id: Snowflake,
    /// What is subscribed to.
    #[schema(value_type = Vec<String>)]
    sku_ids: Vec<Snowflake>,
    /// Entitlements that it gives now.
    #[schema(value_type = Vec<String>)]
    entitlement_ids: Vec<Snowflake>,
    /// What it will be at the next renewal; null: it will not renew.
    #[schema(value_type = Option<Vec<String>>)]
    renewal_sku_ids: Option<Vec<Snowflake>>,
    /// First moment of the running (or last) period.
    current_period_start: String,
    /// First moment after it.
    current_period_end: String,
    /// ACTIVE, ENDING or INACTIVE, as the number that `PAIDUP_DISCORD_STATUS_NUMBERING` says.
    status: u8,
    /// Since when it is cancelled.
    canceled_at: Option<String>,
    /// ISO 3166-1 alpha-2; only for keys with the scope `admin`, where the store told.
    #[serde(skip_serializing_if = "Option::is_none")]
    country: Option<String>,
}

impl DiscordSubscription {
    /// `sees_country`: the country is shown.
    pub(super) fn new(
        id: Snowflake,
        user_id: Snowflake,
        shape: SubscriptionShape,
        numbering: Numbering,
        sees_country: bool,
    ) -> DiscordSubscription {
        DiscordSubscription {
            id,
            user_id,
            sku_ids: vec![shape.sku_id],
            entitlement_ids: shape
                .is_entitled
                .then(|| shape.native_entitlement.unwrap_or(id.twin()))
                .into_iter()
                .collect(),
            renewal_sku_ids: shape.renewal_sku_id.map(|id| vec![id]),
            current_period_start: time(shape.period_starts_at),
            current_period_end: time(shape.period_ends_at),
            status: shape.status.number(numbering),
            canceled_at: shape.canceled_at.map(time),
            country: shape.country.filter(|_| sees_country),
        }
    }
}

/// An Entitlement. <https://discord.com/developers/docs/resources/entitlement#entitlement-object>
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DiscordEntitlement {
    /// Its id; tells when it began.
    #[schema(value_type = String)]
    id: Snowflake,
    /// What may be used.
    #[schema(value_type = String)]
    sku_id: Snowflake,
    /// The application that was asked for.
    #[schema(value_type = String)]
    application_id: Snowflake,
    /// Who may use it.
    #[schema(value_type = String)]
    user_id: Snowflake,
    /// 1 bought once, 3 given by hand, 4 bought in a store's sandbox, 8 by a subscription.
    #[serde(rename = "type")]
    entitlement_type: u8,
    /// Refunded or withdrawn.
    deleted: bool,
    /// First moment.
    starts_at: Option<String>,
    /// First moment after it; null: it runs.
    ends_at: Option<String>,
    /// Always false: what is used up, the seller keeps. Only where something can be used up.
    #[serde(skip_serializing_if = "Option::is_none")]
    consumed: Option<bool>,
    /// The Subscription that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    subscription_id: Option<Snowflake>,
}

impl DiscordEntitlement {
    /// `purchase` is the purchase's snowflake.
    pub(super) fn new(
        purchase: Snowflake,
        application_id: Snowflake,
        user_id: Snowflake,
        shape: &EntitlementShape,
    ) -> DiscordEntitlement {
        DiscordEntitlement {
            id: shape.native.unwrap_or(purchase.twin()),
            sku_id: shape.sku_id,
            application_id,
            user_id,
            entitlement_type: shape.entitlement_type.number(),
            deleted: shape.deleted,
            starts_at: Some(time(shape.starts_at)),
            ends_at: shape.ends_at.map(time),
            consumed: shape.is_consumable.then_some(false),
            subscription_id: shape.of_subscription.then_some(purchase),
        }
    }
}

/// An SKU. <https://discord.com/developers/docs/resources/sku#sku-object>
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DiscordSku {
    /// Its id.
    #[schema(value_type = String)]
    id: Snowflake,
    /// 2 durable, 3 consumable, 5 subscription.
    #[serde(rename = "type")]
    sku_type: u8,
    /// The application that was asked for.
    #[schema(value_type = String)]
    application_id: Snowflake,
    /// For people.
    name: String,
    /// The name for addresses.
    slug: String,
    /// Discord's bits: 4 available, 256 for users.
    flags: u32,
}

impl DiscordSku {
    pub(super) fn new(application_id: Snowflake, shape: SkuShape) -> DiscordSku {
        let words = shape.name.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty());
        let slug = words.map(str::to_lowercase).collect::<Vec<_>>().join("-");
        let (sku_type, flags) = (shape.sku_type.number(), shape.sku_type.flags());
        DiscordSku { id: shape.id, sku_type, application_id, name: shape.name, slug, flags }
    }
}

/// As Discord writes times: microseconds and an offset, always.
fn time(at: Timestamp) -> String {
    let text = at.to_string();
    let text = text.trim_end_matches('Z');
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    format!("{seconds}.{fraction:0<6}+00:00")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_six_digits_and_an_offset() {
        for (ours, discords) in [
            ("2024-08-27T19:48:44.406Z", "2024-08-27T19:48:44.406000+00:00"),
            ("2024-08-27T19:48:44.4Z", "2024-08-27T19:48:44.400000+00:00"),
            ("2024-08-27T19:48:44Z", "2024-08-27T19:48:44.000000+00:00"),
        ] {
            assert_eq!(time(ours.parse().unwrap()), discords);
        }
        assert_eq!(time(Timestamp::MAX), "9999-12-30T22:00:00.000000+00:00");
    }
}
