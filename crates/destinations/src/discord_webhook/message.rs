//! An event as an embed: what it says (`texts.rs`, or the operator's text), what stands beside it.
//!
//! Two looks: ours, and RevenueCat's embed as its samples show it, with two differences that its page calls for: Discord's
//! own form of a link (the sample's `<url|label>` is Slack's), and the emoji itself instead of its short code.

use super::embed::{Embed, Field, MAX_TOTAL};
use super::markdown::{Rich, percent_encoded};
use super::template::{Shown, Template, Variable};
use super::texts::{CHANGE_TO_UNKNOWN, Topic, Words, words};
use super::{BillingIssues, Privacy, Revenue, Sandbox, Style};
use paidup_lifecycle::alert::OperatorAlert;
use paidup_lifecycle::dialects::revenuecat::{self, IntegrationEvent, Options, integration_events};
use paidup_lifecycle::event::{Event, EventType};
use paidup_lifecycle::money::{Currency, Money};
use paidup_lifecycle::observation::{Environment, Reason, Store};
use std::collections::BTreeMap;

/// Subjects of an operator alert that get a line of their own.
const MAX_SUBJECTS: usize = 10;

/// How messages look and which there are: the settings, understood.
pub(super) struct Look {
    pub(super) style: Style,
    pub(super) sandbox: Sandbox,
    pub(super) privacy: Privacy,
    pub(super) revenue: Revenue,
    pub(super) billing_issues: BillingIssues,
    /// The store's share of the price in millionths, where the operator told it.
    pub(super) commission: BTreeMap<Store, u32>,
    pub(super) dialect: Options,
    /// The topics that are on, each with the operator's text if there is one.
    pub(super) topics: BTreeMap<Topic, Option<Template>>,
    /// The hub's own address, for links; `None` when it is not one that Discord would link.
    pub(super) public_url: Option<String>,
}

/// One thing to say about one event.
pub(super) struct Notice<'a> {
    pub(super) topic: Topic,
    pub(super) event: &'a Event,
    pub(super) words: Words,
    template: Option<&'a Template>,
    /// The product; on a product change the one before.
    product: Option<String>,
    new_product: Option<String>,
    /// What moved, before the store's share; negative for money that went back.
    pub(super) money: Option<Money>,
    reason: Option<Reason>,
}

impl Look {
    /// All that is to be said about `event`: RevenueCat's messages first, then the canonical event itself.
    pub(super) fn notices<'a>(&'a self, event: &'a Event) -> Vec<Notice<'a>> {
        let mut notices = Vec::new();
        if event.environment == Environment::Sandbox && self.sandbox == Sandbox::Hide {
            return notices;
        }
        for told in integration_events(event, &self.dialect) {
            let topic = Topic::Integration(told.event);
            if let Some(template) = self.topics.get(&topic) {
                let view = told.message.purchase(event);
                notices.push(Notice {
                    topic,
                    event,
                    words: words(topic),
                    template: template.as_ref(),
                    product: revenuecat::product_name(view, told.message.product_id.as_deref()),
                    new_product: told.message.new_product_id.clone(),
                    money: told.message.amount.money(),
                    reason: told.message.cancel_reason.or(told.message.expiration_reason),
                });
            }
        }
        if self.billing_issues == BillingIssues::Collapse {
            collapse(&mut notices);
        }
        if let Some(template) = self.topics.get(&Topic::Canonical(event.event_type)) {
            notices.push(canonical(event, template.as_ref()));
        }
        notices
    }

