//! Everything in the corpus, and findings that were mended, through every target: what fuzzing found once stays found,
//! on any toolchain and in seconds. `PAIDUP_FUZZ_ROUNDS` changes each file so many times besides, for machines on which
//! cargo-fuzz is not to be had; each round of a file is the same on every machine.

use paidup_fuzz_targets::{TARGETS, run, seeds};
use std::path::{Path, PathBuf};

/// Changes that tell nothing of what they do: bytes are set, cut out, said twice.
struct Mutations(u64);

impl Mutations {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % below.max(1) as u64).unwrap_or_default()
    }

    fn of(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        for _ in 0..=self.next(4) {
            let (at, length) = (self.next(bytes.len()), 1 + self.next(16));
            let end = bytes.len().min(at + length);
            match self.next(4) {
                0 if !bytes.is_empty() => bytes[at] = b"\0\"\\{}[],:0-9eE.\xff"[self.next(16)],
                1 => drop(bytes.drain(at..end)),
                2 => {
                    let again = bytes[at..end].to_vec();
                    bytes.splice(at..at, again);
                }
                _ if !bytes.is_empty() => bytes[at] ^= 1 << self.next(8),
                _ => {}
            }
        }
        bytes
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let listed = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = listed.map(|file| file.expect("a file").path()).collect();
    files.sort();
    files
}

#[test]
fn every_file_of_the_corpus_holds() {
    let rounds: usize = std::env::var("PAIDUP_FUZZ_ROUNDS").map_or(0, |text| text.parse().expect("a number"));
    let only = std::env::var("PAIDUP_FUZZ_TARGET").ok();
    for (target, _) in TARGETS.iter().filter(|(name, _)| only.as_deref().is_none_or(|only| only == *name)) {
        let files = files(&seeds::corpus().join(target));
        assert!(files.len() >= 5, "{target} begins with nothing");
        for path in files {
            let bytes = std::fs::read(&path).expect("a file");
            let check = |name: &str, bytes: &[u8]| {
                let held = std::panic::catch_unwind(|| run(target, bytes));
                if held.is_err() {
                    let found = std::env::temp_dir().join(format!("paidup-fuzz-{target}-{name}"));
                    std::fs::write(&found, bytes).expect("the finding is kept");
                    panic!("{target} found something with {}, kept as {}", path.display(), found.display());
                }
            };
            check("corpus", &bytes);
            let mut mutations = Mutations(0x9E37_79B9_7F4A_7C15 ^ bytes.len() as u64);
            for round in 0..rounds {
                check(&format!("round-{round}"), &mutations.of(&bytes));
            }
        }
    }
}

#[test]
fn every_target_has_its_program() {
    let manifest = std::fs::read_to_string(seeds::corpus().join("../Cargo.toml")).expect("cargo-fuzz's manifest");
    let programs: Vec<&str> = manifest.lines().filter_map(|line| line.strip_prefix("name = ")).skip(1).collect();
    let targets: Vec<String> = TARGETS.iter().map(|(name, _)| format!("{name:?}")).collect();
    assert_eq!(programs, targets);
}
