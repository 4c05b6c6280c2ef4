//! A chain of certificates and signatures like Apple's: root (P-384), intermediate (P-384) and leaf (P-256) with Apple's
//! two marker extensions, and JWS in compact form with the chain in `x5c`.
//!
//! Keys are fresh in every run: ECDSA signatures differ from run to run anyway, and no private key has to be kept.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, CustomExtension, DnType, IsCa, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, SignatureAlgorithm, date_time_ymd,
};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use serde::Serialize;

/// Marks the leaf (Apple's "App Store receipt signing").
pub(super) const LEAF_MARKER: &[u64] = &[1, 2, 840, 113_635, 100, 6, 11, 1];
/// Marks the intermediate (Apple's "Worldwide Developer Relations").
pub(super) const INTERMEDIATE_MARKER: &[u64] = &[1, 2, 840, 113_635, 100, 6, 2, 1];
/// What both extensions hold: NULL.
const NULL: [u8; 2] = [5, 0];

/// A key or certificate could not be made, or a payload not be signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// Certificates.
    #[error("a certificate could not be made")]
    Certificate(#[from] rcgen::Error),
    /// The leaf's key.
    #[error("the leaf key was refused: {0}")]
    Key(ring::error::KeyRejected),
    /// A signature.
    #[error("the payload could not be signed")]
    Signature,
    /// JSON.
    #[error("the payload could not be written")]
    Json(#[from] serde_json::Error),
}

/// What is wrong with a chain on purpose. The default is a chain like Apple's.
#[derive(Debug, Clone, Copy)]
pub(super) struct ChainPlan {
    /// First and last year of the leaf.
    pub(super) leaf_years: (i32, i32),
    /// The leaf carries its marker.
    pub(super) leaf_marker: bool,
    /// The intermediate carries its marker.
    pub(super) intermediate_marker: bool,
}

impl Default for ChainPlan {
    fn default() -> Self {
        ChainPlan { leaf_years: (2020, 2060), leaf_marker: true, intermediate_marker: true }
    }
}

type Ca = CertifiedIssuer<'static, KeyPair>;

/// The root and the intermediate with their keys: makes chains.
pub(super) struct Authority {
    root: Ca,
}

impl Authority {
    /// A root of its own.
    pub(super) fn new(name: &str) -> Result<Authority, SignError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384)?;
        let mut params = ca_params(name, (2014, 2069));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Ok(Authority { root: CertifiedIssuer::self_signed(params, key)? })
    }

    /// The root in PEM.
    pub(super) fn root_pem(&self) -> String {
        self.root.pem()
    }

    /// The root in DER.
    pub(super) fn root_der(&self) -> &[u8] {
        self.root.der()
    }

    /// An intermediate and a leaf under the root, and a signer that uses the leaf.
    pub(super) fn signer(&self, plan: ChainPlan) -> Result<Signer, SignError> {
        let key = generate(&PKCS_ECDSA_P384_SHA384)?;
        let mut params = ca_params("Simulated Worldwide Developer Relations", (2020, 2065));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.use_authority_key_identifier_extension = true;
        if plan.intermediate_marker {
            params.custom_extensions.push(CustomExtension::from_oid_content(INTERMEDIATE_MARKER, NULL.to_vec()));
        }
        let intermediate = CertifiedIssuer::signed_by(params, key, &self.root)?;

        let key = generate(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = CertificateParams::default();
        name(&mut params, "Simulated Mac App Store and iTunes Store Receipt Signing");
        params.not_before = date_time_ymd(plan.leaf_years.0, 1, 1);
        params.not_after = date_time_ymd(plan.leaf_years.1, 1, 1);
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        if plan.leaf_marker {
            params.custom_extensions.push(CustomExtension::from_oid_content(LEAF_MARKER, NULL.to_vec()));
        }
        let leaf = params.signed_by(&key, &intermediate)?;
        Signer::new(&key, &[leaf.der(), intermediate.der(), self.root.der()])
    }
}

fn generate(algorithm: &'static SignatureAlgorithm) -> Result<KeyPair, SignError> {
    Ok(KeyPair::generate_for(algorithm)?)
}

fn name(params: &mut CertificateParams, common_name: &str) {
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.distinguished_name.push(DnType::OrganizationName, "Paidup Simulation, not Apple");
    params.distinguished_name.push(DnType::CountryName, "US");
}

fn ca_params(common_name: &str, years: (i32, i32)) -> CertificateParams {
    let mut params = CertificateParams::default();
    name(&mut params, common_name);
    params.not_before = date_time_ymd(years.0, 1, 1);
    params.not_after = date_time_ymd(years.1, 1, 1);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// Signs as the leaf.
pub struct Signer {
    key: EcdsaKeyPair,
    random: SystemRandom,
    /// The JWS header in base64url: the same for every signature, so it is written once.
    header: String,
    x5c: Vec<String>,
}

impl Signer {
    fn new(key: &KeyPair, chain: &[&[u8]]) -> Result<Signer, SignError> {
        let random = SystemRandom::new();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key.serialized_der(), &random)
            .map_err(SignError::Key)?;
        let x5c: Vec<String> = chain.iter().map(|der| STANDARD.encode(der)).collect();
        let header = header("ES256", &x5c);
        Ok(Signer { key, random, header, x5c })
    }

    /// A JWS over the JSON of `payload`.
    pub fn sign(&self, payload: &impl Serialize) -> Result<String, SignError> {
        self.sign_bytes(&self.header, &serde_json::to_vec(payload)?)
    }

    /// A JWS over these bytes with this header, for forgeries.
    pub(super) fn sign_bytes(&self, header: &str, payload: &[u8]) -> Result<String, SignError> {
        let mut jws = String::with_capacity(header.len() + payload.len() * 4 / 3 + 96);
        jws.push_str(header);
        jws.push('.');
        URL_SAFE_NO_PAD.encode_string(payload, &mut jws);
        let signature = self.key.sign(&self.random, jws.as_bytes()).map_err(|_| SignError::Signature)?;
        jws.push('.');
        URL_SAFE_NO_PAD.encode_string(signature.as_ref(), &mut jws);
        Ok(jws)
    }

    /// The chain as it stands in the header: leaf, intermediate, root.
    #[must_use]
    pub fn x5c(&self) -> &[String] {
        &self.x5c
    }

    /// The header of every genuine signature.
    pub(super) fn header(&self) -> &str {
        &self.header
    }
}

/// A JWS header in base64url.
pub(super) fn header(algorithm: &str, x5c: &[String]) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::json!({"alg": algorithm, "x5c": x5c}).to_string())
}
