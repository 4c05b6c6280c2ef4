//! One message for each purchase (`updates: edit`): how it stands now, what happened last, and a few lines of what was
//! before. Built from the events and from what is remembered of the earlier ones; [`super::posting`] sends it.

use super::Style;
use super::coalesce::{self, MAX_CONTENT, Parts};
use super::embed::{Field, MAX_TOTAL};
use super::markdown::Rich;
use super::message::{Look, Notice, amount};
use super::notes::{Line, Lines, Told};
use super::texts;
use paidup_lifecycle::event::{Event, EventType};
use paidup_lifecycle::purchase::State;

/// What the message is to show after some events.
pub(super) struct Chapter<'a> {
    /// What happened last.
    newest: Notice<'a>,
    /// The last event: how the purchase stands.
    last: &'a Event,
    /// Its number.
    pub(super) seq: u64,
    /// All that happened, the newest with it.
    pub(super) lines: Lines,
}

/// What `events` of one purchase, in order, add to its message. `None`: nothing; without a message, only what is switched
/// on begins one.
pub(super) fn chapter<'a>(look: &'a Look, events: &[&'a Event], told: Option<&Told>) -> Option<Chapter<'a>> {
    let mut newest: Option<Notice<'a>> = None;
    let mut lines = Vec::new();
    for event in events {
        let mut notices = look.notices(event);
        if notices.is_empty() && (told.is_some() || newest.is_some()) && changes_the_message(event.event_type) {
            notices.extend(look.in_default_words(event));
        }
        // Of what one event says in several messages the first one names it best: it stands last, and on top.
        notices.reverse();
        lines.extend(notices.iter().map(|notice| line_of(look, notice)));
        newest = notices.pop().or(newest);
    }
    let last = *events.last()?;
    let lines = told.map_or_else(Lines::default, |told| told.lines.clone()).with(lines);
    newest.map(|newest| Chapter { newest, last, seq: last.seq, lines })
}

fn line_of(look: &Look, notice: &Notice<'_>) -> Line {
    Line {
        topic: notice.topic,
        seq: notice.event.seq,
        at: notice.event.occurred_at.as_seconds(),
        money: look.counted(notice),
    }
}

impl Chapter<'_> {
    /// The message.
    pub(super) fn parts(&self, look: &Look) -> Parts {
        let state = state_words(self.last);
        match look.style {
            Style::Default | Style::RevenuecatEmbed => {
                let mut embed = look.embed(&self.newest);
                embed.fields.push(Field::new("State", Rich::own(state)));
                if let Some(history) = self.history("") {
                    embed.fields.push(Field::wide("Before", history));
                }
                embed.fit(MAX_TOTAL);
                Parts::Embeds(vec![embed])
            }
            Style::Text => {
                let mut text = coalesce::line(look, &self.newest);
                text.push(Rich::own(&format!(" · {state}")));
                text.cut(MAX_CONTENT / 2);
                if let Some(history) = self.history("-# ") {
                    text.push(Rich::own("\n"));
                    text.push(history);
                }
                text.cut(MAX_CONTENT);
                Parts::Content(text.text())
            }
        }
    }

    /// A line for each thing that happened before, newest first.
    fn history(&self, before_each: &str) -> Option<Rich> {
        let (_, earlier) = self.lines.kept.split_last()?;
        let mut text = Rich::default();
        for line in earlier.iter().rev() {
            let words = texts::words(line.topic);
            text.push(Rich::own(before_each));
            text.push(Rich::whole(format!("<t:{}:d>", line.at)));
            let money = line.money.map(|money| format!(" · {}", amount(money))).unwrap_or_default();
            text.push(Rich::own(&format!(" {} {}{money}\n", words.emoji, words.title)));
        }
        if self.lines.dropped > 0 {
            text.push(Rich::own(&format!("{before_each}and {} before\n", self.lines.dropped)));
        }
        (text.len() > 0).then_some(text)
    }
}

/// How the purchase stands after an event.
fn state_words(event: &Event) -> &'static str {
    match event.purchase.state {
        State::None => "Unknown",
        State::Pending => "Waiting for the payment",
        State::Active if event.purchase.will_renew == Some(false) => "Active, will not renew",
        State::Active => "Active",
        State::Grace => "Active, unpaid",
        State::BillingRetry => "Unpaid, the store keeps trying",
        State::Paused => "Paused",
        State::Expired => "Ended",
        State::Revoked => "Refunded or withdrawn",
    }
}

/// Whether an event without a message of its own changes what the message of its purchase shows. Its bundle's other events
/// (access, offers, money) say the same once more.
pub(super) fn changes_the_message(event: EventType) -> bool {
    use EventType as E;
    match event {
        E::SubscriptionStarted
        | E::SubscriptionRenewed
        | E::SubscriptionReactivated
        | E::SubscriptionUpgraded
        | E::SubscriptionCrossgraded
        | E::SubscriptionDowngraded
        | E::PlanChangeScheduled
        | E::PlanChangeUnscheduled
        | E::SubscriptionDeferred
        | E::RenewalDisabled
        | E::RenewalEnabled
        | E::SubscriptionTerminated
        | E::FamilySharedRevoked
        | E::GracePeriodStarted
        | E::GracePeriodTerminated
        | E::EnteredBillingRetry
        | E::SubscriptionCancelledDuringGracePeriod
        | E::SubscriptionRecoveredFromGracePeriod
        | E::SubscriptionRecoveredFromBillingRetry
        | E::SubscriptionWillPause
        | E::SubscriptionWillNotPause
        | E::SubscriptionPaused
        | E::SubscriptionUnpaused
        | E::SubscriptionCancelledDuringPause
        | E::SubscriptionReceived
        | E::OneTimePurchaseReceived
        | E::SubscriptionRefundedRevoked
        | E::OneTimeRefunded
        | E::OneTimeExpired
        | E::PromoRevoked
        | E::RefundReversed
        | E::RefundRecorded => true,
        E::Activate
        | E::Deactivate
        | E::SubscriptionTransferred
        | E::OneTimePurchaseTransferred
        | E::TrialStarted
        | E::TrialConverted
        | E::TrialNotConverted
        | E::IntroOfferStarted
        | E::IntroOfferConverted
        | E::IntroOfferNotConverted
        | E::PromoCodeStarted
        | E::PromoCodeConverted
        | E::PromoCodeNotConverted
        | E::PromotionalOfferStarted
        | E::PromotionalOfferConverted
        | E::PromotionalOfferNotConverted
        | E::TransactionProcessed
        | E::RetentionMessageRequested
        | E::OneTimePurchased
        | E::PromoGranted
        | E::TemporaryEntitlementGranted
        | E::PaymentFailed
        | E::RefundRequested
        | E::RefundDeclined
        | E::PriceIncreasePending
        | E::PriceIncreaseAccepted
        | E::OfferRedeemed
        | E::EntitlementsChanged
        | E::OperatorAlert
        | E::OperatorAlertOver
        | E::Test => false,
    }
}
