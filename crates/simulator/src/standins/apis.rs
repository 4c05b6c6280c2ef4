//! The APIs of all stores of a simulation: started together, pointed at by the hub's settings, and failing together.

use crate::edge::Clock;
use crate::simulation::Simulation;
use crate::standins::faults::Faults;
use crate::standins::limits::Limit;
use crate::standins::{amazon, app_store, discord_app, play, stripe};
use crate::stores::StoreKind;
use serde::Serialize;
use std::collections::BTreeMap;

/// How they are started.
#[derive(Debug, Clone, Default)]
pub struct ApisOptions {
    /// Where time comes from.
    pub clock: Clock,
    /// One limit of calls for each instead of the vendor's own.
    pub limit: Option<Limit>,
}

/// The running stand-ins.
#[derive(Debug)]
pub struct Apis {
    /// The App Store Server API.
    pub app_store: app_store::AppStoreApi,
    /// Stripe's API.
    pub stripe: stripe::StripeApi,
    /// Google's tokens, keys and the Play Developer API.
    pub play: play::PlayApi,
    /// Amazon's receipt verification, and the certificates of SNS.
    pub amazon: amazon::AmazonApi,
    /// Discord's entitlements, subscriptions and SKUs.
    pub discord: discord_app::DiscordAppApi,
}

/// What was asked of one of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Asked {
    /// Calls.
    pub calls: u64,
    /// Answered with a success.
    pub answered: u64,
    /// Answered 429.
    pub limited: u64,
    /// Answered with a fault on demand.
    pub faults: u64,
    /// Calls that the vendor would refuse as wrong or for their credentials: a hub must not make them.
    pub wrong: Vec<String>,
}

impl Apis {
    /// Starts all of them over the stores of this simulation.
    pub async fn start(simulation: &Simulation, options: &ApisOptions) -> std::io::Result<Apis> {
        let clock = || options.clock.clone();
        let mut apple = app_store::AppStoreApiOptions { clock: clock(), ..Default::default() };
        let mut stripe = stripe::StripeApiOptions { clock: clock(), ..Default::default() };
        let mut play = play::PlayApiOptions { clock: clock(), ..Default::default() };
        let mut amazon = amazon::AmazonApiOptions { clock: clock(), ..Default::default() };
        let mut discord = discord_app::DiscordAppApiOptions { clock: clock(), ..Default::default() };
        if let Some(limit) = options.limit {
            (apple.limit, stripe.limit, play.limit, amazon.limit) = (limit, limit, limit, limit);
            (play.voided_limit, discord.limit) = (limit, limit);
        }
        Ok(Apis {
            app_store: app_store::AppStoreApi::start(simulation.app_store(), apple).await?,
            stripe: stripe::StripeApi::start(simulation.stripe(), stripe).await?,
            play: play::PlayApi::start(simulation.play(), play).await?,
            amazon: amazon::AmazonApi::start(simulation.amazon(), amazon).await?,
            discord: discord_app::DiscordAppApi::start(simulation.discord(), discord).await?,
        })
    }

    /// The hub's settings that point at them, but for Discord's: its one address is what the hub tells, too
    /// (`PAIDUP_DISCORD_API_URL`, see [`discord_app::DiscordAppApi::router`]).
    #[must_use]
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("PAIDUP_APPSTORE_API_URL", self.app_store.url()),
            ("PAIDUP_STRIPE_API_URL", self.stripe.url()),
            ("PAIDUP_PLAY_API_URL", self.play.url()),
            ("PAIDUP_GOOGLE_OAUTH_URL", self.play.token_url()),
            ("PAIDUP_GOOGLE_KEYS_URL", self.play.keys_url()),
            ("PAIDUP_AMAZON_RVS_URL", self.amazon.url()),
            ("PAIDUP_AMAZON_SNS_URL", self.amazon.url()),
        ]
    }

    /// What goes wrong at the API of this store from now on. Keys, tokens and certificates stay within reach.
    pub fn set_faults(&self, store: StoreKind, faults: Faults) {
        match store {
            StoreKind::AppStore => self.app_store.set_faults(faults),
            StoreKind::Stripe => self.stripe.set_faults(faults),
            StoreKind::Play => self.play.set_faults(play::Faults { api: faults, ..Default::default() }),
            StoreKind::Amazon => self.amazon.set_faults(amazon::Faults { api: faults, ..Default::default() }),
            StoreKind::Discord => self.discord.set_faults(faults),
        }
    }

    /// What was asked of each.
    #[must_use]
    pub fn asked(&self) -> BTreeMap<StoreKind, Asked> {
        StoreKind::ALL.iter().map(|store| (*store, self.asked_of(*store))).collect()
    }

    fn asked_of(&self, store: StoreKind) -> Asked {
        match store {
            StoreKind::AppStore => {
                let report = self.app_store.report();
                let denied = report.unauthorized.into_iter().map(|why| format!("401: {why}"));
                let wrong = denied.chain(report.wrong).collect();
                let (calls, answered) = (report.calls, report.answered + report.missing);
                Asked { calls, answered, limited: report.limited, faults: report.faults, wrong }
            }
            StoreKind::Stripe => {
                let report = self.stripe.report();
                let wrong = denied(report.unauthorized, report.wrong);
                let (calls, answered) = (report.calls, report.answered + report.missing);
                Asked { calls, answered, limited: report.limited, faults: report.faults, wrong }
            }
            StoreKind::Play => {
                let report = self.play.report();
                let wrong = denied(report.unauthorized, report.wrong);
                let (calls, answered) = (report.calls, report.answered + report.missing + report.gone);
                Asked { calls, answered, limited: report.limited, faults: report.faults, wrong }
            }
            StoreKind::Amazon => {
                let report = self.amazon.report();
                let (calls, answered) = (report.calls, report.answered + report.gone);
                Asked { calls, answered, limited: report.limited, faults: report.faults, wrong: report.wrong }
            }
            StoreKind::Discord => {
                let report = self.discord.report();
                let wrong = denied(report.unauthorized, report.wrong);
                let (calls, answered) = (report.calls, report.answered + report.missing);
                Asked { calls, answered, limited: report.limited, faults: report.faults, wrong }
            }
        }
    }
}

fn denied(count: u64, mut wrong: Vec<String>) -> Vec<String> {
    if count > 0 {
        wrong.insert(0, format!("{count} calls with wrong credentials"));
    }
    wrong
}
