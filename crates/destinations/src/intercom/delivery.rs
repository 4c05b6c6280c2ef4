//! One delivery: find the contact or make it, write its attributes, tell the event. In this order, because Intercom takes no
//! event for a contact that it does not know (404).
//!
//! Every part may be repeated without harm: an attribute is written again, an event with the same name and second is
//! ignored. What is done is remembered ([`Notes`]), so that a repeated delivery begins where the last one ended. What Intercom
//! contradicts (a contact that is gone, archived, merged or made meanwhile, an attribute that does not exist) is put right
//! once in a delivery; a second time it is left to the next attempt.

use super::Desk;
use super::api::{By, NewContact, Whom};
use super::attributes::{self, Picture};
use super::contact::{Contact, MatchBy, MissingContact, Person, is_made_id};
use super::event::Occurrence;
use super::notes::{KnownContact, Notes};
use super::verdict::{self, Call, Reply, nonsense};
use crate::answers::{retry, wait};
use crate::{Answer, Conversation, Memory, Reason, Step, Verdict};
use bytes::Bytes;
use http::Request;
use paidup_lifecycle::ids::EventId;
use paidup_lifecycle::time::Timestamp;
use std::sync::Arc;
use std::time::Duration;

/// While a contact is waited for, it is looked for this often.
const LOOK_AGAIN: Duration = Duration::from_secs(300);

/// What a delivery is about.
pub(super) struct Task {
    pub(super) person: Person,
    /// What the contact is to show.
    pub(super) picture: Picture,
    /// What is told, in order, under the id of the event that it is told for.
    pub(super) told: Option<(EventId, Vec<Occurrence>)>,
    /// When there is no contact; `None`: then there is nothing to do.
    pub(super) missing: Option<MissingContact>,
}

/// Where a conversation is: what it asks next, or that it is over.
#[derive(Debug, Clone, PartialEq)]
enum Stage {
    /// Look for the contact by the person's ids, from this one on.
    Find(usize),
    /// Look for it by e-mail address or attribute.
    Search,
    Create,
    Unarchive,
    /// Write what the contact does not show yet.
    Update,
    /// Create the workspace's attributes, from this one on; then go on there.
    AddAttribute(usize, Box<Stage>),
    /// Tell what is to be told, from this one on.
    Tell(usize),
    Over(Verdict),
}

pub(super) struct Delivery {
    desk: Arc<Desk>,
    task: Task,
    now: Timestamp,
    notes: Notes,
    /// As the hub knows the notes.
    kept: Notes,
    stage: Stage,
    contact: Option<Contact>,
    /// The contact is to get the person's id: it goes by an anonymous one.
    adopts: bool,
    /// An event was refused for good; those after it are told all the same.
    refused: Option<Verdict>,
    /// Something was asked.
    spoke: bool,
    /// What was put right already; not again in this delivery.
    sought_again: bool,
    moved: bool,
    attributes_added: bool,
    /// A call is under way.
    asked: Option<Call>,
    /// Its answer's budget was told to the hub.
    learned: bool,
}

impl Delivery {
    pub(super) fn new(desk: Arc<Desk>, task: Task, memory: &Memory, now: Timestamp) -> Delivery {
        let notes = Notes::new(memory);
        let mut delivery = Delivery {
            desk,
            task,
            now,
            kept: notes.clone(),
            notes,
            stage: Stage::Find(0),
            contact: None,
            adopts: false,
            refused: None,
            spoke: false,
            sought_again: false,
            moved: false,
            attributes_added: false,
            asked: None,
            learned: false,
        };
        delivery.stage = delivery.begin();
        delivery
    }

    fn begin(&mut self) -> Stage {
        let person = &self.task.person;
        match self.notes.contact() {
            Some(known) if known.of == person.key => {
                let external_id = known.by_external_id.then(|| person.key.clone());
                let contact = Contact { id: known.id.to_owned(), external_id, shows: self.notes.attributes() };
                self.write(contact)
            }
            Some(_) | None => self.seek(),
        }
    }

