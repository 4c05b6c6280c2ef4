//! What goes wrong in a simulation, as options of `paidup demo` and `paidup simulate`: on the way to the hub, with the
//! stores' clocks, and at the stores' APIs. `--seed` decides which notifications it befalls.

use paidup_simulator::standins::faults::Faults;
use paidup_simulator::stores::StoreKind;
use paidup_simulator::traffic::Disorder;
use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

/// Options that name a store besides (`stripe=20`) may be given several times; the value for a store stands over the one
/// for all.
#[derive(clap::Args, Debug, Clone, Default)]
#[command(next_help_heading = "Faults")]
pub(super) struct FaultArguments {
    /// Of 100 notifications, so many never arrive; `stripe=20` for one store.
    #[arg(long, value_name = "[STORE=]PERCENT", value_parser = parse::<Percent>)]
    drop: Vec<Of<Percent>>,
    /// Of 100 notifications, so many are sent twice.
    #[arg(long, visible_alias = "duplicate", value_name = "[STORE=]PERCENT", value_parser = parse::<Percent>)]
    repeat: Vec<Of<Percent>>,
    /// Of 100 notifications, so many change places with the next of their purchase.
    #[arg(long, value_name = "[STORE=]PERCENT", value_parser = parse::<Percent>)]
    reorder: Vec<Of<Percent>>,
    /// Of 100 notifications, so many are accepted but their answer is lost, so that they come again.
    #[arg(long, value_name = "[STORE=]PERCENT", value_parser = parse::<Percent>)]
    lose_answer: Vec<Of<Percent>>,
    /// Of 100 notifications, so many come `--late-by` too late.
    #[arg(long, value_name = "[STORE=]PERCENT", value_parser = parse::<Percent>)]
    late: Vec<Of<Percent>>,
    /// How late, in the customers' time (30 days pass in 6 seconds).
    #[arg(long, value_name = "[STORE=]TIME", value_parser = parse::<Span>, default_value = "1h")]
    late_by: Vec<Of<Span>>,
    /// Each request waits a time of its own before it is made, at most this long, e.g. 200ms.
    #[arg(long, value_name = "[STORE=]TIME", value_parser = parse::<Span>)]
    delay: Vec<Of<Span>>,
    /// Sends no purchase's notifications in order, and mixes those of different purchases.
    #[arg(long)]
    shuffle: bool,
    /// The stores' clocks are ahead by this much, e.g. 30s; -30s: behind. At most 4m, which every proof allows.
    #[arg(long, value_name = "TIME", value_parser = skew, allow_hyphen_values = true, default_value = "0s")]
    skew: i64,
    /// Of 100 calls of a store's API, so many are answered with a 5xx; 100: it is down.
    #[arg(long, value_name = "[STORE=]PERCENT", value_parser = parse::<Percent>)]
    api_down: Vec<Of<Percent>>,
    /// Every answer of a store's API takes this long, e.g. 2s; beyond 20s the hub waits in vain.
    #[arg(long, value_name = "[STORE=]TIME", value_parser = parse::<Span>)]
    api_slow: Vec<Of<Span>>,
}

/// How many notifications of a purchase are shuffled together.
const SHUFFLE_WINDOW: usize = 6;
/// The most that clocks may be apart: Stripe's signatures are good for five minutes.
const MAX_SKEW: Duration = Duration::from_secs(240);

/// A value for all stores, or for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Of<T> {
    store: Option<StoreKind>,
    value: T,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Percent(u64);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Span(Duration);

impl FromStr for Percent {
    type Err = String;

    fn from_str(text: &str) -> Result<Percent, String> {
        let number = text.trim_end_matches('%').parse().ok().filter(|percent| *percent <= 100);
        number.map(Percent).ok_or_else(|| "a number of 0 to 100".to_owned())
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Span, String> {
        span(text).map(Span)
    }
}

/// `200ms`, `30s`, `2m`, `1h`, `3d`; a number alone is seconds.
pub(super) fn span(text: &str) -> Result<Duration, String> {
    let wrong = || "a time such as 200ms, 30s, 2m, 1h or 3d".to_owned();
    let (number, unit) = text.split_at(text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len()));
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let unit = match unit {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wrong()),
    };
    number.checked_mul(unit).map(Duration::from_millis).ok_or_else(wrong)
}

