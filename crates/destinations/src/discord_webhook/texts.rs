//! Which messages there are, and what they say when the operator says nothing: RevenueCat's nine (word for word), its
//! tenth, and one for every canonical event.
//!
//! <https://www.revenuecat.com/docs/integrations/third-party-integrations/discord>, column "Default Event Name
//! (Fallback)"; the short sentences are those of the page's samples.

use paidup_lifecycle::alert::is_alert;
use paidup_lifecycle::dialects::revenuecat::IntegrationEvent;
use paidup_lifecycle::event::EventType;
use std::fmt;

/// What a message is about. RevenueCat's names come first: `TRIAL_STARTED` and `TRIAL_CONVERTED` mean its messages, which
/// are told where the canonical events of the same name would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Topic {
    /// One of RevenueCat's names.
    Integration(IntegrationEvent),
    /// A canonical event under its own name.
    Canonical(EventType),
}

impl Topic {
    /// Every topic, RevenueCat's first.
    pub(super) fn all() -> impl Iterator<Item = Topic> {
        let canonical = EventType::ALL.iter().copied().map(Topic::Canonical);
        let shadowed = |topic: &Topic| topic.as_str().parse::<IntegrationEvent>().is_ok();
        IntegrationEvent::ALL.iter().copied().map(Topic::Integration).chain(canonical.filter(move |t| !shadowed(t)))
    }

    pub(super) fn parse(name: &str) -> Option<Topic> {
        Topic::all().find(|topic| topic.as_str() == name)
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Topic::Integration(event) => event.as_str(),
            Topic::Canonical(event) => event.as_str(),
        }
    }

    /// On without being asked: RevenueCat's nine, the test of the line, and operator alerts, for which the filter has to ask.
    pub(super) fn is_on_by_default(self) -> bool {
        match self {
            Topic::Integration(event) => {
                event.is_on_by_default(paidup_lifecycle::dialects::revenuecat::Outlet::Discord)
            }
            Topic::Canonical(event) => event == EventType::Test || is_alert(event),
        }
    }

    /// The four of RevenueCat's messages that show revenue. Canonical events show what they carry.
    pub(super) fn shows_revenue(self) -> bool {
        match self {
            Topic::Integration(event) => match event {
                IntegrationEvent::InitialPurchase
                | IntegrationEvent::TrialConverted
                | IntegrationEvent::Renewal
                | IntegrationEvent::NonSubscriptionPurchase => true,
                IntegrationEvent::TrialStarted
                | IntegrationEvent::TrialCancelled
                | IntegrationEvent::Cancellation
                | IntegrationEvent::BillingIssue
                | IntegrationEvent::ProductChange
                | IntegrationEvent::Expiration => false,
            },
            Topic::Canonical(_) => true,
        }
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a message feels: its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Good,
    Bad,
    Neutral,
}

impl Tone {
    /// RevenueCat's green and red; Discord's own blue for what is neither.
    pub(super) const fn colour(self) -> u32 {
        match self {
            Tone::Good => 0x57_F287,
            Tone::Bad => 0xED_4245,
            Tone::Neutral => 0x58_65F2,
        }
    }
}

/// The words of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Words {
    /// For people, e.g. `Initial Purchase`.
    pub(super) title: String,
    /// RevenueCat's cats.
    pub(super) emoji: &'static str,
    pub(super) tone: Tone,
    /// The default text, a template.
    pub(super) text: String,
    /// What stands after `Customer <link> ` in RevenueCat's embeds.
    pub(super) shown: String,
}

const HAPPY: &str = "😺";
const CRYING: &str = "😿";
const POUTING: &str = "😾";
const SCARED: &str = "🙀";
const PLAIN: &str = "🐱";

