//! Sources of every kind, opened with keys of our own, and requests signed as their stores sign them.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::HeaderMap;
use paidup_lifecycle::ids::SourceId;
use paidup_lifecycle::time::Timestamp;
use paidup_sources::{Keys, RawRequest, Source, Upstreams, definition};
use rcgen::{BasicConstraints, CertificateParams, CustomExtension, DnType, IsCa, Issuer, KeyUsagePurpose};
use ring::hmac;
use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use serde_json::value::to_raw_value;
use serde_json::{Value, json};
use std::sync::OnceLock;

/// When everything is signed and received: 2026-09-21, later than all samples.
pub(crate) const NOW: Timestamp = Timestamp::from_millis_clamped(1_790_000_000_000);

/// What each of these is for is said where it is used: all are made for tests, and guard nothing.
const SECRET: &str = "a-secret-of-the-fuzz-targets";
const AUTHORIZATION: &str = "Bearer a-long-random-text";
const AUDIENCE: &str = "https://hub.example.com/ingest/src_1";
const SENDER: &str = "push@example.iam.gserviceaccount.com";
const KID: &str = "key-1";
const TOPIC: &str = "arn:aws:sns:us-east-1:123456789012:rtn-test";
const CERTIFICATE_URL: &str = "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-0123456789abcdef.pem";
const GOOGLE: &str = include_str!("../../../crates/sources/src/play/tests/google.pem");
const ACCOUNT: &str = include_str!("../../../crates/sources/src/play/tests/other.pem");
const SNS: &str = include_str!("../../../crates/sources/src/amazon/tests/sns_test_key.pem");
const IN_ORDER: &str = "the keys of the tests are in order";

/// A kind of source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    AppStore,
    Play,
    Amazon,
    Stripe,
    Discord,
    Revenuecat,
    Purchasely,
    Generic,
}

/// Everything that a target needs, made once.
pub(crate) struct Shop {
    apple: Apple,
    google: RsaKeyPair,
    sns: RsaKeyPair,
    discord: Ed25519KeyPair,
    /// Google's token: it signs nothing of the body.
    token: String,
    keys: Keys,
    /// Each kind with as few and with as many settings as it takes.
    sources: Vec<[Box<dyn Source>; 2]>,
}

/// A certificate chain like Apple's, and the leaf's key.
struct Apple {
    root_pem: String,
    header: String,
    leaf: EcdsaKeyPair,
}

fn der(pem: &str) -> Vec<u8> {
    let begins = pem.find("-----BEGIN").expect(IN_ORDER);
    let text: String = pem[begins..].lines().filter(|line| !line.starts_with('-')).collect();
    STANDARD.decode(text).expect(IN_ORDER)
}

fn rsa(key: &RsaKeyPair, signed: &[u8]) -> Vec<u8> {
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed, &mut signature).expect(IN_ORDER);
    signature
}

