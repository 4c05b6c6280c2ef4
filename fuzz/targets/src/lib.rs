//! What is fuzzed. A target is a function that takes any bytes and panics when something does not hold that always must:
//! not only that nothing panics, but that what is proven reads again alike, that what is read is bounded, that a forgery
//! is never believed, that facets merge in any order. `fuzz/fuzz_targets` hands them to cargo-fuzz, `tests/replay.rs` runs
//! the corpus through them on any toolchain.
//!
//! Keys are made here or are those of the tests; they guard nothing.

mod forgeries;
mod merging;
pub mod seeds;
mod shop;
mod sources;
mod words;

/// A target: its name, which is also its folder in the corpus, and what it does.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: &[Target] = &[
    ("source_app_store", |data| sources::any(shop::Kind::AppStore, data)),
    ("source_play", |data| sources::any(shop::Kind::Play, data)),
    ("source_amazon", |data| sources::any(shop::Kind::Amazon, data)),
    ("source_stripe", |data| sources::any(shop::Kind::Stripe, data)),
    ("source_discord", |data| sources::any(shop::Kind::Discord, data)),
    ("source_revenuecat", |data| sources::any(shop::Kind::Revenuecat, data)),
    ("source_purchasely", |data| sources::any(shop::Kind::Purchasely, data)),
    ("source_generic", |data| sources::any(shop::Kind::Generic, data)),
    ("proof_app_store", |data| forgeries::any(shop::Kind::AppStore, data)),
    ("proof_play", |data| forgeries::any(shop::Kind::Play, data)),
    ("proof_amazon", |data| forgeries::any(shop::Kind::Amazon, data)),
    ("proof_stripe", |data| forgeries::any(shop::Kind::Stripe, data)),
    ("proof_discord", |data| forgeries::any(shop::Kind::Discord, data)),
    ("proof_revenuecat", |data| forgeries::any(shop::Kind::Revenuecat, data)),
    ("proof_purchasely", |data| forgeries::any(shop::Kind::Purchasely, data)),
    ("words", words::any),
    ("facets", merging::facets),
    ("engine", merging::engine),
];

/// Runs one target.
///
/// # Panics
///
/// When the target finds something, and when there is no such target.
pub fn run(name: &str, data: &[u8]) {
    let target = TARGETS.iter().find(|(known, _)| *known == name);
    let (_, target) = target.unwrap_or_else(|| panic!("there is no target {name}"));
    target(data);
}
