//! The ids that a store knows one purchase by, one after another (Google's tokens, Amazon's receipts), and what a hub can know of
//! them that heard only of some, or of some too late.

use crate::lives::{Said, Told};
use crate::stores::play::wire::About;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The carriers of one purchase.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Carriers {
    /// The id that it had when each notification was told, by the notification's place.
    named: BTreeMap<u32, Arc<str>>,
    /// Those that another has taken the place of.
    replaced: BTreeSet<Arc<str>>,
    /// What a hub knows as one purchase: ids that were connected no later than both were heard of.
    heard: Vec<BTreeSet<Arc<str>>>,
    /// The store shows it no more.
    is_gone: bool,
}

/// What a notification says of carriers.
struct Says {
    /// The one that it is about.
    about: Arc<str>,
    /// The one that this took the place of; `None`: that is not said, or whoever asks about any of them learns it.
    replaces: Option<Arc<str>>,
    is_gone: bool,
}

impl Says {
    fn of(told: &Told) -> Says {
        let plain = |about: &Arc<str>| Says { about: Arc::clone(about), replaces: None, is_gone: false };
        match &told.said {
            Said::AppStore(_) | Said::Stripe(_) | Said::Discord(_) => plain(&told.purchase),
            Said::Play(notification) => match &notification.about {
                About::Subscription { token, .. }
                | About::OneTimeProduct { token, .. }
                | About::VoidedPurchase { token, .. } => plain(token),
                About::Test => plain(&told.purchase),
            },
            Said::Amazon(notification) => Says {
                about: Arc::clone(&notification.receipt),
                replaces: notification.cancelled_receipt.clone(),
                is_gone: notification.shown.iter().any(|receipt| receipt.is_gone),
            },
        }
    }
}

impl Carriers {
    pub(super) fn note(&mut self, told: &Told, is_heard: bool) {
        let says = Says::of(told);
        self.is_gone |= says.is_gone;
        self.named.insert(told.ordinal, Arc::clone(told.known_as.as_ref().unwrap_or(&told.purchase)));
        self.replaced.extend(says.replaces.clone());
        if !is_heard {
            return;
        }
        // Google's answer about a token names the one before it; Amazon's about a receipt does not.
        let is_linked = !matches!(told.said, Said::Amazon(_));
        let of = |heard: &[BTreeSet<Arc<str>>], id: &Arc<str>| heard.iter().position(|group| group.contains(id));
        let about = if is_linked { (!self.heard.is_empty()).then_some(0) } else { of(&self.heard, &says.about) };
        let former = says.replaces.as_ref().and_then(|former| of(&self.heard, former));
        let place = about.or(former).unwrap_or(self.heard.len());
        if place == self.heard.len() {
            self.heard.push(BTreeSet::new());
        }
        if let Some(group) = self.heard.get_mut(place) {
            group.insert(says.about);
            group.extend(says.replaces.filter(|_| former.is_none()));
        }
    }

    /// The id that it goes by now.
    fn newest(&self) -> Option<&Arc<str>> {
        self.named.values().rev().find(|id| !self.replaced.contains(*id))
    }

    /// A hub was told of the id that it goes by now: of an older one no store says which it was replaced by.
    pub(super) fn is_newest_heard(&self) -> bool {
        self.newest().is_some_and(|newest| self.is_known_as_now(newest))
    }

    /// Whether a purchase that a hub knows by `id` is the one that goes on.
    #[must_use]
    pub fn is_known_as_now(&self, id: &str) -> bool {
        let newest = self.newest();
        self.heard.iter().any(|group| group.contains(id) && newest.is_some_and(|newest| group.contains(newest)))
    }

    /// How many purchases more than one a hub may know it as: carriers that were heard of before anybody said that they
    /// belong together.
    #[must_use]
    pub fn apart(&self) -> usize {
        self.heard.len().saturating_sub(1)
    }

    /// The store shows it no more, and so not what it was.
    #[must_use]
    pub const fn is_gone(&self) -> bool {
        self.is_gone
    }
}