    /// What is to be said about `event` where nothing is switched on for it: its own name, in the default words. `None`:
    /// nothing, because of its environment.
    pub(super) fn in_default_words<'a>(&self, event: &'a Event) -> Option<Notice<'a>> {
        let is_hidden = event.environment == Environment::Sandbox && self.sandbox == Sandbox::Hide;
        (!is_hidden).then(|| canonical(event, None))
    }

    /// The embed of a notice, in the chosen style, within Discord's limits for a message of its own.
    pub(super) fn embed(&self, notice: &Notice<'_>) -> Embed {
        let mut embed = match self.style {
            Style::Default | Style::Text => self.own_embed(notice),
            Style::RevenuecatEmbed => self.revenuecat_embed(notice),
        };
        embed.fit(MAX_TOTAL);
        embed
    }

    fn own_embed(&self, notice: &Notice<'_>) -> Embed {
        let event = notice.event;
        // A test is about the line, an alert about the hub: neither is about a purchase.
        let fields = match &event.details.alert {
            Some(alert) => alert_fields(alert),
            None if event.event_type == EventType::Test => Vec::new(),
            None => self.own_fields(notice),
        };
        let sandbox = event.environment == Environment::Sandbox;
        let badge = if sandbox { " · Sandbox" } else { "" };
        let mut description = self.text(notice);
        description.push(each_subject(event));
        Embed {
            title: Some(format!("{} {}{badge}", notice.words.emoji, notice.words.title)),
            url: self.customer_url(event).map(|url| format!("{url}#{}", event.id)),
            description,
            colour: notice.words.tone.colour(),
            fields,
            footer: footer(event),
            timestamp: event.occurred_at.to_rfc3339_seconds(),
        }
    }

    fn own_fields(&self, notice: &Notice<'_>) -> Vec<Field> {
        let event = notice.event;
        let mut fields = vec![Field::new("Product", self.product_words(notice))];
        if let Some((name, text)) = self.money_words(notice) {
            fields.push(Field::new(name, Rich::own(&text)));
        }
        fields.push(Field::new("Store", Rich::own(store_words(event.store))));
        if let Some(reason) = notice.reason.filter(|reason| *reason != Reason::Unknown) {
            fields.push(Field::new("Reason", Rich::own(reason_words(reason))));
        }
        let ends_at = event.purchase.period.as_ref().and_then(|period| period.ends_at);
        if let Some(ends_at) = ends_at.filter(|_| event.purchase.state.has_access()) {
            let name = if event.purchase.will_renew == Some(true) { "Renews" } else { "Access until" };
            fields.push(Field::new(name, Rich::date(ends_at, 'D')));
        }
        fields
    }

    fn revenuecat_embed(&self, notice: &Notice<'_>) -> Embed {
        let event = notice.event;
        let mut description = Rich::own(&format!("{} ", notice.words.emoji));
        let alert = event.details.alert.as_ref();
        if notice.template.is_some() || alert.is_some() {
            description.push(self.text(notice));
            description.push(each_subject(event));
        } else {
            description.push(Rich::own("Customer "));
            description.push(self.customer_link(event));
            description.push(Rich::own(&format!(" {}", notice.words.shown)));
        }
        // RevenueCat names the new product where there is one.
        let product = notice.new_product.as_deref().or(notice.product.as_deref()).unwrap_or_default();
        let mut fields = match alert {
            Some(alert) => alert_fields(alert),
            None => vec![Field::new("Product", Rich::foreign(product))],
        };
        let is_paid = notice.topic.shows_revenue() && notice.money.is_some_and(|money| money.amount_minor > 0);
        if let Some((name, text)) = self.money_words(notice).filter(|_| is_paid) {
            fields.push(Field::new(name, Rich::own(&text)));
        }
        Embed {
            title: None,
            url: None,
            description,
            colour: notice.words.tone.colour(),
            fields,
            footer: footer(event),
            timestamp: event.occurred_at.to_rfc3339_seconds(),
        }
    }

    /// The operator's text, or the default sentence; the default too where the operator's cannot be printed with this event.
    pub(super) fn text(&self, notice: &Notice<'_>) -> Rich {
        let render = |template: &Template| template.render(|variable| self.value(notice, variable));
        if let Some(text) = notice.template.and_then(render) {
            return text;
        }
        let is_change = notice.words.text.contains(Variable::NewProductId.as_str());
        let text =
            if is_change && notice.new_product.is_none() { CHANGE_TO_UNKNOWN } else { notice.words.text.as_str() };
        // Every default text is read in a test; a fault would show the text as it stands.
        Template::parse(text).ok().and_then(|template| render(&template)).unwrap_or_else(|| Rich::own(text))
    }

    fn value(&self, notice: &Notice<'_>, variable: Variable) -> Shown {
        let event = notice.event;
        let own = |text: Option<&str>| text.map_or(Shown::Nothing, |text| Shown::Own(text.to_owned()));
        let foreign = |text: Option<&str>| text.map_or(Shown::Nothing, |text| Shown::Foreign(text.to_owned()));
        match variable {
            Variable::UserId => Shown::Foreign(self.customer_label(event)),
            Variable::UserIdEncoded => Shown::Made(Rich::whole(percent_encoded(&self.customer_label(event)))),
            Variable::CustomerId => Shown::Own(event.customer.id.to_string()),
            Variable::CustomerLink => Shown::Made(self.customer_link(event)),
            Variable::ProductId | Variable::OldProductId => Shown::Foreign(notice.product.clone().unwrap_or_default()),
            Variable::ProductName => {
                let name = event.purchase.product_name.as_deref().or(notice.product.as_deref());
                Shown::Foreign(name.unwrap_or_default().to_owned())
            }
            Variable::NewProductId => {
                let new = notice.new_product.as_deref().or(notice.product.as_deref());
                Shown::Foreign(new.unwrap_or_default().to_owned())
            }
            Variable::Revenue => self.money_words(notice).map_or(Shown::Nothing, |(_, text)| Shown::Own(text)),
            Variable::Currency => {
                let money = notice.money.filter(|_| self.revenue != Revenue::Hide);
                own(money.as_ref().map(|money| money.currency.as_str()))
            }
            Variable::Store => own(Some(store_words(event.store))),
            Variable::Environment => own(Some(event.environment.as_str())),
            Variable::Event => own(Some(&notice.words.title)),
            Variable::Reason => own(notice.reason.map(reason_words)),
            Variable::Entitlements => {
                let active = event.entitlements.active.join(", ");
                foreign(Some(active.as_str()).filter(|text| !text.is_empty()))
            }
            Variable::PeriodType => own(event.purchase.period_type.map(|period| period.as_str())),
            Variable::ExpiresAt => {
                let ends_at = event.purchase.period.as_ref().and_then(|period| period.ends_at);
                ends_at.map_or(Shown::Nothing, |at| Shown::Moment(at, 'D'))
            }
            Variable::OccurredAt => Shown::Moment(event.occurred_at, 'f'),
            Variable::Country => foreign(event.purchase.country.as_deref()),
            Variable::RenewalNumber => Shown::Number(event.purchase.renewal_number.into()),
            Variable::StoreId => own(Some(event.store.as_str())),
            Variable::SourceId => Shown::Own(event.source_id.to_string()),
            Variable::AmountMinor => {
                let money = notice.money.map(|money| self.as_shown(event.store, money));
                money.flatten().map_or(Shown::Nothing, |money| Shown::Number(money.amount_minor))
            }
            // Names are the operator's, and details quote what others answered.
            Variable::Alert => foreign(event.details.alert.as_ref().map(|alert| alert.text.as_str())),
        }
    }

    /// The customer as messages show it. Short: the end of our own id, which says nothing about the person.
    pub(super) fn customer_label(&self, event: &Event) -> String {
        match self.privacy {
            Privacy::Full => event.customer.app_user_id.clone(),
            Privacy::ShortId => {
                let id = event.customer.id.to_string();
                id[id.len() - 8..].to_owned() // ids are 30 ASCII characters
            }
        }
    }

    pub(super) fn customer_link(&self, event: &Event) -> Rich {
        Rich::link(&self.customer_label(event), self.customer_url(event).as_deref())
    }

    fn customer_url(&self, event: &Event) -> Option<String> {
        if event.details.alert.is_some() {
            return None;
        }
        self.public_url.as_ref().map(|base| format!("{base}/customers/{}", event.customer.id))
    }

    fn product_words(&self, notice: &Notice<'_>) -> Rich {
        let old = notice.product.as_deref().unwrap_or_default();
        if let Some(new) = notice.new_product.as_deref().filter(|new| *new != old) {
            let mut both = Rich::foreign(old);
            both.push(Rich::own(" → "));
            both.push(Rich::foreign(new));
            return both;
        }
        match notice.event.purchase.product_name.as_deref() {
            Some(name) if name != old => Rich::foreign(&format!("{name} ({old})")),
            Some(_) | None => Rich::foreign(old),
        }
    }

    /// Name and text of the money field. Money that went back is never called revenue.
    fn money_words(&self, notice: &Notice<'_>) -> Option<(&'static str, String)> {
        let money = notice.money?;
        if money.amount_minor < 0 {
            return (self.revenue != Revenue::Hide).then(|| ("Refunded", amount(money.negated())));
        }
        match self.revenue {
            Revenue::Hide => None,
            Revenue::Gross => Some(("Revenue", amount(money))),
            Revenue::Proceeds => Some(match self.commission.get(&notice.event.store) {
                Some(share) => ("Revenue", amount(less(money, *share))),
                // What the store keeps is not in any notification: unknown is said, not guessed.
                None => ("Revenue (gross)", amount(money)),
            }),
        }
    }

    /// The money that a digest adds up: as [`Look::money_words`] shows it.
    pub(super) fn counted(&self, notice: &Notice<'_>) -> Option<Money> {
        let money = notice.money.filter(|_| notice.topic.shows_revenue())?;
        self.as_shown(notice.event.store, money)
    }

    /// Money as `revenue` says.
    fn as_shown(&self, store: Store, money: Money) -> Option<Money> {
        match self.revenue {
            Revenue::Hide => None,
            Revenue::Gross => Some(money),
            Revenue::Proceeds => Some(self.commission.get(&store).map_or(money, |share| less(money, *share))),
        }
    }
}