/// The words of `topic`.
pub(super) fn words(topic: Topic) -> Words {
    let title = title_of(topic.as_str());
    let (emoji, tone, text, shown) = match topic {
        Topic::Integration(event) => {
            let (emoji, tone, text, shown) = integration(event);
            (emoji, tone, text.to_owned(), shown.to_owned())
        }
        Topic::Canonical(EventType::Test) => {
            let text = "This is a test from Paidup: messages reach this channel.";
            (HAPPY, Tone::Neutral, text.to_owned(), "is a test: messages reach this channel.".to_owned())
        }
        Topic::Canonical(event) if is_alert(event) => {
            let (emoji, tone, verb, _) = canonical(event);
            (emoji, tone, format!("{verb}: {{{{alert}}}}"), format!("{verb}."))
        }
        Topic::Canonical(event) => {
            let (emoji, tone, verb, join) = canonical(event);
            let text = format!("Customer {{{{user_id}}}} {verb} {join} {{{{product_id}}}}");
            (emoji, tone, text, format!("{verb}."))
        }
    };
    Words { title, emoji, tone, text, shown }
}

/// The default text of a product change whose new product the store did not name.
pub(super) const CHANGE_TO_UNKNOWN: &str = "Customer {{user_id}} got a product change from {{old_product_id}}";

fn integration(event: IntegrationEvent) -> (&'static str, Tone, &'static str, &'static str) {
    use IntegrationEvent as I;
    match event {
        I::InitialPurchase => (
            HAPPY,
            Tone::Good,
            "Customer {{user_id}} just started a subscription of {{product_id}}",
            "just started a subscription.",
        ),
        I::TrialStarted => (
            HAPPY,
            Tone::Good,
            "Customer {{user_id}} just started a free trial of {{product_id}}",
            "just started a free trial.",
        ),
        I::TrialConverted => (
            HAPPY,
            Tone::Good,
            "Customer {{user_id}} just converted from a free trial of {{product_id}}",
            "just converted from a free trial.",
        ),
        I::TrialCancelled => (
            POUTING,
            Tone::Bad,
            "Customer {{user_id}} just cancelled their free trial of {{product_id}}",
            "just cancelled their free trial.",
        ),
        I::Renewal => (
            HAPPY,
            Tone::Good,
            "Customer {{user_id}} just renewed their subscription of {{product_id}}",
            "just renewed their subscription.",
        ),
        I::Cancellation => (
            CRYING,
            Tone::Bad,
            "Customer {{user_id}} just cancelled their subscription of {{product_id}}",
            "just cancelled their subscription.",
        ),
        I::NonSubscriptionPurchase => {
            (HAPPY, Tone::Good, "Customer {{user_id}} just purchased {{product_id}}", "just made a purchase.")
        }
        I::BillingIssue => {
            (SCARED, Tone::Bad, "Customer {{user_id}} got a billing issue on {{product_id}}", "got a billing issue.")
        }
        I::ProductChange => (
            HAPPY,
            Tone::Good,
            "Customer {{user_id}} got a product change from {{old_product_id}} to {{new_product_id}}",
            "just changed the product of their subscription.",
        ),
        // Not among the nine: our words, in their manner.
        I::Expiration => (
            CRYING,
            Tone::Bad,
            "Customer {{user_id}} just lost their subscription of {{product_id}}",
            "just lost their subscription.",
        ),
    }
}

