//! What an operator must know about: conditions that stand, each told once when it begins (a log line at error level, a
//! gauge) and once when it ends. Whoever finds conditions hands over all that stand now; what is new, still there or
//! over is found here, in one place, where alerts as events of their own can be added.
//!
//! Nothing is kept in the database: every condition follows from what is, so a restart finds it again.

use paidup_lifecycle::closed_set;
use paidup_lifecycle::ids::{DestinationId, SourceId};
use paidup_lifecycle::time::Timestamp;
use parking_lot::Mutex;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::collections::HashMap;

closed_set! {
    /// What about.
    pub enum AlertKind {
        /// Nearly as many events wait as may: 90 % of `max_backlog`.
        Backlog = "backlog",
        /// A source's store does not accept its credentials.
        Credentials = "credentials",
        /// So many events are in trouble that nothing more is read until some are done.
        Crowded = "crowded",
        /// Nothing was taken for a while.
        Failing = "failing",
        /// A gap waits for a decision: resume behind it or in front of it.
        Gap = "gap",
        /// Paused by the hub.
        Paused = "paused",
        /// A source has sent nothing for far longer than is its habit.
        Silent = "silent",
        /// Switched off by the hub.
        SwitchedOff = "switched_off",
        /// A source's store does not answer.
        Unreachable = "unreachable",
    }
}

/// A condition that stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// What about.
    pub kind: AlertKind,
    /// Since when, or since when we know.
    pub since: Timestamp,
    /// What is wrong and what to do, for people. Never contains a secret.
    pub detail: String,
}

/// Which destination, and what about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    destination: String,
    kind: &'static str,
}

/// Which source, and what about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SourceLabels {
    source: String,
    kind: &'static str,
}

/// All that stand.
#[derive(Default)]
pub struct Alerts {
    standing: Mutex<HashMap<DestinationId, Vec<Alert>>>,
    gauge: Family<Labels, Gauge>,
    of_sources: Mutex<HashMap<SourceId, Vec<Alert>>>,
    source_gauge: Family<SourceLabels, Gauge>,
}

impl Alerts {
    /// With its gauge in `registry`.
    pub fn register(registry: &mut Registry) -> Alerts {
        let alerts = Alerts::default();
        registry.register("destination_alert", "1: a person must act; see its alerts", alerts.gauge.clone());
        let help = "1: a person must look; see GET /v1/sources/{id}";
        registry.register("source_alert", help, alerts.source_gauge.clone());
        alerts
    }

    /// Says what stands now about a source: everything, so what is not named any more is over.
    pub fn stand_source(&self, id: SourceId, mut found: Vec<Alert>) {
        let mut standing = self.of_sources.lock();
        let before = standing.remove(&id).unwrap_or_default();
        date(&before, &mut found);
        let set = |kind: AlertKind, stands| {
            let labels = SourceLabels { source: id.to_string(), kind: kind.as_str() };
            self.source_gauge.get_or_create(&labels).set(stands);
        };
        for alert in begun(&before, &found) {
            tracing::error!(source.id = %id, alert = %alert.kind, detail = alert.detail, "operator alert");
            set(alert.kind, 1);
        }
        for alert in begun(&found, &before) {
            tracing::info!(source.id = %id, alert = %alert.kind, "operator alert is over");
            set(alert.kind, 0);
        }
        if !found.is_empty() {
            standing.insert(id, found);
        }
    }

    /// What stands about a source.
    #[must_use]
    pub fn of_source(&self, id: SourceId) -> Vec<Alert> {
        self.of_sources.lock().get(&id).cloned().unwrap_or_default()
    }

    /// A source is no more.
    pub fn forget_source(&self, id: SourceId) {
        self.of_sources.lock().remove(&id);
        for kind in AlertKind::ALL {
            self.source_gauge.remove(&SourceLabels { source: id.to_string(), kind: kind.as_str() });
        }
    }

    /// Says what stands now about a destination: everything, so what is not named any more is over.
    pub fn stand(&self, id: DestinationId, found: Vec<Alert>) {
        let found = self.dated(id, found);
        let mut standing = self.standing.lock();
        let before = standing.remove(&id).unwrap_or_default();
        for alert in begun(&before, &found) {
            tracing::error!(destination.id = %id, alert = %alert.kind, detail = alert.detail, "operator alert");
            self.gauge.get_or_create(&labels(id, alert.kind)).set(1);
        }
        for alert in begun(&found, &before) {
            tracing::info!(destination.id = %id, alert = %alert.kind, "operator alert is over");
            self.gauge.get_or_create(&labels(id, alert.kind)).set(0);
        }
        if !found.is_empty() {
            standing.insert(id, found);
        }
    }

    /// The same alerts, each since it began to stand.
    #[must_use]
    pub fn dated(&self, id: DestinationId, mut found: Vec<Alert>) -> Vec<Alert> {
        let standing = self.standing.lock();
        date(standing.get(&id).map(Vec::as_slice).unwrap_or_default(), &mut found);
        found
    }

    /// A destination is no more.
    pub fn forget(&self, id: DestinationId) {
        self.standing.lock().remove(&id);
        for kind in AlertKind::ALL {
            self.gauge.remove(&labels(id, *kind));
        }
    }
}

/// Those of `now` that are not among `before`.
fn begun<'a>(before: &'a [Alert], now: &'a [Alert]) -> impl Iterator<Item = &'a Alert> {
    now.iter().filter(|alert| !before.iter().any(|known| known.kind == alert.kind))
}

/// Each since it began to stand.
fn date(known: &[Alert], found: &mut [Alert]) {
    for alert in found {
        let known = known.iter().find(|known| known.kind == alert.kind);
        alert.since = known.map_or(alert.since, |known| known.since.min(alert.since));
    }
}

fn labels(id: DestinationId, kind: AlertKind) -> Labels {
    Labels { destination: id.to_string(), kind: kind.as_str() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn an_alert_stands_from_its_beginning_until_it_is_not_named_any_more() {
        let mut registry = Registry::default();
        let alerts = Alerts::register(&mut registry);
        let id = DestinationId([1; 16]);
        let at = |second: u64| Timestamp::default().plus(Duration::from_secs(second));
        let alert = |kind, second, detail: &str| Alert { kind, since: at(second), detail: detail.to_owned() };
        let text = || {
            let mut text = String::new();
            prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
            text
        };
        alerts.stand(id, vec![alert(AlertKind::Failing, 5, "first")]);
        let now = vec![alert(AlertKind::Failing, 9, "second"), alert(AlertKind::Backlog, 9, "new")];
        let expected = vec![alert(AlertKind::Failing, 5, "second"), alert(AlertKind::Backlog, 9, "new")];
        assert_eq!(alerts.dated(id, now.clone()), expected);
        alerts.stand(id, now);
        assert!(text().contains(&format!("destination_alert{{destination=\"{id}\",kind=\"backlog\"}} 1")));
        alerts.stand(id, vec![alert(AlertKind::Failing, 12, "third")]);
        assert!(text().contains(&format!("destination_alert{{destination=\"{id}\",kind=\"backlog\"}} 0")));
        // One that was over begins anew.
        let again = alerts.dated(id, vec![alert(AlertKind::Backlog, 20, "again")]);
        assert_eq!(again[0].since, at(20));
        alerts.forget(id);
        assert!(!text().contains(&id.to_string()));
    }
}
