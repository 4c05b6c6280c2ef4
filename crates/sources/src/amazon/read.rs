//! From Amazon's words to ours. A notification names a receipt and says why Amazon wrote; what the receipt stands for is
//! RVS's to say, so a notification is a lookup, and its answer is read together with it. `receipt.rs` reads the receipt.
//!
//! **Who is right.** RVS tells how things are when it is asked, and its facets carry that moment. The notification is right
//! in what it is about, even where RVS does not say so yet (or no more): then that facet carries the notification's time,
//! and a later answer overrules it.

use super::ask::{About, GONE, UNKNOWN, Wanted};
use super::receipt;
use super::wire::{Message, Receipt, Type};
use crate::proof::sns::{Envelope, Kind as SnsKind};
use crate::{Lookup, Note, Reading, Rejection, RejectionKind, parse_looked_up_id};
use paidup_lifecycle::ids::SourceId;
use paidup_lifecycle::money::Money;
use paidup_lifecycle::observation::{
    Dated, Environment, Facets, Hint, Kind, Observation, Origin, PurchaseKey, Stamp, Standing, Store,
};
use paidup_lifecycle::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What reading depends on besides the bytes: the journal keeps it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Policy {
    /// There is a shared secret. Without one a notification is read by itself, as far as that goes.
    pub(super) asks: bool,
    /// Subscriptions to the topic are confirmed by themselves.
    pub(super) confirms: bool,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) prices: BTreeMap<String, Money>,
}

/// Reads for one source.
#[derive(Clone, Copy)]
pub(super) struct Reader<'r> {
    pub(super) source: SourceId,
    pub(super) policy: &'r Policy,
}

/// Which receipt is spoken of, and who says when.
#[derive(Clone)]
pub(super) struct Word<'r> {
    pub(super) policy: &'r Policy,
    source: SourceId,
    pub(super) wanted: Wanted,
    id: Arc<str>,
    /// The notification: its type and Amazon's time of it.
    pub(super) told: Option<(Type, Timestamp)>,
    /// When RVS was asked; `None`: it was not.
    asked_at: Option<Timestamp>,
    replaces: Option<String>,
    is_claimed: bool,
}

impl Word<'_> {
    /// The moment that the newest of it is about.
    pub(super) fn at(&self) -> Timestamp {
        self.asked_at.or(self.told.map(|(_, at)| at)).unwrap_or(Timestamp::MIN)
    }

    /// Whether it may be the first that is heard of the receipt.
    pub(super) fn is_first(&self) -> bool {
        self.is_claimed || matches!(self.kind(), Type::Purchased | Type::Changed)
    }

    pub(super) fn kind(&self) -> Type {
        self.told.map_or(Type::Unknown, |(kind, _)| kind)
    }

    /// As RVS says, at the moment of asking; as the notification says, where it was not asked.
    pub(super) fn now<T>(&self, value: T) -> Dated<T> {
        let Some(asked_at) = self.asked_at else { return self.then(value) };
        Dated { value, stamp: Stamp { as_of: asked_at, origin: Origin::Answer, by: self.id.clone() } }
    }

    /// As the notification says, at its time.
    pub(super) fn then<T>(&self, value: T) -> Dated<T> {
        let as_of = self.told.map_or(self.at(), |(_, at)| at);
        Dated { value, stamp: Stamp { as_of, origin: Origin::Notification, by: self.id.clone() } }
    }

    /// In the weakest way: it counts where nothing else was ever said.
    pub(super) fn once<T>(&self, value: T) -> Dated<T> {
        let as_of = Timestamp::MIN.plus(Duration::from_millis(1));
        Dated { value, stamp: Stamp { as_of, origin: Origin::Notification, by: self.id.clone() } }
    }

    /// What is known of it without looking at the receipt. The user of a receipt never changes, so who buys is said in the
    /// weakest way: whoever a backend or an operator bound the purchase to keeps it.
    pub(super) fn bare(&self, kind: Kind) -> Facets {
        Facets {
            kind: Some(self.now(kind)),
            owner: Some(self.once(Some(self.wanted.user.clone()))),
            ask_with: Some(self.now(self.wanted.ask_with())),
            ..Facets::default()
        }
    }

    pub(super) fn observation(self, hint: Hint, facets: Facets) -> Observation {
        let origin = if self.asked_at.is_some() { Origin::Answer } else { Origin::Notification };
        let observed_at = self.told.map_or(self.at(), |(_, at)| at);
        let receipt = self.wanted.receipt;
        Observation {
            key: PurchaseKey {
                source_id: self.source,
                environment: self.wanted.environment,
                store_purchase_id: receipt.clone(),
            },
            store: Store::Amazon,
            id: self.id,
            observed_at,
            origin,
            hint,
            about_transaction: None,
            facets,
            backfill: false,
            replaces: self.replaces.filter(|former| *former != receipt),
            detected_by: None,
        }
    }
}