/// Emoji, tone, what the customer did, and the word before the product.
#[allow(clippy::too_many_lines)] // a table: splitting it would hide a missing row from the compiler
fn canonical(event: EventType) -> (&'static str, Tone, &'static str, &'static str) {
    use EventType as E;
    use Tone::{Bad, Good, Neutral};
    match event {
        E::Activate => (HAPPY, Good, "has access", "through"),
        E::Deactivate => (CRYING, Bad, "no longer has access", "through"),
        E::SubscriptionStarted => (HAPPY, Good, "started a subscription", "of"),
        E::SubscriptionRenewed => (HAPPY, Good, "renewed their subscription", "of"),
        E::SubscriptionReactivated => (HAPPY, Good, "came back to their subscription", "of"),
        E::SubscriptionUpgraded => (HAPPY, Good, "upgraded their plan", "to"),
        E::SubscriptionCrossgraded => (HAPPY, Neutral, "changed their plan", "to"),
        E::SubscriptionDowngraded => (PLAIN, Neutral, "downgraded their plan", "to"),
        E::PlanChangeScheduled => (PLAIN, Neutral, "scheduled a plan change", "from"),
        E::PlanChangeUnscheduled => (PLAIN, Neutral, "withdrew their plan change", "from"),
        E::SubscriptionDeferred => (HAPPY, Good, "got more time", "on"),
        E::RenewalDisabled => (CRYING, Bad, "turned off the renewal", "of"),
        E::RenewalEnabled => (HAPPY, Good, "turned on the renewal", "of"),
        E::SubscriptionTerminated => (CRYING, Bad, "reached the end of their subscription", "of"),
        E::FamilySharedRevoked => (CRYING, Bad, "lost the family share", "of"),
        E::GracePeriodStarted => (SCARED, Bad, "entered the grace period", "of"),
        E::GracePeriodTerminated => (CRYING, Bad, "left the grace period unpaid", "of"),
        E::EnteredBillingRetry => (SCARED, Bad, "lost access while the store retries the charge", "of"),
        E::SubscriptionCancelledDuringGracePeriod => (CRYING, Bad, "cancelled in the grace period", "of"),
        E::SubscriptionRecoveredFromGracePeriod => (HAPPY, Good, "paid in the grace period", "of"),
        E::SubscriptionRecoveredFromBillingRetry => (HAPPY, Good, "paid after a failed charge", "of"),
        E::SubscriptionWillPause => (PLAIN, Neutral, "scheduled a pause", "of"),
        E::SubscriptionWillNotPause => (HAPPY, Good, "withdrew their pause", "of"),
        E::SubscriptionPaused => (CRYING, Bad, "paused their subscription", "of"),
        E::SubscriptionUnpaused => (HAPPY, Good, "resumed their subscription", "of"),
        E::SubscriptionCancelledDuringPause => (CRYING, Bad, "cancelled their paused subscription", "of"),
        E::SubscriptionTransferred => (PLAIN, Neutral, "handed over their subscription", "of"),
        E::SubscriptionReceived => (PLAIN, Neutral, "received a subscription", "of"),
        E::OneTimePurchaseTransferred => (PLAIN, Neutral, "handed over their purchase", "of"),
        E::OneTimePurchaseReceived => (PLAIN, Neutral, "received a purchase", "of"),
        E::SubscriptionRefundedRevoked => (CRYING, Bad, "was refunded and lost their subscription", "of"),
        E::TrialStarted => (HAPPY, Good, "started a free trial", "of"),
        E::TrialConverted => (HAPPY, Good, "converted from a free trial", "of"),
        E::TrialNotConverted => (CRYING, Bad, "did not convert from a free trial", "of"),
        E::IntroOfferStarted => (HAPPY, Good, "started an introductory offer", "of"),
        E::IntroOfferConverted => (HAPPY, Good, "converted from an introductory offer", "of"),
        E::IntroOfferNotConverted => (CRYING, Bad, "did not convert from an introductory offer", "of"),
        E::PromoCodeStarted => (HAPPY, Good, "started with a promo code", "for"),
        E::PromoCodeConverted => (HAPPY, Good, "converted from a promo code", "for"),
        E::PromoCodeNotConverted => (CRYING, Bad, "did not convert from a promo code", "for"),
        E::PromotionalOfferStarted => (HAPPY, Good, "started a promotional offer", "of"),
        E::PromotionalOfferConverted => (HAPPY, Good, "converted from a promotional offer", "of"),
        E::PromotionalOfferNotConverted => (CRYING, Bad, "did not convert from a promotional offer", "of"),
        E::TransactionProcessed => (PLAIN, Neutral, "had a transaction", "for"),
        E::RetentionMessageRequested => (PLAIN, Neutral, "looked at the cancellation", "of"),
        E::OneTimePurchased => (HAPPY, Good, "made a purchase", "of"),
        E::OneTimeRefunded => (CRYING, Bad, "was refunded their purchase", "of"),
        E::OneTimeExpired => (CRYING, Bad, "reached the end of their purchase", "of"),
        E::PromoGranted => (HAPPY, Good, "was granted access", "to"),
        E::PromoRevoked => (CRYING, Bad, "lost their granted access", "to"),
        E::TemporaryEntitlementGranted => (PLAIN, Neutral, "has access for now, until the store answers,", "to"),
        E::PaymentFailed => (SCARED, Bad, "had a failed payment", "for"),
        E::RefundRequested => (SCARED, Neutral, "asked for a refund", "of"),
        E::RefundDeclined => (PLAIN, Neutral, "was declined a refund", "of"),
        E::RefundReversed => (HAPPY, Good, "had a refund undone", "of"),
        E::RefundRecorded => (CRYING, Bad, "was refunded an earlier period", "of"),
        E::PriceIncreasePending => (PLAIN, Neutral, "was told of a higher price", "for"),
        E::PriceIncreaseAccepted => (HAPPY, Good, "agreed to a higher price", "for"),
        E::OfferRedeemed => (HAPPY, Good, "redeemed an offer", "for"),
        E::EntitlementsChanged => (PLAIN, Neutral, "has other entitlements", "through"),
        // About the hub: what stands before it in words.
        E::OperatorAlert => (SCARED, Bad, "Look after this", ""),
        E::OperatorAlertOver => (PLAIN, Good, "Over", ""),
        E::Test => (HAPPY, Neutral, "tested the line", "for"),
    }
}

