//! Who a customer is at Intercom: by which ids the contact is known, and what an answer says of it.

use super::attributes::Picture;
use super::text::MAX_TEXT;
use crate::Reason;
use paidup_lifecycle::customer::DISCORD_ALIAS;
use paidup_lifecycle::event::CustomerView;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What RevenueCat calls the ids that it makes.
const ANONYMOUS: &str = "$RCAnonymousID:";
/// RevenueCat's reserved attribute; the plain one is what other sources call it.
const EMAIL: [&str; 2] = ["$email", "email"];
/// Each id that a contact may be known by costs a call when it is not.
const MAX_IDS: usize = 4;
/// Ids of Intercom have 24 digits; what is much longer is none.
const MAX_CONTACT_ID: usize = 64;

/// What happens when the customer has no contact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MissingContact {
    /// It is made, as RevenueCat does.
    #[default]
    Create,
    /// The customer's events wait until somebody else has made it, for at most three days.
    Wait,
    /// The event is not told.
    Skip,
}

/// What happens with customers whom nobody has identified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Anonymous {
    /// They are contacts under their anonymous id, as RevenueCat does: one for each installation of the app.
    #[default]
    Send,
    /// They are not told of.
    Skip,
    /// They are contacts by their e-mail address where it is known, else not told of.
    Email,
}

/// By what the contact of a customer is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MatchBy {
    /// Its external id is the id that the app uses.
    #[default]
    ExternalId,
    /// The customer's e-mail address where it is known (attribute `$email` or `email`), else its external id.
    Email,
    /// A custom attribute of the contact (`match_attribute`) is the id that the app uses.
    Attribute,
}

/// How customers are recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rules {
    pub(super) anonymous: Anonymous,
    pub(super) match_by: MatchBy,
    /// With `match_by: attribute`.
    pub(super) attribute: String,
}

/// A customer as Intercom may know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Person {
    /// What the contact is found by: an external id, or an e-mail address.
    pub(super) key: String,
    /// External ids to look for, the one to be used first. Empty: only an e-mail address counts.
    pub(super) ids: Vec<String>,
    pub(super) email: Option<String>,
    /// Nobody has identified the customer.
    pub(super) is_anonymous: bool,
}

impl Person {
    /// Who the customer is; a reason if the rules say that the customer is not told of.
    pub(super) fn of(customer: &CustomerView, rules: &Rules) -> Result<Person, Reason> {
        let email = EMAIL.iter().find_map(|name| customer.attributes.get(*name));
        let email = email.map(|told| told.value.trim()).filter(|text| is_email(text)).map(str::to_owned);
        let mut ids = known_as(customer);
        let is_anonymous = ids.first().is_none_or(|id| is_anonymous_id(id, customer));
        if is_anonymous {
            match (rules.anonymous, &email) {
                (Anonymous::Send, _) => {}
                (Anonymous::Skip, _) => return Err(Reason("anonymous customers are not told of".to_owned())),
                (Anonymous::Email, Some(_)) => ids.clear(),
                (Anonymous::Email, None) => {
                    return Err(Reason("the customer is anonymous and has no e-mail address".to_owned()));
                }
            }
        }
        match ids.first().or(email.as_ref()).cloned() {
            Some(key) => Ok(Person { key, ids, email, is_anonymous }),
            None => Err(Reason(format!(
                "the customer's id has more than {MAX_TEXT} characters or control characters: no contact can have it"
            ))),
        }
    }
}

/// The customer's ids that a contact may have: those that name a person before the anonymous ones, the one last seen first.
fn known_as(customer: &CustomerView) -> Vec<String> {
    let mut ids: Vec<&String> = Vec::with_capacity(customer.aliases.len() + 1);
    ids.push(&customer.app_user_id);
    ids.extend(customer.aliases.iter().rev());
    let mut seen = std::collections::BTreeSet::new();
    ids.retain(|id| can_be_external_id(id) && seen.insert(id.as_str()));
    // A linked account elsewhere is no id of the app's, unless nothing else is known.
    let is_link = |id: &str| id.starts_with(DISCORD_ALIAS);
    if ids.iter().any(|id| !is_link(id)) {
        ids.retain(|id| !is_link(id));
    }
    ids.sort_by_key(|id| is_anonymous_id(id, customer));
    ids.truncate(MAX_IDS);
    ids.into_iter().cloned().collect()
}

fn is_anonymous_id(id: &str, customer: &CustomerView) -> bool {
    customer.anonymous || is_made_id(id)
}

/// An id that RevenueCat or we have made for somebody unknown.
pub(super) fn is_made_id(id: &str) -> bool {
    id.starts_with(ANONYMOUS) || id.parse::<paidup_lifecycle::ids::CustomerId>().is_ok()
}

/// ASSUMPTION: no bound is published; other texts have at most 255 characters.
fn can_be_external_id(id: &str) -> bool {
    !id.trim().is_empty() && id.chars().count() <= MAX_TEXT && !id.chars().any(char::is_control)
}

fn is_email(text: &str) -> bool {
    let parts = text.split_once('@').filter(|(name, host)| !name.is_empty() && host.contains('.'));
    parts.is_some() && text.len() <= MAX_TEXT && !text.chars().any(|one| one.is_whitespace() || one.is_control())
}

/// A contact as an answer shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Contact {
    pub(super) id: String,
    pub(super) external_id: Option<String>,
    /// What it shows; `None`: not known.
    pub(super) shows: Option<Picture>,
}

impl Contact {
    /// From a contact's JSON. None: that is no contact.
    pub(super) fn read(body: &Value) -> Option<Contact> {
        let id = contact_id(body["id"].as_str()?)?;
        let external_id = body["external_id"].as_str().map(str::to_owned);
        Some(Contact { id, external_id, shows: body["custom_attributes"].as_object().cloned() })
    }

    /// The best of a search's result: the one with that external id, else the first.
    /// An error: that is no list of contacts.
    pub(super) fn pick(body: &Value, external_id: &str) -> Result<Option<Contact>, ()> {
        let list = body["data"].as_array().ok_or(())?;
        let mut contacts: Vec<Contact> = list.iter().filter_map(Contact::read).collect();
        if contacts.is_empty() && !list.is_empty() {
            return Err(());
        }
        contacts.sort_by_key(|contact| contact.external_id.as_deref() != Some(external_id));
        Ok(contacts.into_iter().next())
    }

    /// One of which only the id is known.
    pub(super) fn unseen(id: &str) -> Contact {
        Contact { id: id.to_owned(), external_id: None, shows: None }
    }
}

/// An id that may stand in an address.
pub(super) fn contact_id(text: &str) -> Option<String> {
    let fits = |one: u8| one.is_ascii_alphanumeric() || one == b'-' || one == b'_';
    ((1..=MAX_CONTACT_ID).contains(&text.len()) && text.bytes().all(fits)).then(|| text.to_owned())
}