/// The canonical event under its own name.
fn canonical<'a>(event: &'a Event, template: Option<&'a Template>) -> Notice<'a> {
    let topic = Topic::Canonical(event.event_type);
    let moved = event.transaction.as_ref().filter(|transaction| transaction.kind.is_some());
    Notice {
        topic,
        event,
        words: words(topic),
        template,
        product: revenuecat::product_name(&event.purchase, event.purchase.product_id.as_deref()),
        new_product: event.details.new_product_id.clone(),
        money: moved.and_then(|transaction| transaction.money).filter(|money| money.amount_minor != 0),
        reason: event.reason,
    }
}

/// One cause, one message: a failed charge that is told as a billing issue is not told as a cancellation too.
fn collapse(notices: &mut Vec<Notice<'_>>) {
    let is_told = notices.iter().any(|notice| notice.topic == Topic::Integration(IntegrationEvent::BillingIssue));
    if is_told {
        let is_twin = |notice: &Notice<'_>| {
            notice.topic == Topic::Integration(IntegrationEvent::Cancellation)
                && notice.reason == Some(Reason::BillingError)
        };
        notices.retain(|notice| !is_twin(notice));
    }
}

/// When an operator alert stood.
fn alert_fields(alert: &OperatorAlert) -> Vec<Field> {
    let mut fields = vec![Field::new("Since", Rich::date(alert.since, 'f'))];
    fields.extend(alert.until.map(|until| Field::new("Until", Rich::date(until, 'f'))));
    fields
}

