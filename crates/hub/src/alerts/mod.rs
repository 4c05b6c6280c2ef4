//! What an operator must know about: conditions that stand, each said once when it begins (a log line at error level, a
//! gauge) and once when it ends. Whoever finds conditions hands over all that stand now; what is new, still there or
//! over is found here, in one place. `telling` makes events of them.
//!
//! What stands is not kept in the database: it follows from what is, so a restart finds it again. What was told is.

mod telling;

pub use paidup_lifecycle::alert::AlertKind;

use paidup_lifecycle::alert::SubjectId;
use paidup_lifecycle::ids::{DestinationId, SourceId};
use paidup_lifecycle::time::Timestamp;
use parking_lot::Mutex;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::collections::HashMap;
use telling::Telling;

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
    standing: Mutex<HashMap<SubjectId, Vec<Alert>>>,
    gauge: Family<Labels, Gauge>,
    source_gauge: Family<SourceLabels, Gauge>,
    /// When destinations were looked at last.
    looked_at: Mutex<Option<Timestamp>>,
    /// What was told; `None`: not read yet. Held while something is told.
    telling: tokio::sync::Mutex<Option<Telling>>,
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
    pub fn stand_source(&self, id: SourceId, found: Vec<Alert>) {
        self.stand_about(SubjectId::Source(id), found);
    }

    /// Says what stands now about a destination: everything, so what is not named any more is over.
    pub fn stand(&self, id: DestinationId, found: Vec<Alert>) {
        self.stand_about(SubjectId::Destination(id), found);
    }

    /// What stands about a source.
    #[must_use]
    pub fn of_source(&self, id: SourceId) -> Vec<Alert> {
        self.standing.lock().get(&SubjectId::Source(id)).cloned().unwrap_or_default()
    }

    /// The same alerts, each since it began to stand.
    #[must_use]
    pub fn dated(&self, id: DestinationId, mut found: Vec<Alert>) -> Vec<Alert> {
        let standing = self.standing.lock();
        date(standing.get(&SubjectId::Destination(id)).map(Vec::as_slice).unwrap_or_default(), &mut found);
        found
    }

    /// A source is no more.
    pub fn forget_source(&self, id: SourceId) {
        self.standing.lock().remove(&SubjectId::Source(id));
        for kind in AlertKind::ALL {
            self.source_gauge.remove(&SourceLabels { source: id.to_string(), kind: kind.as_str() });
        }
    }

    /// A destination is no more.
    pub fn forget(&self, id: DestinationId) {
        self.standing.lock().remove(&SubjectId::Destination(id));
        for kind in AlertKind::ALL {
            self.gauge.remove(&Labels { destination: id.to_string(), kind: kind.as_str() });
        }
    }

    /// Destinations are looked at now.
    pub(crate) fn look(&self, now: Timestamp) {
        *self.looked_at.lock() = Some(now);
    }

    /// Whether something is older than the last look at the destinations: a clock may be set, and a machine may sleep, so
    /// that what is new is old at once.
    pub(crate) fn was_there_at_the_last_look(&self, since: Timestamp) -> bool {
        self.looked_at.lock().is_some_and(|looked_at| since < looked_at)
    }

    fn stand_about(&self, subject: SubjectId, mut found: Vec<Alert>) {
        let mut standing = self.standing.lock();
        let before = standing.remove(&subject).unwrap_or_default();
        date(&before, &mut found);
        for alert in begun(&before, &found) {
            match subject {
                SubjectId::Destination(id) => {
                    tracing::error!(destination.id = %id, alert = %alert.kind, detail = alert.detail, "operator alert");
                }
                SubjectId::Source(id) => {
                    tracing::error!(source.id = %id, alert = %alert.kind, detail = alert.detail, "operator alert");
                }
            }
        }
        for alert in begun(&found, &before) {
            match subject {
                SubjectId::Destination(id) => {
                    tracing::info!(destination.id = %id, alert = %alert.kind, "operator alert is over");
                }
                SubjectId::Source(id) => tracing::info!(source.id = %id, alert = %alert.kind, "operator alert is over"),
            }
            self.show(subject, alert.kind, 0);
        }
        // All of them: one that was told before a restart is not new, and no gauge knows it yet.
        found.iter().for_each(|alert| self.show(subject, alert.kind, 1));
        if !found.is_empty() {
            standing.insert(subject, found);
        }
    }

    fn show(&self, subject: SubjectId, kind: AlertKind, stands: i64) {
        let kind = kind.as_str();
        match subject {
            SubjectId::Destination(id) => {
                self.gauge.get_or_create(&Labels { destination: id.to_string(), kind }).set(stands);
            }
            SubjectId::Source(id) => {
                self.source_gauge.get_or_create(&SourceLabels { source: id.to_string(), kind }).set(stands);
            }
        }
    }

    /// What was told before a restart stands until somebody has looked: it is not said again.
    fn resume(&self, subject: SubjectId, alert: Alert) {
        let mut standing = self.standing.lock();
        let known = standing.entry(subject).or_default();
        if known.iter().all(|one| one.kind != alert.kind) {
            known.push(alert);
        }
    }

    fn all(&self) -> Vec<(SubjectId, Alert)> {
        let standing = self.standing.lock();
        standing.iter().flat_map(|(id, alerts)| alerts.iter().map(|alert| (*id, alert.clone()))).collect()
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
