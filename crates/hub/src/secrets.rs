//! What must not be seen: secrets in memory, credentials at rest, and the two key files.
//!
//! Credentials in settings are sealed one by one (XChaCha20-Poly1305) under the master key; the record's id and the
//! field's name are bound to each, so that a sealed value is worthless in another place. The master key lies in
//! `paidup.key` beside the database (or in `PAIDUP_MASTER_KEY`), the admin key in `paidup.admin-key`. A check value in
//! the database turns a wrong master key into one clear error at start instead of many odd ones later.
//!
//! Not here: who may do what (`keys`), and rotation of the master key.

use crate::clock::Chance;
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use paidup_store::{Store, StoreError};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// What is shown instead of a secret. Sent back unchanged, it means "leave it as it is".
pub const MASK: &str = "********";

/// File of the master key.
pub const MASTER_KEY_FILE: &str = "paidup.key";
/// File of the admin key.
pub const ADMIN_KEY_FILE: &str = "paidup.admin-key";

const NONCE_BYTES: usize = 24;
const SEALED: &str = "$sealed";
const CHECK_NAME: &str = "master_key_check";
const CHECK_TEXT: &[u8] = b"paidup master key check";

/// A value that is not shown: no `Debug`, no `Display`, no `Serialize`.
#[derive(Clone)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    /// Hides it.
    pub const fn new(value: T) -> Secret<T> {
        Secret(value)
    }

    /// The value, where it is used. Never in a message.
    pub const fn expose(&self) -> &T {
        &self.0
    }
}