/// What a message came to.
pub(super) struct Told {
    /// For the operator.
    pub(super) label: String,
    pub(super) reading: Reading,
}

impl<'r> Reader<'r> {
    /// What was kept: a message, or something looked up.
    pub(super) fn kept(&self, external_id: &str, body: &[u8]) -> Result<Reading, Rejection> {
        if let Some((asked_at, name, context)) = parse_looked_up_id(external_id) {
            let about = About::parse(context).ok_or_else(|| odd("what it was looked up for cannot be read"))?;
            return self.looked_up(asked_at, name, about, body);
        }
        let envelope = Envelope::parse(body).map_err(|error| odd(&error.to_string()))?;
        let kind = envelope.kind().map_err(|error| odd(&error.to_string()))?;
        match kind {
            SnsKind::Notification => Ok(self.message(&envelope, Message::parse(&envelope.message)?)?.reading),
            SnsKind::SubscriptionConfirmation | SnsKind::UnsubscribeConfirmation => {
                Ok(self.subscription_of_ours(&envelope, kind).reading)
            }
        }
    }

    /// The subscription to the topic begins or ends. The operator sees the token: Amazon's console asks for it.
    pub(super) fn subscription_of_ours(&self, envelope: &Envelope, kind: SnsKind) -> Told {
        let token = envelope.token.as_deref().unwrap_or_default();
        let token: String = token.chars().filter(char::is_ascii_graphic).take(512).collect();
        if kind != SnsKind::SubscriptionConfirmation {
            let label = "UnsubscribeConfirmation".to_owned();
            let warning = "Amazon's topic no longer sends notifications to this source: subscribe it again in the \
                           developer console, or visit the SubscribeURL of this message to undo it";
            return Told { label, reading: Reading::noted(Note::Warning(warning)) };
        }
        let label = format!("SubscriptionConfirmation, token {token}");
        let mut reading = Reading::noted(Note::Informative);
        if let Some(url) = envelope.subscribe_url.clone().filter(|_| self.policy.confirms) {
            reading.lookups.push(Lookup {
                name: format!("confirm/{}", envelope.message_id),
                context: About::Confirm { url }.context(),
                why: "a subscription to the topic is confirmed",
                unless_known: None,
            });
        }
        Told { label, reading }
    }

    /// What a notification says.
    pub(super) fn message(&self, envelope: &Envelope, message: Message) -> Result<Told, Rejection> {
        let label = message.type_name.clone();
        let kind = Type::of(&message.type_name);
        let published_at = envelope.published_at().map_err(|error| odd(&error.to_string()))?;
        let at = message.at.unwrap_or(published_at);
        let (Some(user), Some(receipt)) = (message.user, message.receipt) else {
            if kind == Type::Unknown {
                return Ok(Told { label, reading: Reading::noted(Note::Unknown) });
            }
            return Err(Rejection {
                pointer: Some("/Message".to_owned()),
                ..Rejection::new(
                    RejectionKind::Malformed,
                    "no_receipt",
                    "Message has no receiptId and appUserId".to_owned(),
                )
            });
        };
        let wanted = Wanted { environment: message.environment, user, receipt };
        let about = About::Told {
            message: envelope.message_id.clone(),
            type_name: message.type_name,
            at,
            replaces: message.cancelled_receipt.clone(),
        };
        let lookup = wanted.lookup(&about, "a notification is only a hint; RVS says how the receipt stands");
        if !lookup.fits() {
            return Err(Rejection::new(
                RejectionKind::Malformed,
                "odd_ids",
                "receiptId and appUserId are not ids of Amazon's".to_owned(),
            ));
        }
        let mut reading = Reading { lookups: vec![lookup], ..Reading::default() };
        if kind == Type::Unknown {
            reading.note = Some(Note::Unknown);
        } else if !self.policy.asks {
            let word = Word {
                policy: self.policy,
                source: self.source,
                wanted,
                id: envelope.message_id.as_str().into(),
                told: Some((kind, at)),
                asked_at: None,
                replaces: message.cancelled_receipt,
                is_claimed: false,
            };
            reading.observations.extend(by_itself(word));
        }
        Ok(Told { label, reading })
    }

