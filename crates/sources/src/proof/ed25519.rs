//! Signatures of senders that have a key pair (Discord): Ed25519 over the parts, one after another.

use ring::signature::{ED25519, UnparsedPublicKey};

/// Length of a public key, in bytes.
const KEY: usize = 32;
/// Length of a signature, in bytes.
const SIGNATURE: usize = 64;

/// A sender's public key.
#[derive(Debug, Clone)]
pub(crate) struct PublicKey([u8; KEY]);

impl PublicKey {
    /// From its hex; `None`: no key.
    pub(crate) fn from_hex(text: &str) -> Option<PublicKey> {
        hex::decode(text).ok()?.try_into().ok().map(PublicKey)
    }

    /// Whether `hex` is the signature of the parts.
    pub(crate) fn is_signed(&self, parts: &[&[u8]], hex: &str) -> bool {
        let signature = hex::decode(hex).ok().filter(|bytes| bytes.len() == SIGNATURE);
        let key = UnparsedPublicKey::new(&ED25519, self.0);
        signature.is_some_and(|signature| key.verify(&parts.concat(), &signature).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8032, section 7.1, test 2.
    #[test]
    fn a_published_signature_is_taken_and_nothing_near_it() {
        let key = PublicKey::from_hex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c").unwrap();
        let signature = "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
                         085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00";
        assert!(key.is_signed(&[&[0x72]], signature));
        assert!(key.is_signed(&[&[0x72], &[]], signature));
        assert!(!key.is_signed(&[&[0x73]], signature));
        assert!(!key.is_signed(&[&[0x72], &[0]], signature));
        assert!(!key.is_signed(&[&[0x72]], &signature[2..]));
        assert!(!key.is_signed(&[&[0x72]], &signature.replacen('9', "8", 1)));
        assert!(!key.is_signed(&[&[0x72]], ""));
        assert!(PublicKey::from_hex("3d40").is_none() && PublicKey::from_hex("no hex").is_none());
    }
}
