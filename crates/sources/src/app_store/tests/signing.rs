//! A certificate chain like Apple's, with every part that can be left out left out on demand, and signatures by it.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rcgen::{BasicConstraints, CertificateParams, CustomExtension, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use serde_json::{Value, json};

/// What is odd about a chain.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Oddities {
    pub(super) no_leaf_mark: bool,
    pub(super) no_intermediate_mark: bool,
    pub(super) intermediate_is_no_ca: bool,
    pub(super) leaf_is_ca: bool,
    /// Signed by an intermediate of the same name with another key.
    pub(super) leaf_of_another: bool,
    pub(super) p384_leaf: bool,
    /// The leaf is valid in 2020 only.
    pub(super) old_leaf: bool,
}

/// A root, an intermediate and a leaf that signs.
pub(super) struct Chain {
    pub(super) root_pem: String,
    pub(super) certificates: [Vec<u8>; 3],
    leaf_key: Option<EcdsaKeyPair>,
}

fn params(name: &str, is_ca: bool, mark: Option<&[u64]>) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = rcgen::date_time_ymd(2014, 1, 1);
    params.not_after = rcgen::date_time_ymd(2039, 1, 1);
    if is_ca {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    } else {
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    }
    if let Some(mark) = mark {
        params.custom_extensions = vec![CustomExtension::from_oid_content(mark, vec![5, 0])];
    }
    params
}

impl Chain {
    pub(super) fn new() -> Chain {
        Chain::odd(Oddities::default())
    }

    pub(super) fn odd(odd: Oddities) -> Chain {
        let key = || KeyPair::generate().unwrap();
        let root_key = key();
        let root_params = params("Test Root", true, None);
        let root = root_params.self_signed(&root_key).unwrap();
        let root_issuer = Issuer::new(root_params, root_key);

        let mark: Option<&[u64]> = (!odd.no_intermediate_mark).then_some(&[1, 2, 840, 113_635, 100, 6, 2, 1]);
        let intermediate_key = key();
        let intermediate_params = params("Test Intermediate", !odd.intermediate_is_no_ca, mark);
        let intermediate = intermediate_params.signed_by(&intermediate_key, &root_issuer).unwrap();
        let issuing_key = if odd.leaf_of_another { key() } else { intermediate_key };
        let issuer = Issuer::new(intermediate_params, issuing_key);

        let mark: Option<&[u64]> = (!odd.no_leaf_mark).then_some(&[1, 2, 840, 113_635, 100, 6, 11, 1]);
        let mut leaf_params = params("Test Leaf", odd.leaf_is_ca, mark);
        if odd.old_leaf {
            leaf_params.not_before = rcgen::date_time_ymd(2020, 1, 1);
            leaf_params.not_after = rcgen::date_time_ymd(2021, 1, 1);
        }
        let leaf_key =
            if odd.p384_leaf { KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap() } else { key() };
        let leaf = leaf_params.signed_by(&leaf_key, &issuer).unwrap();
        let pkcs8 = leaf_key.serialize_der();
        Chain {
            root_pem: root.pem(),
            certificates: [leaf.der().to_vec(), intermediate.der().to_vec(), root.der().to_vec()],
            leaf_key: EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &pkcs8, &SystemRandom::new()).ok(),
        }
    }

    /// The certificates as they stand in a header.
    pub(super) fn x5c(&self) -> Vec<String> {
        self.certificates.iter().map(|der| STANDARD.encode(der)).collect()
    }

    pub(super) fn sign(&self, payload: &Value) -> String {
        self.sign_with_header(&json!({"alg": "ES256", "x5c": self.x5c()}), payload)
    }

    pub(super) fn sign_with_header(&self, header: &Value, payload: &Value) -> String {
        self.sign_bytes(header.to_string().as_bytes(), payload.to_string().as_bytes())
    }

    /// A leaf that cannot sign ES256 gives 64 bytes of nothing.
    pub(super) fn sign_bytes(&self, header: &[u8], payload: &[u8]) -> String {
        let input = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
        let signature = match &self.leaf_key {
            Some(key) => key.sign(&SystemRandom::new(), input.as_bytes()).unwrap().as_ref().to_vec(),
            None => vec![1; 64],
        };
        format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// A sample (`payload`, and perhaps `transaction` and `renewal`) as the request that Apple would send.
    pub(super) fn sign_sample(&self, sample: &Value) -> Vec<u8> {
        let mut payload = sample["payload"].clone();
        for (part, name) in [("transaction", "signedTransactionInfo"), ("renewal", "signedRenewalInfo")] {
            if let Some(part) = sample.get(part) {
                payload["data"][name] = Value::String(self.sign(part));
            }
        }
        envelope(&self.sign(&payload))
    }
}

/// The request's body.
pub(super) fn envelope(signed: &str) -> Vec<u8> {
    json!({"signedPayload": signed}).to_string().into_bytes()
}
