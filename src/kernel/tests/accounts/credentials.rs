use wello_kernel::accounts::LoginError;
use wello_store::Credentials;
use wello_stream::sasl::{ScramHash, ScramKeys};

use super::*;

/// An account as another server exports it: with SHA-1 keys and nothing else.
async fn imported(server: &Server) -> BareJid {
    let (jid, _) = server.account("user@wello.example").await;
    let accounts = &server.kernel.store.accounts;
    let (mut credentials, _) = accounts.credentials(jid.as_str()).await.unwrap().unwrap();
    credentials.password_hash = None;
    credentials.scram.retain(|row| row.mechanism == "SCRAM-SHA-1");
    accounts.set_credentials(jid.as_str(), &credentials).await.unwrap();
    jid
}

async fn stored(server: &Server, jid: &BareJid) -> Credentials {
    server.kernel.store.accounts.credentials(jid.as_str()).await.unwrap().unwrap().0
}

#[tokio::test]
async fn passwords_are_known_in_every_form_that_clients_send() {
    let server = Server::start().await;
    let jid = bare("user@wello.example");
    let accounts = &server.kernel.accounts;
    // Decomposed, with a non-ASCII space: each client prepares it in its own way.
    accounts.create(&jid, "pa\u{308}ss\u{a0}word", Role::User).await.unwrap();
    for form in ["pa\u{308}ss\u{a0}word", "p\u{e4}ss word", "p\u{e4}ss\u{a0}word"] {
        assert!(accounts.check_password(&jid, form, None).await.is_ok(), "{form:?}");
    }
    let wrong = accounts.check_password(&jid, "pass word", None).await;
    assert_eq!(wrong.unwrap_err(), LoginError::Refused);
}

#[tokio::test]
async fn an_imported_account_is_completed_when_its_password_is_shown() {
    let server = Server::start().await;
    let jid = imported(&server).await;
    let accounts = &server.kernel.accounts;
    assert!(accounts.check_password(&jid, "wrong", None).await.is_err());
    assert_eq!(stored(&server, &jid).await.scram.len(), 1);
    let account = accounts.check_password(&jid, PASSWORD, None).await.unwrap();
    let complete = stored(&server, &jid).await;
    assert!(complete.password_hash.is_some() && complete.scram.len() == 3);
    assert_eq!(accounts.check_password(&jid, PASSWORD, None).await, Ok(account));
    let (keys, _) = accounts.scram_keys(&jid, ScramHash::Sha512).await.unwrap().unwrap();
    assert!(keys.verify_password(PASSWORD));
}

#[tokio::test]
async fn clients_add_the_keys_that_are_missing() {
    let server = Server::start().await;
    let jid = imported(&server).await;
    let accounts = &server.kernel.accounts;
    let offered = [ScramHash::Sha512, ScramHash::Sha256];
    assert_eq!(accounts.missing_keys(&jid, &offered).await.unwrap(), offered);
    assert_eq!(accounts.scram_keys(&jid, ScramHash::Sha256).await.unwrap(), None);
    let (_, account) = accounts.scram_keys(&jid, ScramHash::Sha1).await.unwrap().unwrap();
    let keys = ScramKeys::generate(ScramHash::Sha256, PASSWORD, 4096).unwrap();
    let after = accounts.add_keys(&jid, &keys, account.credential_epoch).await.unwrap().unwrap();
    assert_eq!(accounts.missing_keys(&jid, &offered).await.unwrap(), [ScramHash::Sha512]);
    let (found, _) = accounts.scram_keys(&jid, ScramHash::Sha256).await.unwrap().unwrap();
    assert!(found.verify_password(PASSWORD));
    // The keys of a password that is not the account's any more are not taken.
    accounts.set_password(&jid, "another", None).await.unwrap();
    let late = ScramKeys::generate(ScramHash::Sha512, PASSWORD, 4096).unwrap();
    assert_eq!(accounts.add_keys(&jid, &late, after).await.unwrap(), None);
    let (found, _) = accounts.scram_keys(&jid, ScramHash::Sha512).await.unwrap().unwrap();
    assert!(found.verify_password("another"));
}

#[tokio::test]
async fn bad_passwords_change_nothing() {
    let server = Server::start().await;
    let (jid, _) = server.account("user@wello.example").await;
    let accounts = &server.kernel.accounts;
    for bad in ["", "\u{0}", &*"x".repeat(2000)] {
        assert!(accounts.set_password(&jid, bad, None).await.is_err());
    }
    assert!(accounts.check_password(&jid, PASSWORD, None).await.is_ok());
    let nobody = bare("nobody@wello.example");
    assert!(accounts.set_password(&nobody, "x", None).await.is_err());
}