/// Why a secret cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The database was made under another master key.
    #[error(
        "the master key is not the one that this database was made with; put the right {MASTER_KEY_FILE} beside the database, or set PAIDUP_MASTER_KEY"
    )]
    WrongMasterKey,
    /// The database holds credentials and the key file is gone.
    #[error("{0} is missing and this database was made with a master key; restore the file, or set PAIDUP_MASTER_KEY")]
    MasterKeyGone(PathBuf),
    /// A key file cannot be read or made.
    #[error("{path}: {problem}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        problem: String,
    },
    /// A sealed value does not open: it was changed, or moved to another record.
    #[error("a stored credential cannot be opened: {0}")]
    Broken(&'static str),
    /// The database does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Seals and opens credentials.
pub struct Secrets {
    cipher: XChaCha20Poly1305,
}

impl Secrets {
    /// Under this master key.
    #[must_use]
    pub fn new(master_key: &Secret<[u8; 32]>) -> Secrets {
        Secrets { cipher: XChaCha20Poly1305::new(master_key.expose().into()) }
    }

    /// Finds the master key (settings, else its file, else a new file), and checks that it is the database's.
    pub async fn open(
        given: Option<&Secret<[u8; 32]>>,
        dir: &Path,
        store: &dyn Store,
        chance: &dyn Chance,
    ) -> Result<Secrets, SecretError> {
        let check = store.meta(CHECK_NAME).await?;
        let key = match given {
            Some(key) => key.clone(),
            None => master_key_of_file(&dir.join(MASTER_KEY_FILE), check.is_some(), chance)?,
        };
        let secrets = Secrets::new(&key);
        match check {
            Some(check) => match secrets.unseal(CHECK_NAME, &check) {
                Ok(text) if text == CHECK_TEXT => {}
                Ok(_) | Err(_) => return Err(SecretError::WrongMasterKey),
            },
            None => store.put_meta(CHECK_NAME, secrets.seal(chance, CHECK_NAME, CHECK_TEXT)).await?,
        }
        Ok(secrets)
    }

    /// Seals `plain`; `place` (record id and field) is needed to open it again.
    #[must_use]
    pub fn seal(&self, chance: &dyn Chance, place: &str, plain: &[u8]) -> Vec<u8> {
        let mut nonce = [0; NONCE_BYTES];
        chance.fill(&mut nonce);
        let payload = Payload { msg: plain, aad: place.as_bytes() };
        let sealed = self
            .cipher
            .encrypt(&XNonce::from(nonce), payload)
            .expect("XChaCha20-Poly1305 encrypts whatever is shorter than 256 GiB, and settings are bounded");
        [nonce.as_slice(), &sealed].concat()
    }

    /// The inverse of `seal`.
    pub fn unseal(&self, place: &str, sealed: &[u8]) -> Result<Vec<u8>, SecretError> {
        let (nonce, sealed) =
            sealed.split_first_chunk::<NONCE_BYTES>().ok_or(SecretError::Broken("it is too short"))?;
        let payload = Payload { msg: sealed, aad: place.as_bytes() };
        self.cipher
            .decrypt(&XNonce::from(*nonce), payload)
            .map_err(|_| SecretError::Broken("it was changed, or belongs to another record or master key"))
    }

    /// Settings as they are kept: each value named in `names` (a top-level name, or a JSON pointer) sealed.
    #[must_use]
    pub fn seal_settings(&self, chance: &dyn Chance, record: &str, names: &[&str], settings: &RawValue) -> Vec<u8> {
        let mut value = parse(settings);
        for name in names {
            if let Some(found) = value.pointer_mut(&pointer(name)).filter(|found| !found.is_null()) {
                let sealed = self.seal(chance, &place(record, name), found.to_string().as_bytes());
                *found = Value::Object(Map::from_iter([(SEALED.to_owned(), BASE64.encode(sealed).into())]));
            }
        }
        value.to_string().into_bytes()
    }

    /// The inverse of `seal_settings`.
    pub fn open_settings(&self, record: &str, names: &[&str], kept: &[u8]) -> Result<Box<RawValue>, SecretError> {
        let mut value: Value = serde_json::from_slice(kept).map_err(|_| SecretError::Broken("it is no JSON"))?;
        for name in names {
            let Some(found) = value.pointer_mut(&pointer(name)) else { continue };
            let Some(sealed) = found.get(SEALED).and_then(Value::as_str) else { continue };
            let sealed = BASE64.decode(sealed).map_err(|_| SecretError::Broken("it is no base64"))?;
            let plain = self.unseal(&place(record, name), &sealed)?;
            *found = serde_json::from_slice(&plain).map_err(|_| SecretError::Broken("it is no JSON"))?;
        }
        serde_json::value::to_raw_value(&value).map_err(|_| SecretError::Broken("it is no JSON"))
    }
}

/// Settings as they are shown: each value named in `names` masked. Takes sealed and open settings alike.
#[must_use]
pub fn mask_settings(names: &[&str], settings: &[u8]) -> Value {
    let mut value: Value = serde_json::from_slice(settings).unwrap_or_default();
    for name in names {
        if let Some(found) = value.pointer_mut(&pointer(name)).filter(|found| !found.is_null()) {
            *found = MASK.into();
        }
    }
    value
}

/// New settings with every masked secret replaced by what it was: people send back what they were shown.
#[must_use]
pub fn unmask_settings(names: &[&str], new: &RawValue, old: &RawValue) -> Box<RawValue> {
    let (mut value, old) = (parse(new), parse(old));
    for name in names {
        let Some(found) = value.pointer_mut(&pointer(name)) else { continue };
        if found.as_str() == Some(MASK) {
            *found = old.pointer(&pointer(name)).cloned().unwrap_or_default();
        }
    }
    serde_json::value::to_raw_value(&value).unwrap_or_else(|_| new.to_owned())
}

/// A master key's text form: 64 hexadecimal digits, or any text of at least 32 characters, which is hashed.
pub(crate) fn parse_master_key(text: &str) -> Option<Secret<[u8; 32]>> {
    let text = text.trim();
    let mut key = [0; 32];
    if hex::decode_to_slice(text, &mut key).is_ok() {
        return Some(Secret::new(key));
    }
    let long = text.chars().count() >= 32;
    long.then(|| Secret::new(Sha256::digest([b"paidup master key ", text.as_bytes()].concat()).into()))
}

/// The admin key of settings, else of its file, else a new one in a new file. `true`: the file was made now.
pub fn admin_key(
    given: Option<&Secret<String>>,
    dir: &Path,
    chance: &dyn Chance,
) -> Result<(Secret<String>, bool), SecretError> {
    if let Some(key) = given {
        return Ok((key.clone(), false));
    }
    let path = dir.join(ADMIN_KEY_FILE);
    if let Some(text) = read_private(&path)? {
        let key = text.trim().to_owned();
        if key.chars().count() < 16 {
            return Err(file(&path, "holds fewer than 16 characters; delete it to have a new one made"));
        }
        return Ok((Secret::new(key), false));
    }
    let key = format!("pk_admin_{}", hex::encode(chance.key()));
    write_private(&path, &key)?;
    Ok((Secret::new(key), true))
}

/// The admin key of settings, else of its file: for programs beside the hub.
pub fn existing_admin_key(given: Option<&Secret<String>>, dir: &Path) -> Result<Secret<String>, SecretError> {
    if let Some(key) = given {
        return Ok(key.clone());
    }
    let path = dir.join(ADMIN_KEY_FILE);
    let text = read_private(&path)?.ok_or_else(|| file(&path, "is not there; set PAIDUP_ADMIN_KEY"))?;
    Ok(Secret::new(text.trim().to_owned()))
}

fn master_key_of_file(path: &Path, known: bool, chance: &dyn Chance) -> Result<Secret<[u8; 32]>, SecretError> {
    if let Some(text) = read_private(path)? {
        return parse_master_key(&text)
            .ok_or_else(|| file(path, "holds neither 64 hexadecimal digits nor a text of at least 32 characters"));
    }
    if known {
        return Err(SecretError::MasterKeyGone(path.to_owned()));
    }
    let key = chance.key();
    write_private(path, &hex::encode(key))?;
    Ok(Secret::new(key))
}

fn read_private(path: &Path) -> Result<Option<String>, SecretError> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(file(path, &error.to_string())),
    };
    let mode = std::fs::metadata(path).map_err(|error| file(path, &error.to_string()))?.permissions().mode();
    if mode & 0o077 != 0 {
        tracing::warn!(path = %path.display(), "key file can be read by others; set its mode to 0600");
    }
    Ok(Some(text))
}

