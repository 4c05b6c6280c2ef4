//! Every target's program: its name says which.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| paidup_fuzz_targets::run(env!("CARGO_BIN_NAME"), data));
