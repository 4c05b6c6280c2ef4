use super::*;
use crate::keys::Scope;

#[tokio::test]
async fn keys_let_in_until_they_are_revoked_or_expire() {
    let test = TestHub::new().await;
    let made = test.hub.create_key("ci", &[Scope::Read], Some(test.clock.now().plus(DAY))).await.unwrap();
    let key = made.key.expose();
    assert!(key.starts_with("pk_"));
    let principal = test.hub.authenticate(key).await.unwrap().unwrap();
    assert!(principal.may(Scope::Read) && !principal.may(Scope::Write) && !principal.may(Scope::Ingest));
    assert!(test.hub.authenticate(&key[1..]).await.unwrap().is_none());
    test.clock.advance(DAY);
    assert!(test.hub.authenticate(key).await.unwrap().is_none(), "expired");
    let other = test.hub.create_key("other", &[Scope::Write], None).await.unwrap();
    assert!(test.hub.authenticate(other.key.expose()).await.unwrap().unwrap().may(Scope::Read));
    test.hub.revoke_key(other.record.id).await.unwrap();
    assert!(test.hub.authenticate(other.key.expose()).await.unwrap().is_none(), "revoked at once");
    assert_eq!(test.hub.revoke_key(other.record.id).await.unwrap_err().status(), 404);
    assert_eq!(test.hub.create_key("none", &[], None).await.err().unwrap().status(), 422);
}

#[tokio::test]
async fn the_admin_key_stands_in_its_file() {
    let test = TestHub::new().await;
    let key = std::fs::read_to_string(test.dir.path().join(crate::secrets::ADMIN_KEY_FILE)).unwrap();
    let admin = test.hub.authenticate(key.trim()).await.unwrap().unwrap();
    assert!(Scope::ALL.iter().all(|scope| admin.may(*scope)));
}