/// What is wrong with each of an alert's subjects, where the text is about several.
fn each_subject(event: &Event) -> Rich {
    let mut lines = Rich::default();
    let alert = event.details.alert.as_ref().filter(|alert| alert.count > 1 && alert.until.is_none());
    for subject in alert.iter().flat_map(|alert| &alert.subjects).take(MAX_SUBJECTS) {
        lines.push(Rich::own("\n• "));
        lines.push(Rich::foreign(&format!("{}: {}", subject.name, subject.detail)));
    }
    lines
}

/// Says what must not be mistaken for a sale of today.
fn footer(event: &Event) -> Option<String> {
    let sandbox = (event.environment == Environment::Sandbox).then_some("Sandbox: no real money");
    let history = event.backfill.then_some("From history");
    let parts: Vec<&str> = [sandbox, history].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(" · "))
}

/// `$5.99` as RevenueCat writes it; other currencies with their code, because `$` and `kr` belong to many.
pub(super) fn amount(money: Money) -> String {
    let text = money.to_string();
    if money.currency != Currency::USD {
        return text;
    }
    let digits = text.trim_end_matches(" USD");
    match digits.strip_prefix('-') {
        Some(digits) => format!("-${digits}"),
        None => format!("${digits}"),
    }
}

/// The money less a share in millionths, rounded half away from zero.
fn less(money: Money, share: u32) -> Money {
    let kept = i128::from(money.amount_minor) * i128::from(1_000_000_u32.saturating_sub(share));
    let half = if kept < 0 { -500_000 } else { 500_000 };
    // A part of an i64 is an i64.
    let amount_minor = i64::try_from((kept + half) / 1_000_000).unwrap_or(money.amount_minor);
    Money { amount_minor, ..money }
}

fn store_words(store: Store) -> &'static str {
    match store {
        Store::AppStore => "App Store",
        Store::MacAppStore => "Mac App Store",
        Store::PlayStore => "Google Play",
        Store::Amazon => "Amazon Appstore",
        Store::Stripe => "Stripe",
        Store::Paddle => "Paddle",
        Store::Discord => "Discord",
        Store::Promotional => "Granted",
        Store::External => "Other",
    }
}

fn reason_words(reason: Reason) -> &'static str {
    match reason {
        Reason::Unsubscribe => "Customer turned renewal off",
        Reason::BillingError => "A charge failed",
        Reason::DeveloperInitiated => "By the developer",
        Reason::PriceIncrease => "Price increase not accepted",
        Reason::CustomerSupport => "Refund",
        Reason::SubscriptionPaused => "Pause",
        Reason::Unknown => "Unknown",
    }
}
