//! What is kept is the bytes that came, whatever they are; and a notification is small without its certificates.

use super::samples::sample;
use super::signing::Chain;
use crate::Packed;
use crate::app_store::pack::{pack, unpack};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;

/// The goal for a renewal's own part, before compression. A real one is in `reference.rs`.
pub(super) const MAX_REST: usize = 3_500;

#[test]
fn the_chain_is_stored_once_and_the_bytes_come_back() {
    let chain = Chain::new();
    for name in ["did_renew", "one_time_consumable", "test", "external_purchase_token"] {
        let body = chain.sign_sample(&sample(name));
        let packed = pack(&body).unwrap();
        assert_eq!(packed.shared.len(), 1, "{name}");
        assert_eq!(unpack(&packed).unwrap(), body, "{name}");
        assert!(packed.rest.len() < MAX_REST, "{name}: {} bytes of {}", packed.rest.len(), body.len());
        // Two notifications share the part.
        let other = pack(&chain.sign_sample(&sample("expired_voluntary"))).unwrap();
        assert_eq!(other.shared, packed.shared, "{name}");
    }
}

#[test]
fn what_cannot_be_put_together_is_not_packed() {
    let body = String::from_utf8(Chain::new().sign_sample(&sample("did_renew"))).unwrap();
    for (name, body) in [
        ("no JWS", "{}".to_owned()),
        ("a JWS without certificates", "{\"signedPayload\":\"e30.e30.e30\"}".to_owned()),
        ("padding", body.replace("\"}", "=\"}")),
        ("stray bits", body.replace("\"}", "x\"}")),
        ("a fourth segment", body.replace("\"}", ".x\"}")),
    ] {
        if let Some(packed) = pack(body.as_bytes()) {
            assert_eq!(unpack(&packed).as_deref(), Some(body.as_bytes()), "{name}");
        }
    }
    assert!(pack(b"{}").is_none());
}

#[test]
fn rubbish_is_not_unpacked() {
    let packed = pack(&Chain::new().sign_sample(&sample("did_renew"))).unwrap();
    for (name, rest, shared) in [
        ("empty", Vec::new(), packed.shared.clone()),
        ("other version", [vec![9], packed.rest[1..].to_vec()].concat(), packed.shared.clone()),
        ("cut", packed.rest[..packed.rest.len() / 2].to_vec(), packed.shared.clone()),
        ("shared part lost", packed.rest.clone(), Vec::new()),
        ("unknown token", vec![1, 200, 0], Vec::new()),
        ("endless number", vec![1, 0, 255, 255, 255, 255, 255, 255], Vec::new()),
        ("nested too deep", vec![1, 3, 8, 3, 6, 3, 4, 3, 2, 0, 0], Vec::new()),
    ] {
        assert_eq!(unpack(&Packed { rest, shared }), None, "{name}");
    }
}

/// Text made of pieces that look like a JWS.
fn jws_like() -> impl Strategy<Value = Vec<u8>> {
    let encoded = proptest::collection::vec(any::<u8>(), 0..900).prop_map(|bytes| URL_SAFE_NO_PAD.encode(bytes));
    let jws = (encoded.clone(), encoded.clone(), encoded).prop_map(|(a, b, c)| format!("{a}.{b}.{c}"));
    let nested = (jws.clone(), jws.clone(), jws.clone()).prop_map(|(outer, first, second)| {
        let payload = URL_SAFE_NO_PAD.encode(format!("{{\"a\":\"{first}\",\"b\":\"{second}\"}}"));
        let mut parts = outer.split('.');
        format!("{}.{payload}.{}", parts.next().unwrap_or_default(), parts.next_back().unwrap_or_default())
    });
    let piece = prop_oneof![jws, nested, "[ -~]{0,20}"];
    proptest::collection::vec(piece, 0..4).prop_map(|pieces| pieces.join("\"").into_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn packing_loses_nothing(body in prop_oneof![jws_like(), proptest::collection::vec(any::<u8>(), 0..600)]) {
        if let Some(packed) = pack(&body) {
            prop_assert_eq!(unpack(&packed), Some(body));
        }
    }

    #[test]
    fn unpacking_never_panics(
        rest in proptest::collection::vec(any::<u8>(), 0..200),
        shared in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..20), 0..3),
    ) {
        let mut packed = Packed { rest, shared };
        let _ = unpack(&packed);
        packed.rest.insert(0, 1);
        let _ = unpack(&packed);
    }
}