fn write_private(path: &Path, text: &str) -> Result<(), SecretError> {
    // `create_new`: of two programs that start at once, one makes the file and the other fails instead of overwriting it.
    let mut out = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| file(path, &error.to_string()))?;
    out.write_all(text.as_bytes())
        .and_then(|()| out.write_all(b"\n"))
        .and_then(|()| out.sync_all())
        .map_err(|error| file(path, &error.to_string()))
}

fn file(path: &Path, problem: &str) -> SecretError {
    SecretError::File { path: path.to_owned(), problem: problem.to_owned() }
}

fn parse(settings: &RawValue) -> Value {
    // A RawValue is valid JSON by construction.
    serde_json::from_str(settings.get()).unwrap_or_default()
}

fn pointer(name: &str) -> String {
    if name.starts_with('/') { name.to_owned() } else { format!("/{name}") }
}

fn place(record: &str, name: &str) -> String {
    format!("{record}{}", pointer(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SeededChance;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    #[test]
    fn settings_are_sealed_bound_to_their_place_and_masked() {
        let chance = SeededChance::new(1);
        let secrets = Secrets::new(&Secret::new([7; 32]));
        let names = ["token", "/api/private_key", "absent"];
        let plain = raw(r#"{"token":"hush","api":{"private_key":"PEM","key_id":"K"},"url":"u"}"#);
        let kept = secrets.seal_settings(&chance, "dst_1", &names, &plain);
        let text = String::from_utf8(kept.clone()).unwrap();
        assert!(!text.contains("hush") && !text.contains("PEM") && text.contains("\"K\""));
        let opened = secrets.open_settings("dst_1", &names, &kept).unwrap();
        assert_eq!(parse(&opened), parse(&plain));
        assert!(secrets.open_settings("dst_2", &names, &kept).is_err(), "another record");
        assert!(Secrets::new(&Secret::new([8; 32])).open_settings("dst_1", &names, &kept).is_err(), "another key");
        let shown = mask_settings(&names, &kept);
        assert_eq!(shown["token"], MASK);
        assert_eq!(shown["api"]["private_key"], MASK);
        let back = raw(&shown.to_string().replace("\"u\"", "\"v\""));
        let merged = parse(&unmask_settings(&names, &back, &opened));
        assert_eq!((merged["token"].as_str(), merged["url"].as_str()), (Some("hush"), Some("v")));
    }

    #[test]
    fn key_files_are_private_and_made_once() {
        let dir = tempfile::tempdir().unwrap();
        let chance = SeededChance::new(1);
        let (first, made) = admin_key(None, dir.path(), &chance).unwrap();
        assert!(made);
        let (second, made) = admin_key(None, dir.path(), &chance).unwrap();
        assert!(!made);
        assert_eq!(first.expose(), second.expose());
        let mode = std::fs::metadata(dir.path().join(ADMIN_KEY_FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let path = dir.path().join(MASTER_KEY_FILE);
        let master = master_key_of_file(&path, false, &chance).unwrap();
        assert_eq!(master_key_of_file(&path, true, &chance).unwrap().expose(), master.expose());
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(master_key_of_file(&path, true, &chance), Err(SecretError::MasterKeyGone(_))));
    }
}
