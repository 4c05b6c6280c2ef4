//! A look at the set-up: who the token belongs to, whether the attributes are there, whether the permissions are.
//! <https://developers.intercom.com/docs/build-an-integration/learn-more/authentication>
//!
//! Nothing is told and no contact is made. What is missing and harmless to make is made: the data attributes.

use super::Desk;
use super::api::{Region, Whom};
use super::attributes::{ALL, Picture};
use super::event::Occurrence;
use super::verdict::{self, Call, Reply, nonsense};
use crate::{Answer, Check, Conversation, Finding, Gravity, Reason, Step, Verdict};
use bytes::Bytes;
use http::Request;
use paidup_lifecycle::time::Timestamp;
use serde_json::Value;
use std::sync::Arc;

/// An id that nobody has: asking about it shows whether asking is allowed.
/// ASSUMPTION: permissions are looked at before ids, and an event of nobody leaves nothing behind.
const NOBODY: &str = "paidup-set-up-check";
/// Most event names of a workspace.
const MAX_NAMES: usize = 120;

/// What is looked at, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    Me,
    Find,
    /// May contacts be written? Of nobody: 404.
    Update,
    /// May events be told? To nobody: 404.
    Tell,
    AddAttribute(usize),
    ListAttributes,
    Over,
}

pub(super) struct SetUpCheck {
    desk: Arc<Desk>,
    now: Timestamp,
    look: Look,
    /// An event as it would be told; `None`: none is switched on.
    sample: Option<Occurrence>,
    created: Vec<&'static str>,
    findings: Vec<Finding>,
    /// Why it ended early.
    ended: Option<Verdict>,
    asked: bool,
    learned: bool,
}

impl SetUpCheck {
    pub(super) fn new(desk: Arc<Desk>, sample: Option<Occurrence>, now: Timestamp) -> SetUpCheck {
        SetUpCheck {
            desk,
            now,
            look: Look::Me,
            sample,
            created: Vec::new(),
            findings: Vec::new(),
            ended: None,
            asked: false,
            learned: false,
        }
    }

    fn call(&self) -> Option<(Call, Request<Bytes>)> {
        let api = &self.desk.api;
        Some(match self.look {
            Look::Me => (Call::Me, api.me()),
            Look::Find => (Call::Find, api.find(NOBODY)),
            Look::Update => (Call::Update, api.update(NOBODY, None, &Picture::new())),
            Look::Tell => {
                let sample = self.sample.as_ref()?;
                (Call::Tell, api.tell(&Whom::UserId(NOBODY), sample, sample.created_at))
            }
            Look::AddAttribute(place) => (Call::AddAttribute, api.add_attribute(ALL.get(place)?)),
            Look::ListAttributes => (Call::ListAttributes, api.list_attributes()),
            Look::Over => return None,
        })
    }

    fn find(&mut self, gravity: Gravity, text: impl Into<String>) {
        self.findings.push(Finding { gravity, text: self.desk.api.masked(&text.into()) });
    }

    /// What an answer shows.
    fn heard(&mut self, call: Call, reply: Reply) {
        match (self.look, reply) {
            (Look::Me, Reply::Fine(body)) => self.heard_me(&body),
            (Look::Find | Look::Update | Look::Tell, Reply::NotFound(_)) => {
                self.find(Gravity::Fine, format!("The permission \"{}\" is there.", call.permission()));
            }
            (Look::Find, Reply::Fine(_)) => self.find(Gravity::Fine, "Contacts can be looked up."),
            (Look::AddAttribute(place), Reply::Fine(_)) => {
                self.created.extend(ALL.get(place).map(|attribute| attribute.name));
            }
            (Look::AddAttribute(_), Reply::Exists(_)) => {}
            (Look::ListAttributes, Reply::Fine(body)) => self.heard_attributes(&body),
            // The list of a large workspace is longer than what is read of an answer.
            (Look::ListAttributes, Reply::Over(Verdict::Retry { counts: true, .. })) => {
                self.find(
                    Gravity::Warning,
                    "The list of data attributes cannot be read, so their types were not looked at.",
                );
            }
            (_, reply) => self.heard_trouble(call, reply),
        }
    }

    fn heard_trouble(&mut self, call: Call, reply: Reply) {
        let verdict = reply.verdict().unwrap_or_else(|| nonsense(call));
        let words = match &verdict {
            Verdict::Retry { reason, .. }
            | Verdict::GiveUp(reason)
            | Verdict::SwitchOff(reason)
            | Verdict::Skip(reason) => reason.0.clone(),
            Verdict::Delivered => String::new(),
        };
        self.find(Gravity::Problem, words);
        // A permission that lacks says nothing about the others; a token that is wrong says everything.
        let is_about_this = matches!(&verdict, Verdict::SwitchOff(reason) if reason.0.contains("permission"))
            || matches!(verdict, Verdict::GiveUp(_));
        if !is_about_this {
            self.ended = Some(verdict);
        }
    }

