//! What one event is in each format. RevenueCat and Purchasely have no message for some events, RevenueCat several for
//! others; which and how is decided in the dialects.

use super::Format;
use crate::{LoggedEvent, Poison, Reason};
use bytes::Bytes;
use paidup_lifecycle::dialects::purchasely;
use paidup_lifecycle::dialects::revenuecat::{self, Options};
use paidup_lifecycle::event::{Event, EventType};
use serde_json::Value;

/// One request's worth.
pub(crate) struct Outgoing {
    /// Names the message; the same on every attempt.
    pub(crate) id: String,
    /// JSON.
    pub(crate) body: Bytes,
}

/// In whose words events are told.
pub(crate) struct Words {
    pub(crate) format: Format,
    pub(crate) revenuecat: Options,
}

impl Words {
    /// What is sent for `logged`, in order.
    pub(crate) fn bodies(&self, logged: &LoggedEvent) -> Result<Vec<Outgoing>, Poison> {
        let event = &*logged.event;
        match self.format {
            // The log's own bytes, so that the API's answer and the body are one text.
            Format::Paidup => Ok(vec![Outgoing { id: event.id.to_string(), body: logged.json.clone() }]),
            Format::Revenuecat => revenuecat::messages(event, &self.revenuecat)
                .into_iter()
                .map(|message| {
                    let body = json(&revenuecat::body(event, &message))?;
                    Ok(Outgoing { id: message.id, body })
                })
                .collect(),
            Format::Purchasely => match self.silence(event) {
                Some(_) => Ok(Vec::new()),
                None => Ok(vec![Outgoing { id: event.id.to_string(), body: json(&purchasely::body(event))? }]),
            },
        }
    }

    /// Why nothing is sent for `event`, when nothing is.
    pub(crate) fn silence(&self, event: &Event) -> Option<Reason> {
        let silent = match self.format {
            Format::Paidup => false,
            Format::Revenuecat => revenuecat::messages(event, &self.revenuecat).is_empty(),
            // A receiver that was written for Purchasely does not know our own names. TEST passes, or the line could
            // not be tried.
            Format::Purchasely => purchasely::is_extension(event.event_type) && event.event_type != EventType::Test,
        };
        silent.then(|| {
            let whose = match self.format {
                Format::Paidup => "this format",
                Format::Revenuecat => "RevenueCat",
                Format::Purchasely => "Purchasely",
            };
            Reason(format!("{whose} has no message for {} here", event.event_type))
        })
    }
}

fn json(body: &Value) -> Result<Bytes, Poison> {
    serde_json::to_vec(body).map(Bytes::from).map_err(|_| Poison("the body cannot be written as JSON".to_owned()))
}
