//! What can be decided on: the journal's input. Each command stands in the journal as JSON and is folded again by a
//! rebuild, so a variant or field that was ever written is never renamed.
//!
//! A command holds everything that its decision needs and that is not in the database at that moment. Notifications are
//! kept beside the journal and stand in it by their ids.

use crate::claims::RestorePolicies;
use paidup_lifecycle::alert::OperatorAlert;
use paidup_lifecycle::catalogue::{Entitlement, Product};
use paidup_lifecycle::ids::{ClaimId, GrantId, PurchaseId, SourceId};
use paidup_lifecycle::observation::{PeriodType, Store};
use paidup_lifecycle::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What is decided on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    /// A source received notifications (or the answer to a question). All or nothing.
    Observe {
        /// Which source.
        source_id: SourceId,
        /// Its settings that reading depends on, as they were.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        policy: Option<String>,
    },
    /// The clock reached the deadlines of these purchases.
    Tick {
        /// Which.
        purchases: Vec<PurchaseId>,
    },
    /// The store could not be asked about this purchase for too long.
    Unanswered {
        /// Which.
        purchase: PurchaseId,
    },
    /// An entitlement is given by hand.
    Grant {
        /// Minted by the caller.
        id: GrantId,
        /// Any id of the customer, who is made if unknown.
        customer: String,
        /// What.
        entitlement: String,
        /// Until when; absent: for ever.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_at: Option<Timestamp>,
        /// `promotional` or `trial`.
        period_type: PeriodType,
    },
    /// A grant ends at another time.
    ChangeGrant {
        /// Which.
        id: GrantId,
        /// The new end; absent: never.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_at: Option<Timestamp>,
    },
    /// A grant ends later than it would.
    ExtendGrant {
        /// Which.
        id: GrantId,
        /// By how many milliseconds.
        by_ms: u64,
    },
    /// A grant is taken away.
    RevokeGrant {
        /// Which.
        id: GrantId,
    },
    /// A product is made or replaced, by (product id, store).
    PutProduct {
        /// The product; its `id` is used only when there was none.
        product: Product,
    },
    /// A product is removed; purchases of it unlock nothing then.
    DeleteProduct {
        /// The store's product id.
        product_id: String,
        /// The store, or every store's entry.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        store: Option<Store>,
    },
    /// An entitlement is made or renamed.
    PutEntitlement {
        /// Which.
        entitlement: Entitlement,
    },
    /// An entitlement is removed, from products too.
    DeleteEntitlement {
        /// Which.
        id: String,
    },
    /// The catalogue changed what these purchases may unlock.
    Recompute {
        /// Which.
        purchases: Vec<PurchaseId>,
    },
    /// A customer gets another id. When that is another customer's, the two become one.
    Link {
        /// Any id of the customer who stays.
        customer: String,
        /// The other id.
        alias: String,
        /// All purchases of the other customer, when there is one.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        purchases: Vec<PurchaseId>,
    },
    /// An app's backend says that a customer bought something. With a proof that speaks for itself, that is observed first.
    Claim {
        /// Which claim.
        id: ClaimId,
        /// Whose store.
        source_id: SourceId,
        /// The source's settings that reading depends on, as they were.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        policy: Option<String>,
        /// Any id of the customer, who is made if unknown.
        customer: String,
        /// What becomes of a purchase that is another customer's.
        restore: RestorePolicies,
        /// What the store has to be asked.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        lookups: Vec<ClaimedLookup>,
        /// It counts for those of these that a store has told of, or will.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        purchases: Vec<PurchaseId>,
    },
    /// A customer gets what a claimed purchase would unlock, until its store can say whether it is one.
    GrantTemporarily {
        /// Which claim.
        claim: ClaimId,
        /// Whose store.
        source_id: SourceId,
        /// The store's name.
        store: Store,
        /// What was claimed.
        product_id: String,
        /// For how long at most, in milliseconds.
        for_ms: u64,
    },
    /// Nothing more comes of a claim.
    EndClaim {
        /// Which.
        id: ClaimId,
        /// Why, for people.
        reason: String,
    },
    /// An operator gives purchases of one customer to another.
    Transfer {
        /// Any id of the customer who has them.
        customer: String,
        /// Any id of the customer who gets them, who is made if unknown.
        to: String,
        /// Which.
        purchases: Vec<PurchaseId>,
    },
    /// A purchase is given to a customer.
    Bind {
        /// Which.
        purchase: PurchaseId,
        /// Any id of the customer, who is made if unknown.
        customer: String,
    },
    /// The hub found something that an operator must know, or that it is over.
    TellAlerts {
        /// What, in this order.
        alerts: Vec<OperatorAlert>,
    },
}

/// What a claim asks the store, as it stands in the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimedLookup {
    /// In the source's words.
    pub name: String,
    /// In the source's words.
    pub context: String,
    /// For people.
    pub why: String,
    /// Not asked when this purchase is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unless_known: Option<PurchaseId>,
}

impl Command {
    /// A source received something.
    pub(crate) fn observe(source_id: SourceId, source: &dyn paidup_sources::Source) -> Command {
        Command::Observe { source_id, policy: source.policy() }
    }
}

/// What a source can do that decisions depend on. Only of the sources that a decision touched, so that a rebuild knows
/// what held then.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Abilities {
    /// Can be asked how a purchase stands.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub asks: BTreeSet<SourceId>,
    /// Tell prices in a later notification.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub prices_follow: BTreeSet<SourceId>,
}

/// The journal's input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// What was decided on.
    #[serde(flatten)]
    pub command: Command,
    /// What the sources could do.
    #[serde(flatten)]
    pub abilities: Abilities,
    /// Whose doing it was: the admin key, or a key's id and name. Absent: the hub's own, or a store's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}