    fn looked_up(&self, asked_at: Timestamp, name: &str, about: About, body: &[u8]) -> Result<Reading, Rejection> {
        let wanted = match (&about, Wanted::of_name(name)) {
            (About::Confirm { .. }, _) => return Ok(Reading::noted(Note::Informative)),
            (About::Told { .. } | About::Asked { .. } | About::Claimed, None) => {
                return Err(odd("it was not looked up by this source"));
            }
            (About::Told { .. } | About::Asked { .. } | About::Claimed, Some(wanted)) => wanted,
        };
        if about == About::Claimed && body == UNKNOWN.as_bytes() {
            let wanted = Wanted { environment: Environment::Sandbox, ..wanted };
            let lookup = wanted.lookup(&about, "production does not know the receipt; it may be a test's");
            return Ok(Reading { lookups: vec![lookup], ..Reading::default() });
        }
        let mut word = Word {
            policy: self.policy,
            source: self.source,
            wanted,
            id: format!("asked/{}", asked_at.as_millis()).into(),
            told: None,
            asked_at: Some(asked_at),
            replaces: None,
            is_claimed: about == About::Claimed,
        };
        let asked_about = if let About::Asked { kind } = &about { *kind } else { None };
        if let About::Told { message, type_name, at, replaces } = about {
            word = Word { id: message.into(), told: Some((Type::of(&type_name), at)), replaces, ..word };
        }
        if body == GONE.as_bytes() {
            return Ok(Reading::observed(gone(word, asked_about)));
        }
        let receipt = Receipt::parse(body)?;
        Ok(Reading { observations: receipt::read(word, &receipt), ..Reading::default() })
    }
}

/// RVS says 410: the receipt is over. When is not said. Where a notification told of the end, it was then: a receipt that
/// took its place since is not ended with it.
fn gone(word: Word<'_>, asked_about: Option<Kind>) -> Observation {
    let asked_about = asked_about.filter(|kind| *kind != Kind::Subscription);
    match word.kind() {
        Type::OnceBought(kind) | Type::OnceCancelled(kind) => receipt::withdrawn_once(word, kind, &Receipt::default()),
        Type::Unknown if let Some(kind) = asked_about => receipt::withdrawn_once(word, kind, &Receipt::default()),
        Type::Cancelled | Type::Expired => {
            let mut facets = word.bare(Kind::Subscription);
            facets.standing = Some(word.then(Standing::Expired));
            word.observation(Hint::Expired, facets)
        }
        Type::Purchased
        | Type::Converted
        | Type::Renewed
        | Type::RenewalOff
        | Type::RenewalOn
        | Type::ScheduledToEnd
        | Type::GraceBegan
        | Type::GraceOver
        | Type::ChangeDeferred
        | Type::Changed
        | Type::Unknown => {
            let mut facets = word.bare(Kind::Subscription);
            facets.standing = Some(word.now(Standing::Expired));
            word.observation(Hint::Expired, facets)
        }
    }
}

/// What a notification says where RVS cannot be asked: neither product nor dates, so it gives nobody access; but it ends it.
fn by_itself(word: Word<'_>) -> Option<Observation> {
    let mut facets = word.bare(Kind::Subscription);
    let (hint, standing, will_renew) = match word.kind() {
        Type::Purchased => (Hint::Purchased, Some(Standing::Active), Some(true)),
        Type::Converted | Type::Renewed => (Hint::Renewed, Some(Standing::Active), Some(true)),
        Type::RenewalOff => (Hint::RenewalDisabled, None, Some(false)),
        Type::RenewalOn => (Hint::RenewalEnabled, None, Some(true)),
        Type::ScheduledToEnd => (Hint::Answered, None, Some(false)),
        Type::GraceBegan => (Hint::GraceStarted, Some(Standing::Grace), None),
        Type::GraceOver => (Hint::Recovered, Some(Standing::Active), None),
        Type::Changed => (Hint::ProductChanged, Some(Standing::Active), Some(true)),
        Type::Cancelled | Type::Expired => (Hint::Expired, Some(Standing::Expired), None),
        // What is scheduled is RVS's to say.
        Type::ChangeDeferred | Type::Unknown => return None,
        Type::OnceBought(kind) => return Some(receipt::bought_once(word, kind, &Receipt::default())),
        Type::OnceCancelled(kind) => return Some(receipt::withdrawn_once(word, kind, &Receipt::default())),
    };
    facets.standing = standing.map(|standing| word.now(standing));
    facets.will_renew = will_renew.map(|will_renew| word.now(will_renew));
    Some(word.observation(hint, facets))
}

fn odd(detail: &str) -> Rejection {
    Rejection::new(RejectionKind::Malformed, "no_answer", detail.to_owned())
}
