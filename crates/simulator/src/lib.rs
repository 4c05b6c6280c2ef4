//! Simulated stores and local stand-ins that answer as the vendors document. Product code of `paidup demo` and
//! `paidup simulate`, and the support crate of the tests.
//!
//! It speaks HTTP only and shares no code with `lifecycle`, `sources` or `destinations`: it writes the stores' formats and
//! reads the hub's by itself, so that a misreading cannot hide on both sides. It never looks into a hub's database.
//!
//! Where to start:
//! - [`simulation::Simulation`]: stores with their customers; `setup`, `run`, `snapshot`, `compare`.
//! - [`standins`]: Discord's webhooks, Intercom, Stripe's API, and a strict receiver.
//! - [`view`]: the live view in a terminal.
//! - [`stores::app_store`]: signing, and the forgeries that a hub must refuse; [`stores::stripe`]: events, and what
//!   Stripe's API shows ([`standins::stripe`]).
//! - [`lives`]: what can happen to a customer, whatever the store; [`truth`]: what is then true.
//!
//! ```no_run
//! # use paidup_simulator::simulation::{Simulation, SimulationOptions, Target};
//! # use paidup_simulator::setup::NewDestination;
//! # use paidup_simulator::standins::receiver::{Receiver, ReceiverOptions};
//! # use std::sync::Arc;
//! # use tokio_util::sync::CancellationToken;
//! # async fn demo() -> Result<(), Box<dyn std::error::Error>> {
//! let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
//! let receiver = Arc::new(Receiver::start(ReceiverOptions::new(secret)).await?);
//! let simulation = Simulation::new(SimulationOptions::default())?;
//! let destinations = [NewDestination::webhook("receiver", &receiver.url(), secret)];
//! let setup = simulation.setup("http://127.0.0.1:8484", "admin key", &destinations).await?;
//! let target = Target::of(&setup, Some(Arc::clone(&receiver)));
//! let summary = simulation.run(&target, &CancellationToken::new()).await;
//! let comparison = simulation.compare("http://127.0.0.1:8484", "admin key", Some(&receiver)).await?;
//! assert!(summary.counters.given_up == 0 && comparison.is_clean());
//! # Ok(()) }
//! ```

pub mod calendar;
pub mod catalogue;
pub mod chance;
pub mod compare;
pub mod edge;
pub mod hub;
pub mod lives;
pub mod population;
pub mod reconcile;
pub mod rsa;
pub mod setup;
pub mod simulation;
pub mod standins;
pub mod stores;
pub mod traffic;
pub mod truth;
pub mod view;