    fn heard_me(&mut self, body: &Value) {
        let app = &body["app"];
        let text = |name: &str| -> String {
            app[name].as_str().unwrap_or("?").chars().filter(|one| !one.is_control()).take(100).collect()
        };
        if !app.is_object() {
            self.find(Gravity::Problem, "The address does not answer as Intercom does.");
            self.ended = Some(nonsense(Call::Me));
            return;
        }
        let (name, code, region) = (text("name"), text("id_code"), text("region"));
        self.find(Gravity::Fine, format!("Connected to the workspace {name} ({code}), region {region}."));
        let set = self.desk.region;
        match Region::named(&region) {
            Some(theirs) if theirs != set && !self.desk.elsewhere => {
                let text = format!(
                    "The workspace's data is in the region {region}, `region` says `{}`: set it to `{}`.",
                    set.setting(),
                    theirs.setting()
                );
                self.find(Gravity::Problem, text);
            }
            Some(_) | None => {}
        }
    }

    fn heard_attributes(&mut self, body: &Value) {
        let Some(list) = body["data"].as_array() else {
            return self.find(Gravity::Warning, "The list of data attributes cannot be read.");
        };
        for attribute in &ALL {
            let name = attribute.name;
            let found = list.iter().find(|one| one["name"] == name && one["custom"] != false);
            let Some(found) = found else {
                self.find(Gravity::Problem, format!("The data attribute {name} is not there and could not be made."));
                continue;
            };
            let data_type = found["data_type"].as_str().unwrap_or("?");
            if found["archived"] == true {
                let text = format!("The data attribute {name} is archived: unarchive it (Settings > Data > People).");
                self.find(Gravity::Problem, text);
            } else if !data_type.starts_with(attribute.data_type) {
                let text = format!(
                    "The data attribute {name} has the type {data_type} and must have {}: Intercom refuses what is written \
                     to it and cannot change its type.",
                    attribute.data_type
                );
                self.find(Gravity::Problem, text);
            } else if found["options"].as_array().is_some_and(|options| !options.is_empty()) {
                let text = format!("The data attribute {name} is a list of options: values outside of it are refused.");
                self.find(Gravity::Warning, text);
            }
        }
    }

    /// What comes after this look.
    fn go_on(&mut self) {
        self.look = match self.look {
            _ if self.ended.is_some() => Look::Over,
            Look::Me => Look::Find,
            Look::Find => Look::Update,
            Look::Update if self.sample.is_some() => Look::Tell,
            Look::Update | Look::Tell => Look::AddAttribute(0),
            Look::AddAttribute(place) if place + 1 < ALL.len() => Look::AddAttribute(place + 1),
            Look::AddAttribute(_) => Look::ListAttributes,
            Look::ListAttributes | Look::Over => Look::Over,
        };
        if self.look == Look::Over && self.ended.is_none() {
            self.sum_up();
        }
    }

    fn sum_up(&mut self) {
        let has_problem = self.findings.iter().any(|found| found.gravity == Gravity::Problem);
        if !self.created.is_empty() {
            let names = self.created.join(", ");
            self.find(Gravity::Fine, format!("Data attributes made: {names}."));
        } else if !has_problem {
            self.find(Gravity::Fine, "The data attributes are there.");
        }
        let names = self.desk.telling.names.len();
        if names == 0 {
            self.find(Gravity::Warning, "No event is switched on: only attributes will be written.");
        } else {
            // No call lists the names that a workspace has.
            let text = format!(
                "{names} event names will be used. A workspace takes {MAX_NAMES} active ones in all; what is beyond is \
                 refused. Settings > Data > Events shows how many it has."
            );
            self.find(Gravity::Fine, text);
        }
    }

    fn verdict(&self) -> Verdict {
        let problem = self.findings.iter().find(|found| found.gravity == Gravity::Problem);
        match (&self.ended, problem) {
            (Some(verdict), _) => self.desk.masked(verdict.clone()),
            (None, Some(problem)) => Verdict::GiveUp(Reason(problem.text.clone())),
            (None, None) => Verdict::Delivered,
        }
    }
}

impl Conversation for SetUpCheck {
    fn next(&mut self, answer: Option<&Answer>) -> Step {
        if let (true, Some(answer), Some((call, _))) = (self.asked, answer, self.call()) {
            let hint = verdict::hint(answer, &self.desk.api.budget(), self.now);
            if let Some(hint) = hint.filter(|_| !std::mem::replace(&mut self.learned, true)) {
                return Step::Learn(vec![hint]);
            }
            (self.asked, self.learned) = (false, false);
            self.heard(call, verdict::reply(call, answer, self.now));
            self.go_on();
        }
        match self.call() {
            Some((_, request)) => {
                self.asked = true;
                Step::Call { request, budgets: vec![self.desk.api.budget()] }
            }
            None => Step::Finish(self.verdict()),
        }
    }
}

impl Check for SetUpCheck {
    fn findings(&self) -> &[Finding] {
        &self.findings
    }
}
