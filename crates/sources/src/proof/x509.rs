//! Certificate chains of three: a leaf that signs, the intermediate that vouches for it, and a root of our own.
//!
//! The root that a sender brings along is never looked at. Revocation is not asked for: this crate sees no network.
//! Apple's rules: <https://developer.apple.com/documentation/appstoreservernotifications/responding-to-app-store-server-notifications>

use paidup_lifecycle::time::Timestamp;
use x509_parser::der_parser::Oid;
use x509_parser::oid_registry::{OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY};
use x509_parser::prelude::{FromDer, X509Certificate};

/// Whom we believe, and the marks that certificates made for this purpose carry.
pub(crate) struct Trust {
    /// Root certificates in DER; each was read by [`check_root`].
    pub(crate) roots: Vec<Vec<u8>>,
    /// The extension that a leaf must have.
    pub(crate) leaf_mark: Oid<'static>,
    /// The extension that an intermediate must have.
    pub(crate) intermediate_mark: Oid<'static>,
}

/// A chain that leads to one of our roots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chain {
    /// The leaf's P-256 key, an uncompressed point of 65 bytes.
    pub(crate) leaf_key: Vec<u8>,
    /// First and last second at which all three certificates are valid.
    valid_seconds: (i64, i64),
}

impl Chain {
    /// Whether all certificates were valid at that moment.
    pub(crate) fn check_time(&self, at: Timestamp) -> Result<(), ChainError> {
        let (first, last) = self.valid_seconds;
        if at.as_seconds() < first {
            return Err(ChainError::NotYetValid);
        }
        if at.as_seconds() > last {
            return Err(ChainError::Expired);
        }
        Ok(())
    }
}

/// Why a chain is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ChainError {
    /// Not a certificate, or not one that can be used so.
    #[error("the certificate chain cannot be read")]
    Unreadable,
    /// The leaf was not issued for this purpose.
    #[error("the signing certificate was not issued for this purpose")]
    LeafMarkMissing,
    /// The intermediate was not issued for this purpose.
    #[error("the intermediate certificate was not issued for this purpose")]
    IntermediateMarkMissing,
    /// The intermediate may not issue certificates.
    #[error("the intermediate certificate may not issue certificates")]
    IntermediateNotCa,
    /// The leaf may issue certificates, so it is none.
    #[error("the signing certificate is an authority's")]
    LeafIsCa,
    /// The leaf's key is not on P-256.
    #[error("the signing certificate's key cannot sign ES256")]
    WrongKey,
    /// The intermediate was issued by none of our roots.
    #[error("the certificate chain does not lead to a root that is trusted here")]
    UntrustedRoot,
    /// The leaf was not issued by the intermediate.
    #[error("the signing certificate was not issued by the intermediate one")]
    Broken,
    /// A certificate was not valid yet.
    #[error("a certificate was not valid yet when the notification was signed")]
    NotYetValid,
    /// A certificate had run out.
    #[error("a certificate had expired when the notification was signed")]
    Expired,
}

impl ChainError {
    /// The constant name of the reason.
    pub(crate) const fn reason(self) -> &'static str {
        match self {
            ChainError::Unreadable => "certificate_unreadable",
            ChainError::LeafMarkMissing => "leaf_oid_missing",
            ChainError::IntermediateMarkMissing => "intermediate_oid_missing",
            ChainError::IntermediateNotCa => "intermediate_not_ca",
            ChainError::LeafIsCa => "leaf_is_ca",
            ChainError::WrongKey => "wrong_key",
            ChainError::UntrustedRoot => "untrusted_root",
            ChainError::Broken => "chain_broken",
            ChainError::NotYetValid => "certificate_not_yet_valid",
            ChainError::Expired => "certificate_expired",
        }
    }
}