impl Apple {
    fn new() -> Apple {
        let key = || rcgen::KeyPair::generate().expect(IN_ORDER);
        let params = |name: &str, is_ca: bool, mark: Option<&[u64]>| {
            let mut params = CertificateParams::default();
            params.distinguished_name.push(DnType::CommonName, name);
            params.not_before = rcgen::date_time_ymd(2014, 1, 1);
            params.not_after = rcgen::date_time_ymd(2039, 1, 1);
            params.is_ca = if is_ca { IsCa::Ca(BasicConstraints::Unconstrained) } else { IsCa::ExplicitNoCa };
            params.key_usages =
                vec![if is_ca { KeyUsagePurpose::KeyCertSign } else { KeyUsagePurpose::DigitalSignature }];
            params.custom_extensions.extend(mark.map(|mark| CustomExtension::from_oid_content(mark, vec![5, 0])));
            params
        };
        let (root_key, intermediate_key, leaf_key) = (key(), key(), key());
        let root_params = params("Root", true, None);
        let root = root_params.self_signed(&root_key).expect(IN_ORDER);
        let root_issuer = Issuer::new(root_params, root_key);
        let intermediate_params = params("Intermediate", true, Some(&[1, 2, 840, 113_635, 100, 6, 2, 1]));
        let intermediate = intermediate_params.signed_by(&intermediate_key, &root_issuer).expect(IN_ORDER);
        let issuer = Issuer::new(intermediate_params, intermediate_key);
        let leaf_params = params("Leaf", false, Some(&[1, 2, 840, 113_635, 100, 6, 11, 1]));
        let leaf = leaf_params.signed_by(&leaf_key, &issuer).expect(IN_ORDER);
        let x5c: Vec<String> = [leaf.der(), intermediate.der(), root.der()].map(|der| STANDARD.encode(der)).into();
        let pkcs8 = leaf_key.serialize_der();
        Apple {
            root_pem: root.pem(),
            header: URL_SAFE_NO_PAD.encode(json!({"alg": "ES256", "x5c": x5c}).to_string()),
            leaf: EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &pkcs8, &SystemRandom::new())
                .expect(IN_ORDER),
        }
    }

    fn sign(&self, payload: &[u8]) -> String {
        let input = format!("{}.{}", self.header, URL_SAFE_NO_PAD.encode(payload));
        let signature = self.leaf.sign(&SystemRandom::new(), input.as_bytes()).expect(IN_ORDER);
        format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// Where stores would be asked. Nothing that is read may lead elsewhere.
pub(crate) fn upstreams() -> Upstreams {
    Upstreams {
        stripe_api: "https://stripe.test".to_owned(),
        play_api: "https://play.test".to_owned(),
        google_token: "https://oauth2.test/token".to_owned(),
        google_keys: "https://oauth2.test/certs".to_owned(),
        appstore_api: Some("https://appstore.test".to_owned()),
        amazon_rvs: "https://rvs.test".to_owned(),
        amazon_sns: None,
        discord_api: "https://discord.test/api/v10".to_owned(),
    }
}

/// Whether a request may lead there.
pub(crate) fn is_upstream(uri: &http::Uri) -> bool {
    let host = uri.host().unwrap_or_default();
    let is_sns = host.starts_with("sns.") && (host.ends_with(".amazonaws.com") || host.ends_with(".amazonaws.com.cn"));
    let ours = ["stripe.test", "play.test", "oauth2.test", "appstore.test", "rvs.test", "discord.test"];
    uri.scheme_str() == Some("https") && uri.port().is_none() && (ours.contains(&host) || is_sns)
}

impl Shop {
    /// The one.
    pub(crate) fn get() -> &'static Shop {
        static SHOP: OnceLock<Shop> = OnceLock::new();
        SHOP.get_or_init(Shop::new)
    }

    fn new() -> Shop {
        let apple = Apple::new();
        let google = RsaKeyPair::from_pkcs8(&der(GOOGLE)).expect(IN_ORDER);
        let sns = RsaKeyPair::from_pkcs8(&der(SNS)).expect(IN_ORDER);
        let discord = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect(IN_ORDER);
        let public = PublicKeyComponents::<Vec<u8>>::from(google.public());
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let set = json!({"keys": [{"kty": "RSA", "kid": KID, "alg": "RS256", "use": "sig",
            "n": encode(&public.n), "e": encode(&public.e)}]});
        let mut certificate = CertificateParams::new(vec!["sns.amazonaws.com".to_owned()]).expect(IN_ORDER);
        certificate.not_before = rcgen::date_time_ymd(2020, 1, 1);
        certificate.not_after = rcgen::date_time_ymd(2035, 1, 1);
        let begins = SNS.find("-----BEGIN").expect(IN_ORDER);
        let certificate_key = rcgen::KeyPair::from_pem(&SNS[begins..]).expect(IN_ORDER);
        let certificate = certificate.self_signed(&certificate_key).expect(IN_ORDER).pem();
        let keys =
            [(upstreams().google_keys, set.to_string().into()), (CERTIFICATE_URL.to_owned(), certificate.into())];
        let header = encode(json!({"alg": "RS256", "kid": KID, "typ": "JWT"}).to_string().as_bytes());
        let seconds = NOW.as_seconds();
        let claims = json!({"iss": "https://accounts.google.com", "aud": AUDIENCE, "sub": "1", "email": SENDER,
            "email_verified": true, "iat": seconds - 10, "exp": seconds + 3590});
        let input = format!("{header}.{}", encode(claims.to_string().as_bytes()));
        let token = format!("{input}.{}", encode(&rsa(&google, input.as_bytes())));
        let mut shop = Shop { apple, google, sns, discord, token, keys: Keys(keys.into()), sources: Vec::new() };
        shop.sources = (0..8).map(|place| shop.open(Kind::of(place))).collect();
        shop
    }

    fn open(&self, kind: Kind) -> [Box<dyn Source>; 2] {
        let account = json!({"type": "service_account", "client_email": "api@example.iam.gserviceaccount.com",
            "private_key": &ACCOUNT[ACCOUNT.find("-----BEGIN").expect(IN_ORDER)..], "private_key_id": "k",
            "token_uri": "https://oauth2.test/token"});
        let apple_key = rcgen::KeyPair::generate().expect(IN_ORDER).serialize_pem();
        let (mut settings, more) = match kind {
            Kind::AppStore => (
                json!({"bundle_id": "com.example.app", "app_apple_id": 1_234_567_890,
                    "root_certificates": [self.apple.root_pem]}),
                json!({"api": {"issuer_id": "i", "key_id": "k", "private_key": apple_key},
                    "consumption": {"consent": true}}),
            ),
            Kind::Play => (
                json!({"package_name": "com.example.app", "audience": AUDIENCE, "service_account_email": SENDER}),
                json!({"credentials": account, "acknowledge": true, "subscription": null}),
            ),
            Kind::Amazon => (json!({"topic_arn": TOPIC}), json!({"shared_secret": SECRET})),
            Kind::Stripe => (json!({"signing_secret": SECRET}), json!({"api_key": "sk_test_1"})),
            Kind::Discord => (
                json!({"application_id": "1100000000000000001",
                    "public_key": hex::encode(self.discord.public_key().as_ref())}),
                json!({"bot_token": "bot-token"}),
            ),
            Kind::Revenuecat => (json!({"authorization": AUTHORIZATION}), json!({"hmac_secret": SECRET})),
            Kind::Purchasely => (json!({"secret": SECRET}), json!({"transactions": false})),
            Kind::Generic => (json!({}), json!({})),
        };
        let opened = |settings: &Value| {
            let raw = to_raw_value(settings).expect("settings are JSON");
            let open = definition(kind.word()).expect("a kind of the product").open;
            open(SourceId([7; 16]), &raw, &upstreams()).unwrap_or_else(|error| panic!("{}: {error}", kind.word()))
        };
        let few = opened(&settings);
        let all = settings.as_object_mut().expect("settings are an object");
        all.extend(more.as_object().expect("settings are an object").clone());
        [few, opened(&settings)]
    }

    /// A source of that kind: with as few or as many settings as it takes.
    pub(crate) fn source(&self, kind: Kind, with_all: bool) -> &dyn Source {
        &*self.sources[kind as usize][usize::from(with_all)]
    }

    /// What had to be fetched for its proof.
    pub(crate) fn keys(&self) -> &Keys {
        &self.keys
    }

    /// A request that carries this body, signed as the store signs. The App Store's body is what Apple signs: objects in it
    /// that Apple signs too are signed first. Amazon's is the message in the envelope, Google's the notification.
    pub(crate) fn signed(&self, kind: Kind, body: &[u8]) -> RawRequest {
        let mut headers = HeaderMap::new();
        let mut set = |name: &'static str, value: String| {
            headers.insert(name, value.parse().expect("our signatures are ASCII"));
        };
        let seconds = NOW.as_seconds().to_string();
        let tag = |parts: &[&[u8]]| hex::encode(hmac::sign(&hmac_key(), &parts.concat()));
        let body = match kind {
            Kind::AppStore => json!({"signedPayload": self.sign_within(body)}).to_string().into(),
            Kind::Play => {
                set("authorization", format!("Bearer {}", self.token));
                let message = json!({"data": STANDARD.encode(body), "messageId": "1",
                    "publishTime": "2026-01-01T00:00:00Z", "attributes": {}});
                json!({"message": message, "subscription": "projects/p/subscriptions/s"}).to_string().into()
            }
            Kind::Amazon => self.envelope(&String::from_utf8_lossy(body)).into(),
            Kind::Stripe => {
                set("stripe-signature", format!("t={seconds},v1={}", tag(&[seconds.as_bytes(), b".", body])));
                body.to_vec()
            }
            Kind::Discord => {
                let signature = self.discord.sign(&[seconds.as_bytes(), body].concat());
                set("x-signature-ed25519", hex::encode(signature));
                set("x-signature-timestamp", seconds);
                body.to_vec()
            }
            Kind::Revenuecat => {
                set("authorization", AUTHORIZATION.to_owned());
                let signature = format!("t={seconds},v1={}", tag(&[seconds.as_bytes(), b".", body]));
                set("x-revenuecat-webhook-signature", signature);
                body.to_vec()
            }
            Kind::Purchasely => {
                set("x-purchasely-request-signature", tag(&[seconds.as_bytes(), body]));
                set("x-purchasely-timestamp", seconds);
                body.to_vec()
            }
            Kind::Generic => body.to_vec(),
        };
        RawRequest { headers, body: Bytes::from(body) }
    }

    /// An envelope of SNS around a message, published now.
    fn envelope(&self, message: &str) -> String {
        let fields = [("Message", message), ("MessageId", "id-1"), ("Timestamp", "2026-09-21T14:13:20.000Z")];
        let text: String = fields.iter().chain(&[("TopicArn", TOPIC), ("Type", "Notification")]).fold(
            String::new(),
            |mut text, (name, value)| {
                text.extend([name, "\n", value, "\n"]);
                text
            },
        );
        json!({"Type": "Notification", "MessageId": "id-1", "TopicArn": TOPIC, "Message": message,
            "Timestamp": fields[2].1, "SignatureVersion": "2", "SigningCertURL": CERTIFICATE_URL,
            "Signature": STANDARD.encode(rsa(&self.sns, text.as_bytes()))})
        .to_string()
    }

    /// Signs what Apple signs in a payload, then the payload.
    pub(crate) fn sign_within(&self, payload: &[u8]) -> String {
        match serde_json::from_slice::<Value>(payload) {
            Ok(mut value) => {
                self.sign_parts(&mut value);
                self.apple.sign(value.to_string().as_bytes())
            }
            Err(_) => self.apple.sign(payload),
        }
    }

    /// Puts a signed text in the place of every object, or list of objects, whose name says that it is signed.
    pub(crate) fn sign_parts(&self, value: &mut Value) {
        let sign = |part: &mut Value| {
            if part.is_object() {
                *part = Value::String(self.apple.sign(part.to_string().as_bytes()));
            }
        };
        match value {
            Value::Object(fields) => {
                for (name, field) in fields {
                    self.sign_parts(field);
                    if name.starts_with("signed") {
                        sign(field);
                        field.as_array_mut().into_iter().flatten().for_each(sign);
                    }
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.sign_parts(item)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    /// Google's key signs too whatever a target wants signed as a token.
    pub(crate) fn token_of(&self, header: &[u8], claims: &[u8]) -> String {
        let input = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        format!("{input}.{}", URL_SAFE_NO_PAD.encode(rsa(&self.google, input.as_bytes())))
    }
}

fn hmac_key() -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes())
}

impl Kind {
    const ALL: [Kind; 8] = [
        Kind::AppStore,
        Kind::Play,
        Kind::Amazon,
        Kind::Stripe,
        Kind::Discord,
        Kind::Revenuecat,
        Kind::Purchasely,
        Kind::Generic,
    ];

    fn of(place: usize) -> Kind {
        Kind::ALL[place]
    }

    /// Its name in the product.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Kind::AppStore => "app_store",
            Kind::Play => "play",
            Kind::Amazon => "amazon",
            Kind::Stripe => "stripe",
            Kind::Discord => "discord",
            Kind::Revenuecat => "revenuecat",
            Kind::Purchasely => "purchasely",
            Kind::Generic => "generic",
        }
    }
}
