//! Bytes as databases keep them: one byte that names the form, then the bytes. Neutral of the engine.
//!
//! Bodies are JSON that repeats the same words over and over, each too short to learn them from: a dictionary of our
//! own formats (`dictionary_1.zstd`) makes them a third of their size. A dictionary never changes once released, because
//! old rows need it: a better one is another file, another form byte and another arm in `unpack`.

use std::cell::RefCell;
use std::io;
use std::sync::OnceLock;
use zstd::bulk::{Compressor, Decompressor};
use zstd::dict::{DecoderDictionary, EncoderDictionary};
use zstd::zstd_safe::{CParameter, ParamSwitch};

const DICTIONARY_1: &[u8] = include_bytes!("dictionary_1.zstd");

/// How hard to look for what repeats.
#[derive(Clone, Copy)]
pub(crate) enum Effort {
    /// For rows that the writer packs. It looks at every third place only, which costs under a tenth of the size of our
    /// bodies and saves more than half of the looking, for most is what the dictionary has or what no level makes smaller.
    Writer,
    /// For what is packed ahead, is never written again and is the most of the file. Higher levels gain under a tenth on
    /// bodies of 1 to 2 KB, at twice the time.
    Ahead,
}

impl Effort {
    const fn level(self) -> i32 {
        match self {
            Effort::Writer => -3,
            Effort::Ahead => 1,
        }
    }
}

/// The longest that anything unpacks to, so that a damaged length cannot take all memory. Bodies are bounded far below.
const LONGEST: usize = 64 * 1024 * 1024;

/// Shorter bytes are kept plain: what is gained is not worth the time.
const SHORTEST_PACKED: usize = 128;

/// A larger scratch is not kept: one body of megabytes must not hold memory for ever.
const LARGEST_SCRATCH: usize = 64 * 1024;

const PLAIN: u8 = 0;
const ZSTD_1: u8 = 1;

fn encoder_dictionary(effort: Effort) -> &'static EncoderDictionary<'static> {
    static PREPARED: [OnceLock<EncoderDictionary<'static>>; 2] = [OnceLock::new(), OnceLock::new()];
    PREPARED[effort as usize].get_or_init(|| EncoderDictionary::copy(DICTIONARY_1, effort.level()))
}

fn decoder_dictionary() -> &'static DecoderDictionary<'static> {
    static PREPARED: OnceLock<DecoderDictionary<'static>> = OnceLock::new();
    PREPARED.get_or_init(|| DecoderDictionary::copy(DICTIONARY_1))
}

/// Packs and unpacks; one per connection, because its working memory is reused.
pub(crate) struct Packer {
    compressor: RefCell<Compressor<'static>>,
    /// Where the compressor writes: making room anew for the worst case costs more than the copy of what came of it.
    scratch: RefCell<Vec<u8>>,
    decompressor: RefCell<Decompressor<'static>>,
}

impl Packer {
    pub(crate) fn new(effort: Effort) -> io::Result<Packer> {
        let mut compressor = Compressor::with_prepared_dictionary(encoder_dictionary(effort))?;
        // Negative levels leave single letters as they are; ids and attributes consist of them.
        compressor.set_parameter(CParameter::LiteralCompressionMode(ParamSwitch::Enable))?;
        Ok(Packer {
            compressor: RefCell::new(compressor),
            scratch: RefCell::default(),
            decompressor: RefCell::new(Decompressor::with_prepared_dictionary(decoder_dictionary())?),
        })
    }

    /// What is kept for `bytes`: packed, or plain when that is not longer.
    pub(crate) fn pack(&self, bytes: &[u8]) -> Vec<u8> {
        if bytes.len() < SHORTEST_PACKED {
            return with_form(PLAIN, bytes);
        }
        let mut scratch = self.scratch.borrow_mut();
        scratch.clear();
        scratch.reserve(zstd::zstd_safe::compress_bound(bytes.len()));
        let packed = self.compressor.borrow_mut().compress_to_buffer(bytes, &mut *scratch);
        let kept = match packed {
            Ok(length) if length < bytes.len() => with_form(ZSTD_1, &scratch),
            Ok(_) | Err(_) => with_form(PLAIN, bytes),
        };
        if scratch.capacity() > LARGEST_SCRATCH {
            *scratch = Vec::new();
        }
        kept
    }

    /// The exact bytes again; an error says what is wrong with the kept ones.
    pub(crate) fn unpack(&self, kept: &[u8]) -> Result<Vec<u8>, String> {
        match kept.split_first() {
            Some((&PLAIN, bytes)) => Ok(bytes.to_vec()),
            Some((&ZSTD_1, frame)) => {
                let length = match zstd::zstd_safe::get_frame_content_size(frame) {
                    Ok(Some(length)) => usize::try_from(length).unwrap_or(usize::MAX),
                    Ok(None) | Err(_) => return Err("the packed bytes do not begin like packed bytes".to_owned()),
                };
                if length > LONGEST {
                    return Err(format!("the packed bytes claim to be {length} bytes"));
                }
                let mut decompressor = self.decompressor.borrow_mut();
                decompressor.decompress(frame, length).map_err(|error| format!("cannot be unpacked: {error}"))
            }
            Some((&form, _)) => Err(format!("packed in form {form}, which this version does not know")),
            None => Err("no bytes at all".to_owned()),
        }
    }
}

/// Packs on the caller's thread. `None`: it has no packer; then whoever writes packs.
pub(crate) fn ahead(bytes: &[u8]) -> Option<Vec<u8>> {
    thread_local! {
        static PACKER: Option<Packer> = Packer::new(Effort::Ahead).ok();
    }
    PACKER.with(|packer| packer.as_ref().map(|packer| packer.pack(bytes)))
}

fn with_form(form: u8, bytes: &[u8]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(bytes.len() + 1);
    kept.push(form);
    kept.extend_from_slice(bytes);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn damaged_bytes_are_refused_with_a_reason() {
        let packer = Packer::new(Effort::Writer).unwrap();
        let kept = packer.pack(&b"{\"customer\":{\"id\":\"cus_".repeat(20));
        let cases: [(&str, Vec<u8>, &str); 4] = [
            ("nothing", vec![], "no bytes"),
            ("unknown form", vec![9, 1, 2], "form 9"),
            ("cut off", kept[..kept.len() - 3].to_vec(), "cannot be unpacked"),
            ("no frame", vec![ZSTD_1, 0, 0, 0], "do not begin"),
        ];
        for (name, kept, expected) in cases {
            let reason = packer.unpack(&kept).unwrap_err();
            assert!(reason.contains(expected), "{name}: {reason}");
        }
    }

    #[test]
    fn a_released_dictionary_never_changes() {
        // Rows packed with it need it as it is. To better it, add a second one with a form of its own.
        let digest = <sha2::Sha256 as sha2::Digest>::digest(DICTIONARY_1);
        assert_eq!(hex(&digest[..8]), "5bda4df8918a0c69");
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn exact_bytes_come_back(bytes in proptest::collection::vec(any::<u8>(), 0..3000), text in "[a-z\":{},]{0,2000}") {
            for effort in [Effort::Writer, Effort::Ahead] {
                let packer = Packer::new(effort).unwrap();
                for bytes in [bytes.as_slice(), text.as_bytes()] {
                    let kept = packer.pack(bytes);
                    prop_assert!(kept.len() <= bytes.len() + 1);
                    prop_assert_eq!(packer.unpack(&kept).unwrap(), bytes);
                }
            }
        }
    }
}