/// Follows leaf, intermediate and one of our roots. Times are not checked here: a verified chain is kept and used for
/// notifications of many moments, see [`Chain::check_time`].
pub(crate) fn verify_chain(trust: &Trust, leaf: &[u8], intermediate: &[u8]) -> Result<Chain, ChainError> {
    let leaf = parse(leaf)?;
    let intermediate = parse(intermediate)?;
    check_leaf(&leaf, &trust.leaf_mark)?;
    check_intermediate(&intermediate, &trust.intermediate_mark)?;
    if !issued_by(&leaf, &intermediate) {
        return Err(ChainError::Broken);
    }
    for root in &trust.roots {
        let root = parse(root)?;
        if issued_by(&intermediate, &root) {
            return Ok(Chain {
                leaf_key: leaf.public_key().subject_public_key.data.to_vec(),
                valid_seconds: common_validity(&[&leaf, &intermediate, &root]),
            });
        }
    }
    Err(ChainError::UntrustedRoot)
}

/// Whether these bytes can be a root of ours: one certificate in DER that may issue others.
pub(crate) fn check_root(der: &[u8]) -> Result<(), ChainError> {
    let root = parse(der)?;
    match root.basic_constraints().map_err(|_| ChainError::Unreadable)? {
        Some(constraints) if constraints.value.ca => Ok(()),
        Some(_) | None => Err(ChainError::IntermediateNotCa),
    }
}

fn parse(der: &[u8]) -> Result<X509Certificate<'_>, ChainError> {
    let (rest, certificate) = X509Certificate::from_der(der).map_err(|_| ChainError::Unreadable)?;
    // Bytes behind the certificate would give one chain many spellings.
    if rest.is_empty() { Ok(certificate) } else { Err(ChainError::Unreadable) }
}

fn check_leaf(leaf: &X509Certificate<'_>, mark: &Oid<'_>) -> Result<(), ChainError> {
    if !carries(leaf, mark)? {
        return Err(ChainError::LeafMarkMissing);
    }
    let constraints = leaf.basic_constraints().map_err(|_| ChainError::Unreadable)?;
    if constraints.is_some_and(|constraints| constraints.value.ca) {
        return Err(ChainError::LeafIsCa);
    }
    let usage = leaf.key_usage().map_err(|_| ChainError::Unreadable)?;
    if usage.is_some_and(|usage| !usage.value.digital_signature()) {
        return Err(ChainError::WrongKey);
    }
    let key = leaf.public_key();
    let curve = key.algorithm.parameters.as_ref().and_then(|any| any.as_oid().ok());
    let is_uncompressed_point = key.subject_public_key.data.len() == 65 && key.subject_public_key.data[0] == 4;
    if key.algorithm.algorithm != OID_KEY_TYPE_EC_PUBLIC_KEY || curve != Some(OID_EC_P256) || !is_uncompressed_point {
        return Err(ChainError::WrongKey);
    }
    Ok(())
}

fn check_intermediate(intermediate: &X509Certificate<'_>, mark: &Oid<'_>) -> Result<(), ChainError> {
    if !carries(intermediate, mark)? {
        return Err(ChainError::IntermediateMarkMissing);
    }
    let constraints = intermediate.basic_constraints().map_err(|_| ChainError::Unreadable)?;
    if !constraints.is_some_and(|constraints| constraints.value.ca) {
        return Err(ChainError::IntermediateNotCa);
    }
    let usage = intermediate.key_usage().map_err(|_| ChainError::Unreadable)?;
    if usage.is_some_and(|usage| !usage.value.key_cert_sign()) {
        return Err(ChainError::IntermediateNotCa);
    }
    Ok(())
}

/// Whether the certificate has that extension, exactly once.
fn carries(certificate: &X509Certificate<'_>, mark: &Oid<'_>) -> Result<bool, ChainError> {
    let found = certificate.get_extension_unique(mark).map_err(|_| ChainError::Unreadable)?;
    Ok(found.is_some())
}

/// Both by name and by signature.
fn issued_by(certificate: &X509Certificate<'_>, issuer: &X509Certificate<'_>) -> bool {
    certificate.issuer().as_raw() == issuer.subject().as_raw()
        && certificate.verify_signature(Some(issuer.public_key())).is_ok()
}

fn common_validity(certificates: &[&X509Certificate<'_>]) -> (i64, i64) {
    let mut window = (i64::MIN, i64::MAX);
    for certificate in certificates {
        let validity = certificate.validity();
        window.0 = window.0.max(validity.not_before.timestamp());
        window.1 = window.1.min(validity.not_after.timestamp());
    }
    window
}
