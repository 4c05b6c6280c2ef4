//! RSA keys of the simulated vendors: Google signs pushes with RS256, AWS signs notifications with SHA-1 or SHA-256.
//!
//! The keys stand in files beside this one and are published on purpose: making 2048 bits takes seconds, and what they
//! sign opens nothing but simulations. Signing follows RFC 8017 section 8.2; `ring` does it for SHA-256, and for SHA-1,
//! which it only verifies, the power is `num-bigint`'s.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use num_bigint::BigUint;
use ring::rand::SystemRandom;
use ring::rsa::{KeyPair, PublicKeyComponents};
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256};

/// Whose key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// Google, when it signs pushes.
    Google,
    /// The key that Google signs with after it has changed keys.
    GoogleNext,
    /// The service account that asks Google Play: its private key is the hub's to keep.
    ServiceAccount,
    /// Amazon SNS.
    Sns,
    /// Somebody else: what forgeries are signed with.
    Stranger,
}

impl Holder {
    const fn pem(self) -> &'static str {
        match self {
            Holder::Google => include_str!("google.pem"),
            Holder::GoogleNext => include_str!("google_next.pem"),
            Holder::ServiceAccount => include_str!("service_account.pem"),
            Holder::Sns => include_str!("sns.pem"),
            Holder::Stranger => include_str!("stranger.pem"),
        }
    }
}

/// A private key.
pub struct RsaKey {
    pem: &'static str,
    pair: KeyPair,
    numbers: Numbers,
}

/// What SHA-1 signatures are computed with, by the Chinese remainder theorem (RFC 8017 section 5.1.2).
struct Numbers {
    p: BigUint,
    q: BigUint,
    d_p: BigUint,
    d_q: BigUint,
    q_inverse: BigUint,
}

/// `DigestInfo` of SHA-1 up to the digest (RFC 8017 section 9.2, note 1).
const SHA1_PREFIX: [u8; 15] =
    [0x30, 0x21, 0x30, 0x09, 0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02, 0x1a, 0x05, 0x00, 0x04, 0x14];

/// What every holder's file is, and a test opens them all.
const IN_ORDER: &str = "the simulator's own keys are PKCS #8 in PEM";

impl RsaKey {
    /// The key of this holder.
    #[must_use]
    pub fn of(holder: Holder) -> RsaKey {
        let text = holder.pem();
        let begins = text.find("-----BEGIN").expect(IN_ORDER);
        let pem = &text[begins..];
        let base64: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
        let der = STANDARD.decode(base64).expect(IN_ORDER);
        let numbers = integers(&der).expect(IN_ORDER);
        RsaKey { pem, pair: KeyPair::from_pkcs8(&der).expect(IN_ORDER), numbers }
    }

    /// The private key in PEM, PKCS #8.
    #[must_use]
    pub const fn pem(&self) -> &'static str {
        self.pem
    }

    /// Modulus and exponent, big endian without leading zeros.
    #[must_use]
    pub fn public(&self) -> (Vec<u8>, Vec<u8>) {
        let public = PublicKeyComponents::<Vec<u8>>::from(self.pair.public());
        (public.n, public.e)
    }

    /// RSASSA-PKCS1-v1_5 with SHA-256.
    #[must_use]
    pub fn sign_sha256(&self, message: &[u8]) -> Vec<u8> {
        let mut signature = vec![0; self.pair.public().modulus_len()];
        let random = SystemRandom::new();
        self.pair
            .sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
            .expect("a modulus of 2048 bits has room for a digest of SHA-256");
        signature
    }

    /// RSASSA-PKCS1-v1_5 with SHA-1.
    #[must_use]
    pub fn sign_sha1(&self, message: &[u8]) -> Vec<u8> {
        let digest = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, message);
        let length = self.pair.public().modulus_len();
        let filled = length - 3 - SHA1_PREFIX.len() - digest.as_ref().len();
        let padded = [&[0, 1], vec![0xFF; filled].as_slice(), &[0], &SHA1_PREFIX, digest.as_ref()].concat();
        let signature = self.numbers.power(&BigUint::from_bytes_be(&padded)).to_bytes_be();
        [vec![0; length - signature.len()], signature].concat()
    }

    /// Whether this key made the signature, with SHA-256.
    #[must_use]
    pub fn verifies_sha256(&self, message: &[u8], signature: &[u8]) -> bool {
        let (n, e) = self.public();
        PublicKeyComponents { n, e }.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature).is_ok()
    }
}

impl Numbers {
    fn power(&self, message: &BigUint) -> BigUint {
        let (m1, m2) = (message.modpow(&self.d_p, &self.p), message.modpow(&self.d_q, &self.q));
        // m1 - m2 may be negative; m2 < q < 2p for primes of one length, so two p more are enough.
        let h = (&self.q_inverse * (m1 + &self.p + &self.p - &m2)) % &self.p;
        m2 + h * &self.q
    }
}

/// The primes and exponents in a PKCS #8 `PrivateKeyInfo` (RFC 5208) that holds an `RSAPrivateKey` (RFC 8017, A.1.2).
fn integers(pkcs8: &[u8]) -> Option<Numbers> {
    let (info, _) = element(pkcs8)?;
    let (_version, rest) = element(info)?;
    let (_algorithm, rest) = element(rest)?;
    let (private_key, _) = element(rest)?;
    let (mut rest, _) = element(private_key)?;
    let mut next = || {
        let (content, after) = element(rest)?;
        rest = after;
        Some(BigUint::from_bytes_be(content))
    };
    let (_version, _n, _e, _d) = (next()?, next()?, next()?, next()?);
    Some(Numbers { p: next()?, q: next()?, d_p: next()?, d_q: next()?, q_inverse: next()? })
}

/// The content of the first DER element, and what follows it.
fn element(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&first, rest) = der.get(1..)?.split_first()?;
    let (length, rest) = match first {
        0..=0x7F => (usize::from(first), rest),
        _ => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7F))?;
            (bytes.iter().try_fold(0_usize, |all, &byte| all.checked_mul(256)?.checked_add(usize::from(byte)))?, rest)
        }
    };
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::signature::RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY;

    #[test]
    fn every_key_signs_so_that_rings_verification_says_yes() {
        let all = [Holder::Google, Holder::GoogleNext, Holder::ServiceAccount, Holder::Sns, Holder::Stranger];
        for holder in all {
            let key = RsaKey::of(holder);
            let (n, e) = key.public();
            assert_eq!(n.len(), 256, "{holder:?}");
            let signature = key.sign_sha256(b"a message");
            assert!(key.verifies_sha256(b"a message", &signature), "{holder:?}");
            assert!(!key.verifies_sha256(b"another", &signature), "{holder:?}");
            let old = PublicKeyComponents { n, e };
            for message in [b"a message".as_slice(), b"", &[7; 5000]] {
                let signature = key.sign_sha1(message);
                let verified = old.verify(&RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, message, &signature);
                assert!(verified.is_ok(), "{holder:?}");
            }
            assert!(old.verify(&RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, b"x", &key.sign_sha1(b"y")).is_err());
        }
    }
}