fn skew(text: &str) -> Result<i64, String> {
    let (sign, text) = text.strip_prefix('-').map_or((1, text), |text| (-1, text));
    let span = span(text)?;
    if span > MAX_SKEW {
        return Err("at most 4m".to_owned());
    }
    i64::try_from(span.as_millis()).map(|millis| sign * millis).map_err(|_| "at most 4m".to_owned())
}

fn parse<T: FromStr<Err = String>>(text: &str) -> Result<Of<T>, String> {
    match text.split_once('=') {
        None => Ok(Of { store: None, value: text.parse()? }),
        Some((store, value)) => {
            let store: StoreKind = store.parse().map_err(|unknown| format!("{unknown}"))?;
            Ok(Of { store: Some(store), value: value.parse()? })
        }
    }
}

/// The value for this store; for no store: the one for all.
fn pick<T: Copy + Default>(given: &[Of<T>], store: Option<StoreKind>) -> T {
    let own = given.iter().rev().find(|one| store.is_some() && one.store == store);
    let all = || given.iter().rev().find(|one| one.store.is_none());
    own.or_else(all).map(|one| one.value).unwrap_or_default()
}

impl FaultArguments {
    /// On the way from all stores.
    pub(super) fn disorder(&self) -> Disorder {
        self.disorder_from(None)
    }

    /// On the way from those stores that are named.
    pub(super) fn disorder_of(&self) -> BTreeMap<StoreKind, Disorder> {
        StoreKind::ALL.iter().map(|store| (*store, self.disorder_from(Some(*store)))).collect()
    }

    fn disorder_from(&self, store: Option<StoreKind>) -> Disorder {
        let late_by = pick(&self.late_by, store).0.as_millis();
        Disorder {
            drop_percent: pick(&self.drop, store).0,
            repeat_percent: pick(&self.repeat, store).0,
            swap_percent: pick(&self.reorder, store).0,
            lost_answer_percent: pick(&self.lose_answer, store).0,
            late_percent: pick(&self.late, store).0,
            late_by: i64::try_from(late_by).unwrap_or(i64::MAX),
            delay: pick(&self.delay, store).0,
            shuffle_window: if self.shuffle { SHUFFLE_WINDOW } else { 0 },
        }
    }

    /// How far the stores' clocks are ahead, in milliseconds.
    pub(super) const fn skew_ms(&self) -> i64 {
        self.skew
    }

    /// At the API of this store.
    pub(super) fn api(&self, store: StoreKind) -> Faults {
        let (percent, delay) = (pick(&self.api_down, Some(store)).0, pick(&self.api_slow, Some(store)).0);
        Faults { down: percent == 100, down_percent: percent, delay, ..Faults::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(clap::Parser)]
    struct Program {
        #[command(flatten)]
        faults: FaultArguments,
    }

    fn faults(line: &str) -> Result<FaultArguments, String> {
        let words = std::iter::once("program").chain(line.split_whitespace());
        Program::try_parse_from(words).map(|program| program.faults).map_err(|error| error.to_string())
    }

    #[test]
    fn a_store_by_name_stands_over_all() {
        let given = faults("--drop 20 --drop stripe=5 --duplicate 10% --api-slow stripe=2s --api-down 100").unwrap();
        assert_eq!(given.disorder().drop_percent, 20);
        let by_store = given.disorder_of();
        assert_eq!((by_store[&StoreKind::Stripe].drop_percent, by_store[&StoreKind::AppStore].drop_percent), (5, 20));
        assert_eq!((given.disorder().repeat_percent, given.disorder().late_by), (10, 3_600_000));
        assert_eq!(given.api(StoreKind::Stripe).delay, Duration::from_secs(2));
        assert_eq!(given.api(StoreKind::AppStore).delay, Duration::ZERO);
        assert!(given.api(StoreKind::AppStore).down);
        assert_eq!(faults("").unwrap().disorder(), Disorder { late_by: 3_600_000, ..Disorder::NONE });
    }

    #[test]
    fn clocks_may_be_ahead_and_behind_but_not_far() {
        assert_eq!(faults("--skew 30s").unwrap().skew_ms(), 30_000);
        assert_eq!(faults("--skew -2m").unwrap().skew_ms(), -120_000);
        for wrong in ["--skew 5m", "--drop 101", "--drop nowhere=3", "--delay soon", "--api-slow 3w"] {
            assert!(faults(wrong).is_err(), "{wrong}");
        }
    }
}
