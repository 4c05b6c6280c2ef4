//! The engine from outside: stories (`tests/lives`), the table's totality, properties over generated lives, and an
//! exhaustive walk.

// Helpers of tests panic as tests do; clippy knows only functions with #[test].
#![allow(clippy::unwrap_used)]

mod lives;
mod properties;
mod totality;
mod walk;
mod world;