    /// The first step towards a contact of which nothing is remembered.
    fn seek(&self) -> Stage {
        let person = &self.task.person;
        match self.desk.rules.match_by {
            MatchBy::Email if person.email.is_some() => Stage::Search,
            MatchBy::Attribute if !person.ids.is_empty() => Stage::Search,
            MatchBy::ExternalId | MatchBy::Email | MatchBy::Attribute if person.ids.is_empty() => Stage::Search,
            MatchBy::ExternalId | MatchBy::Email | MatchBy::Attribute => Stage::Find(0),
        }
    }

    /// A contact is not where it was: forget it and look again, once.
    fn seek_again(&mut self, verdict: Verdict) -> Stage {
        self.notes.forget_contact();
        self.contact = None;
        if std::mem::replace(&mut self.sought_again, true) {
            return Stage::Over(verdict);
        }
        self.seek()
    }

    /// The contact is this one: write what it does not show.
    fn write(&mut self, contact: Contact) -> Stage {
        self.contact = Some(contact);
        Stage::Update
    }

    /// It was found by an answer. One that goes by an anonymous id gets the person's: the app will show the person under
    /// that one, and without it there would be two contacts of one person.
    fn found(&mut self, contact: Contact) -> Stage {
        let goes_by = contact.external_id.as_deref();
        self.adopts = !self.task.person.is_anonymous && goes_by.is_some_and(is_made_id);
        self.write(contact)
    }

    /// Nobody has this contact.
    fn missing(&mut self) -> Stage {
        let person = &self.task.person;
        // The contact of the time when nobody knew who the customer is.
        if let Some(known) = self.notes.contact()
            && !person.is_anonymous
            && (is_made_id(known.of) || person.email.as_deref() == Some(known.of))
        {
            let contact = Contact { shows: self.notes.attributes(), ..Contact::unseen(known.id) };
            self.adopts = true;
            return self.write(contact);
        }
        match self.task.missing {
            Some(MissingContact::Create) => Stage::Create,
            Some(MissingContact::Wait) => {
                Stage::Over(wait(Some(LOOK_AGAIN), "the customer has no contact yet; waiting until there is one"))
            }
            Some(MissingContact::Skip) | None => {
                Stage::Over(Verdict::Skip(Reason("the customer has no contact".to_owned())))
            }
        }
    }

    /// What the contact is to show and does not.
    fn unwritten(&self) -> Picture {
        let shows = self.contact.as_ref().and_then(|contact| contact.shows.as_ref());
        shows.map_or_else(|| self.task.picture.clone(), |shows| attributes::difference(&self.task.picture, shows))
    }

    /// The contact shows everything.
    fn written(&mut self) {
        let Some(contact) = &self.contact else { return };
        let key = &self.task.person.key;
        let by_external_id = contact.external_id.as_ref() == Some(key);
        self.notes.keep_contact(&KnownContact { id: &contact.id, of: key, by_external_id });
        let known = contact.shows.clone().unwrap_or_default();
        let ours = |name: &String| attributes::ALL.iter().any(|attribute| attribute.name == name);
        let known = known.into_iter().filter(|(name, _)| ours(name)).collect();
        self.notes.keep_attributes(known, &self.task.picture);
    }

    /// The next thing to tell, or the end.
    fn tell(&mut self, from: usize) -> Stage {
        let count = self.task.told.as_ref().map_or(0, |(_, told)| told.len());
        if from < count {
            return Stage::Tell(from);
        }
        self.notes.forget_told();
        let unchanged = || Verdict::Skip(Reason("the contact shows everything already".to_owned()));
        let verdict = self.refused.take();
        Stage::Over(verdict.unwrap_or_else(|| if self.spoke { Verdict::Delivered } else { unchanged() }))
    }

    /// Passes over stages that have nothing to ask.
    fn settle(&mut self) {
        if self.stage == Stage::Update && !self.adopts && self.unwritten().is_empty() {
            let told = self.task.told.as_ref();
            let from = told.map(|(event, _)| self.notes.told(*event)).unwrap_or_default();
            self.written();
            self.stage = self.tell(from);
        }
    }