/// `INITIAL_PURCHASE` as `Initial Purchase`.
fn title_of(name: &str) -> String {
    let word = |word: &str| {
        let (first, rest) = word.split_at(word.len().min(1));
        format!("{first}{}", rest.to_lowercase())
    };
    name.split('_').map(word).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discord_webhook::template::Template;

    /// RevenueCat's page, word for word; `<…>` stands for what is put in.
    const NINE: &[(&str, &str)] = &[
        ("INITIAL_PURCHASE", "Customer <user_id> just started a subscription of <product_id>"),
        ("TRIAL_STARTED", "Customer <user_id> just started a free trial of <product_id>"),
        ("TRIAL_CONVERTED", "Customer <user_id> just converted from a free trial of <product_id>"),
        ("TRIAL_CANCELLED", "Customer <user_id> just cancelled their free trial of <product_id>"),
        ("RENEWAL", "Customer <user_id> just renewed their subscription of <product_id>"),
        ("CANCELLATION", "Customer <user_id> just cancelled their subscription of <product_id>"),
        ("NON_SUBSCRIPTION_PURCHASE", "Customer <user_id> just purchased <product_id>"),
        ("BILLING_ISSUE", "Customer <user_id> got a billing issue on <product_id>"),
        ("PRODUCT_CHANGE", "Customer <user_id> got a product change from <old_product_id> to <new_product_id>"),
    ];

    #[test]
    fn the_nine_sentences_are_word_for_word_and_on() {
        for (name, sentence) in NINE {
            let topic = Topic::parse(name).unwrap();
            assert!(topic.is_on_by_default(), "{name}");
            assert_eq!(words(topic).text.replace("{{", "<").replace("}}", ">"), *sentence);
        }
        let on: Vec<&str> = Topic::all().filter(|topic| topic.is_on_by_default()).map(Topic::as_str).collect();
        let hub = ["OPERATOR_ALERT", "OPERATOR_ALERT_OVER", "TEST"];
        let expected: Vec<&str> = NINE.iter().map(|(name, _)| *name).chain(hub).collect();
        assert_eq!(on, expected);
    }

    #[test]
    fn every_topic_has_words_of_its_own() {
        let mut seen = std::collections::BTreeSet::new();
        let mut names = std::collections::BTreeSet::new();
        for topic in Topic::all() {
            let words = words(topic);
            assert!(Template::parse(&words.text).is_ok(), "{topic}");
            assert!(words.shown.ends_with('.') && words.title.len() < 60, "{topic}");
            assert!(seen.insert(words.text), "{topic}: the same sentence as another");
            assert!(names.insert(topic.as_str()), "{topic} stands twice");
            assert_eq!(Topic::parse(topic.as_str()), Some(topic));
        }
        assert!(Template::parse(CHANGE_TO_UNKNOWN).is_ok());
        assert_eq!(words(Topic::parse("NON_SUBSCRIPTION_PURCHASE").unwrap()).title, "Non Subscription Purchase");
    }
}