    /// The call of this stage. None: it is over.
    fn request(&mut self) -> Option<(Call, Request<Bytes>)> {
        let api = &self.desk.api;
        let id = self.contact.as_ref().map_or("", |contact| &contact.id);
        Some(match &self.stage {
            Stage::Find(place) => (Call::Find, api.find(self.task.person.ids.get(*place)?)),
            Stage::Search => (Call::Search, api.search(&self.searched_by())),
            Stage::Create => (Call::Create, self.creation()),
            Stage::Unarchive => (Call::Unarchive, api.unarchive(id)),
            Stage::Update => {
                let external_id = self.task.person.ids.first().filter(|_| self.adopts);
                (Call::Update, api.update(id, external_id.map(String::as_str), &self.unwritten()))
            }
            Stage::AddAttribute(place, _) => (Call::AddAttribute, api.add_attribute(attributes::ALL.get(*place)?)),
            Stage::Tell(place) => (Call::Tell, self.telling(*place)?),
            Stage::Over(_) => return None,
        })
    }

    fn searched_by(&self) -> By<'_> {
        let person = &self.task.person;
        match (self.desk.rules.match_by, person.ids.first()) {
            (MatchBy::Attribute, Some(id)) => By::Attribute(&self.desk.rules.attribute, id),
            (MatchBy::ExternalId | MatchBy::Email | MatchBy::Attribute, _) => {
                By::Email(person.email.as_deref().unwrap_or_default())
            }
        }
    }

    fn creation(&self) -> Request<Bytes> {
        let person = &self.task.person;
        let external_id = person.ids.first();
        let mut shows = self.task.picture.clone();
        if let (MatchBy::Attribute, Some(id)) = (self.desk.rules.match_by, external_id) {
            // So that the next search finds it.
            shows.insert(self.desk.rules.attribute.clone(), id.as_str().into());
        }
        let email = person.email.as_deref();
        self.desk.api.create(&NewContact::new(external_id.map(String::as_str), email, &shows))
    }

    fn telling(&mut self, place: usize) -> Option<Request<Bytes>> {
        let (event, told) = self.task.told.as_ref()?;
        let told = told.get(place)?;
        let contact = self.contact.as_ref()?;
        let whom = match contact.external_id.as_ref().filter(|id| Some(*id) == self.task.person.ids.first()) {
            Some(external_id) => Whom::UserId(external_id),
            None => Whom::Id(&contact.id),
        };
        let created_at = self.notes.second(&told.name, *event, told.created_at);
        Some(self.desk.api.tell(&whom, told, created_at))
    }

    /// Where an answer leads.
    fn after(&mut self, call: Call, reply: Reply) -> Stage {
        match (call, reply) {
            (Call::Tell, Reply::Over(verdict @ Verdict::GiveUp(_))) => {
                self.refused = Some(verdict);
                self.told()
            }
            (_, Reply::Over(verdict)) => Stage::Over(verdict),
            (Call::Tell, Reply::Fine(_)) => self.told(),
            (Call::Unarchive, Reply::Fine(_)) => Stage::Update,
            (Call::AddAttribute, Reply::Fine(_) | Reply::Exists(_)) => self.attribute_added(),
            (Call::Find | Call::Create | Call::Update, Reply::Fine(body)) => self.answered(call, &body),
            (Call::Search, Reply::Fine(body)) => self.searched(&body),
            (Call::Find, Reply::NotFound(_)) => self.not_found(),
            (Call::Update | Call::Tell | Call::Unarchive, Reply::NotFound(verdict)) => self.seek_again(verdict),
            (Call::Create | Call::Update, Reply::Taken { id, is_archived, verdict }) => {
                self.taken(id, is_archived, verdict)
            }
            (_, Reply::Merged { into, verdict }) => self.merged(into, verdict),
            (Call::Create | Call::Update, Reply::NoAttribute(verdict)) => self.without_attribute(verdict),
            (_, reply) => Stage::Over(reply.verdict().unwrap_or_else(|| nonsense(call))),
        }
    }

    /// A contact came back.
    fn answered(&mut self, call: Call, body: &serde_json::Value) -> Stage {
        if call == Call::Update {
            let adopted = std::mem::take(&mut self.adopts).then(|| self.task.person.ids.first().cloned()).flatten();
            if let Some(contact) = &mut self.contact {
                contact.external_id = adopted.or(contact.external_id.take());
                contact.shows.get_or_insert_default().extend(self.task.picture.clone());
            }
            return Stage::Update;
        }
        let Some(contact) = Contact::read(body) else { return Stage::Over(nonsense(call)) };
        if call == Call::Create {
            let external_id = self.task.person.ids.first().cloned();
            return self.write(Contact { external_id, shows: Some(self.task.picture.clone()), ..contact });
        }
        self.found(contact)
    }

    fn searched(&mut self, body: &serde_json::Value) -> Stage {
        let wanted = self.task.person.ids.first().map(String::as_str).unwrap_or_default();
        match Contact::pick(body, wanted) {
            Ok(Some(contact)) => self.found(contact),
            // Search lags behind, and a contact may lack what it was searched by.
            Ok(None) if !self.task.person.ids.is_empty() => Stage::Find(0),
            Ok(None) => self.missing(),
            Err(()) => Stage::Over(nonsense(Call::Search)),
        }
    }

    fn not_found(&mut self) -> Stage {
        match self.stage {
            Stage::Find(place) if place + 1 < self.task.person.ids.len() => Stage::Find(place + 1),
            _ => self.missing(),
        }
    }

    /// Another contact has the id: it is the one that was looked for, archived or made meanwhile.
    fn taken(&mut self, id: Option<String>, is_archived: bool, verdict: Verdict) -> Stage {
        let Some(id) = id else { return self.seek_again(verdict) };
        if std::mem::replace(&mut self.moved, true) {
            return Stage::Over(verdict);
        }
        self.adopts = false;
        let external_id = self.task.person.ids.first().cloned();
        self.contact = Some(Contact { external_id, ..Contact::unseen(&id) });
        if is_archived { Stage::Unarchive } else { Stage::Update }
    }

    fn merged(&mut self, into: Option<String>, verdict: Verdict) -> Stage {
        match into {
            Some(into) if !std::mem::replace(&mut self.moved, true) => self.write(Contact::unseen(&into)),
            Some(_) | None => self.seek_again(verdict),
        }
    }

    fn without_attribute(&mut self, verdict: Verdict) -> Stage {
        if std::mem::replace(&mut self.attributes_added, true) {
            let Verdict::GiveUp(Reason(words)) = verdict else { return Stage::Over(verdict) };
            return Stage::Over(Verdict::SwitchOff(Reason(format!(
                "{words}. If it is archived in Intercom (Settings > Data > People), unarchive it; then resume"
            ))));
        }
        Stage::AddAttribute(0, Box::new(self.stage.clone()))
    }

    fn attribute_added(&mut self) -> Stage {
        match std::mem::replace(&mut self.stage, Stage::Update) {
            Stage::AddAttribute(place, then) if place + 1 < attributes::ALL.len() => {
                Stage::AddAttribute(place + 1, then)
            }
            Stage::AddAttribute(_, then) => *then,
            other => other,
        }
    }

    fn told(&mut self) -> Stage {
        let Stage::Tell(place) = self.stage else { return Stage::Over(nonsense(Call::Tell)) };
        if let Some((event, _)) = &self.task.told {
            self.notes.keep_told(*event, place + 1);
        }
        self.tell(place + 1)
    }
}

impl Conversation for Delivery {
    fn next(&mut self, answer: Option<&Answer>) -> Step {
        if let (Some(call), Some(answer)) = (self.asked, answer) {
            let hint = verdict::hint(answer, &self.desk.api.budget(), self.now);
            if let Some(hint) = hint.filter(|_| !std::mem::replace(&mut self.learned, true)) {
                return Step::Learn(vec![hint]);
            }
            (self.asked, self.learned) = (None, false);
            self.stage = self.after(call, verdict::reply(call, answer, self.now));
        }
        self.settle();
        if let Some((call, request)) = self.request() {
            (self.asked, self.spoke) = (Some(call), true);
            return Step::Call { request, budgets: vec![self.desk.api.budget()] };
        }
        if self.kept != self.notes {
            self.kept = self.notes.clone();
            return Step::Remember(self.notes.memory().clone());
        }
        match &self.stage {
            Stage::Over(verdict) => Step::Finish(self.desk.masked(verdict.clone())),
            // A stage without a call that is not over is a mistake of ours: the next attempt begins anew.
            _ => Step::Finish(retry(None, "the delivery lost its way")),
        }
    }
}
