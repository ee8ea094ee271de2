use wello_store::{
    AccountFilter, AccountStatus, Creation, CredentialEpoch, Credentials, NewAccount, Role,
    ScramKeys, StoreError,
};

use crate::fixture::{Database, JULIET, NURSE, ROMEO, at};

pub(crate) fn new(jid: &str) -> NewAccount {
    NewAccount { jid: jid.to_owned(), created: at(0), ..NewAccount::default() }
}

fn keys(mechanism: &str, seed: u8) -> ScramKeys {
    ScramKeys {
        mechanism: mechanism.to_owned(),
        salt: vec![seed; 16],
        iterations: 10_000,
        stored_key: vec![seed, 0, 1],
        server_key: vec![seed, 255],
    }
}

pub(crate) async fn created_found_and_counted(database: &Database) {
    let accounts = &database.store.accounts;
    assert_eq!(accounts.find(ROMEO).await.unwrap(), None);
    let wanted = NewAccount {
        role: Role::Supervisor,
        status: AccountStatus::Inactive,
        display_name: Some("Romeo".to_owned()),
        email: Some("romeo@example.org".to_owned()),
        ..new(ROMEO)
    };
    let Creation::Created(romeo) = accounts.create(&wanted).await.unwrap() else {
        panic!("not created")
    };
    assert_eq!(romeo.jid(), ROMEO);
    assert_eq!((romeo.role, romeo.status), (Role::Supervisor, AccountStatus::Inactive));
    assert_eq!(romeo.display_name.as_deref(), Some("Romeo"));
    assert_eq!(romeo.created, at(0));
    assert_eq!(romeo.last_login, None);
    assert_eq!(accounts.find(ROMEO).await.unwrap(), Some(romeo));
    assert_eq!(accounts.count(&AccountFilter::default()).await.unwrap(), 1);
    let bad = accounts.find("montague.example").await;
    assert!(matches!(bad, Err(StoreError::Address(_))));
}

pub(crate) async fn names_are_unique_and_tombstoned(database: &Database) {
    let accounts = &database.store.accounts;
    let Creation::Created(first) = accounts.create(&new(ROMEO)).await.unwrap() else {
        panic!("not created")
    };
    assert_eq!(accounts.create(&new(ROMEO)).await.unwrap(), Creation::Exists);
    assert!(accounts.delete(ROMEO, at(1)).await.unwrap());
    assert!(!accounts.delete(ROMEO, at(2)).await.unwrap());
    assert_eq!(accounts.find(ROMEO).await.unwrap(), None);
    assert_eq!(accounts.create(&new(ROMEO)).await.unwrap(), Creation::Tombstoned);
    let reuse = NewAccount { reuse: true, ..new(ROMEO) };
    let Creation::Created(second) = accounts.create(&reuse).await.unwrap() else {
        panic!("not created again")
    };
    assert!(second.id > first.id);
    assert_eq!(accounts.create(&new(ROMEO)).await.unwrap(), Creation::Exists);
}

pub(crate) async fn tombstones_are_forgotten(database: &Database) {
    let accounts = &database.store.accounts;
    accounts.create(&new(ROMEO)).await.unwrap();
    accounts.delete(ROMEO, at(10)).await.unwrap();
    let since = |second| NewAccount { tombstones_since: at(second), ..new(ROMEO) };
    assert_eq!(accounts.create(&since(10)).await.unwrap(), Creation::Tombstoned);
    assert!(matches!(accounts.create(&since(11)).await.unwrap(), Creation::Created(_)));
}

pub(crate) async fn names_that_look_alike(database: &Database) {
    let accounts = &database.store.accounts;
    let named =
        |jid: &str, distinct| NewAccount { shape: Some("rorneo".to_owned()), distinct, ..new(jid) };
    let imitator = "rorneo@montague.example";
    assert!(matches!(accounts.create(&named(ROMEO, true)).await.unwrap(), Creation::Created(_)));
    assert_eq!(accounts.create(&named(ROMEO, true)).await.unwrap(), Creation::Exists);
    assert_eq!(accounts.create(&named(imitator, true)).await.unwrap(), Creation::LookAlike);
    let elsewhere = accounts.create(&named("rorneo@elsewhere.example", true)).await.unwrap();
    assert!(matches!(elsewhere, Creation::Created(_)));
    assert!(matches!(
        accounts.create(&named(imitator, false)).await.unwrap(),
        Creation::Created(_)
    ));
    accounts.create(&new(JULIET)).await.unwrap();
    assert_eq!(accounts.shapeless(10).await.unwrap(), [JULIET]);
    assert!(accounts.set_shape(JULIET, "juliet").await.unwrap());
    assert!(!accounts.set_shape(NURSE, "nurse").await.unwrap());
    assert_eq!(accounts.shapeless(10).await.unwrap(), [""; 0]);
}

pub(crate) async fn credentials_are_replaced_and_counted(database: &Database) {
    let accounts = &database.store.accounts;
    assert_eq!(accounts.credentials(ROMEO).await.unwrap(), None);
    let first = Credentials {
        scram: vec![keys("SCRAM-SHA-1", 1), keys("SCRAM-SHA-256", 2)],
        password_hash: Some("$argon2id$1".to_owned()),
    };
    let account = NewAccount { credentials: first.clone(), ..new(ROMEO) };
    accounts.create(&account).await.unwrap();
    accounts.create(&new(JULIET)).await.unwrap();
    let (found, romeo) = accounts.credentials(ROMEO).await.unwrap().unwrap();
    assert_eq!((found, romeo.credential_epoch), (first, CredentialEpoch(1)));
    assert_eq!(Some(romeo), accounts.find(ROMEO).await.unwrap());

    for (mechanism, keys) in [("SCRAM-SHA-256", Some(keys("SCRAM-SHA-256", 2))), ("OTHER", None)] {
        let romeo = accounts.find(ROMEO).await.unwrap().map(|romeo| (keys, romeo));
        assert_eq!(accounts.scram_keys(ROMEO, mechanism).await.unwrap(), romeo);
    }
    assert_eq!(accounts.scram_keys(NURSE, "SCRAM-SHA-256").await.unwrap(), None);

    // Juliet has no keys at all.
    for (mechanism, domains) in [("SCRAM-SHA-1", 0), ("SCRAM-SHA-512", 1)] {
        assert_eq!(accounts.domains_lacking(mechanism).await.unwrap().len(), domains);
    }

    let second = Credentials { scram: vec![keys("SCRAM-SHA-512", 3)], password_hash: None };
    let epoch = accounts.set_credentials(ROMEO, &second).await.unwrap();
    assert_eq!(epoch, Some(CredentialEpoch(2)));
    let (found, romeo) = accounts.credentials(ROMEO).await.unwrap().unwrap();
    assert_eq!((found, romeo.credential_epoch), (second.clone(), CredentialEpoch(2)));
    let romeo = accounts.find(ROMEO).await.unwrap().unwrap();
    assert_eq!(romeo.credential_epoch, CredentialEpoch(2));
    assert_eq!(accounts.set_credentials(NURSE, &second).await.unwrap(), None);
    let (juliet, _) = accounts.credentials(JULIET).await.unwrap().unwrap();
    assert_eq!(juliet, Credentials::default());
}

pub(crate) async fn listed_in_pages(database: &Database) {
    let accounts = &database.store.accounts;
    let mut jids: Vec<_> = (0..7).map(|number| format!("u{number}@b.example")).collect();
    jids.extend(["zoe@a.example".to_owned(), "adam@c.example".to_owned()]);
    for jid in &jids {
        accounts.create(&new(jid)).await.unwrap();
    }
    let mut listed: Vec<String> = Vec::new();
    loop {
        let after = listed.last().map(String::as_str);
        let page = accounts.list(&AccountFilter::default(), after, 4).await.unwrap();
        if page.is_empty() {
            break;
        }
        assert!(page.len() <= 4);
        listed.extend(page.iter().map(wello_store::Account::jid));
    }
    jids.sort_by_key(|jid| {
        let (local, domain) = jid.split_once('@').unwrap();
        (domain.to_owned(), local.to_owned())
    });
    assert_eq!(listed, jids);
    let domain = AccountFilter { domain: Some("b.example".to_owned()), ..Default::default() };
    assert_eq!(accounts.list(&domain, None, 100).await.unwrap().len(), 7);
    assert_eq!(accounts.count(&domain).await.unwrap(), 7);
}

pub(crate) async fn searched(database: &Database) {
    let accounts = &database.store.accounts;
    for (jid, name, role) in [
        (ROMEO, Some("Romeo of 100% Verona"), Role::User),
        (JULIET, None, Role::Admin),
        (NURSE, Some("Angelica"), Role::User),
    ] {
        let display_name = name.map(str::to_owned);
        accounts.create(&NewAccount { display_name, role, ..new(jid) }).await.unwrap();
    }
    let search = async |text: &str, role| {
        let filter =
            AccountFilter { search: Some(text.to_owned()), role, ..AccountFilter::default() };
        let found = accounts.list(&filter, None, 10).await.unwrap();
        assert_eq!(accounts.count(&filter).await.unwrap(), found.len() as u64);
        found.into_iter().map(|account| account.local).collect::<Vec<_>>()
    };
    assert_eq!(search("ULI", None).await, ["juliet"]);
    assert_eq!(search("angel", None).await, ["nurse"]);
    assert_eq!(search("0% v", None).await, ["romeo"]);
    assert_eq!(search("_", None).await, [""; 0]);
    assert_eq!(search("u", None).await, ["juliet", "nurse"]);
    assert_eq!(search("u", Some(Role::Admin)).await, ["juliet"]);
}

pub(crate) async fn changed(database: &Database) {
    let accounts = &database.store.accounts;
    accounts.create(&new(ROMEO)).await.unwrap();
    accounts.create(&new(JULIET)).await.unwrap();
    assert!(accounts.set_role(ROMEO, Role::Agent).await.unwrap());
    assert!(accounts.set_status(ROMEO, AccountStatus::Banned).await.unwrap());
    assert!(accounts.set_profile(ROMEO, Some("R."), None).await.unwrap());
    assert!(accounts.record_login(ROMEO, at(9)).await.unwrap());
    let romeo = accounts.find(ROMEO).await.unwrap().unwrap();
    assert_eq!((romeo.role, romeo.status), (Role::Agent, AccountStatus::Banned));
    assert_eq!((romeo.display_name.as_deref(), romeo.email), (Some("R."), None));
    assert_eq!(romeo.last_login, Some(at(9)));
    let juliet = accounts.find(JULIET).await.unwrap().unwrap();
    assert_eq!((juliet.role, juliet.last_login), (Role::User, None));
    assert!(!accounts.set_role(NURSE, Role::Agent).await.unwrap());
    assert!(!accounts.record_login(NURSE, at(9)).await.unwrap());
    let banned = AccountFilter { status: Some(AccountStatus::Banned), ..Default::default() };
    assert_eq!(accounts.count(&banned).await.unwrap(), 1);
}

pub(crate) async fn found_by_email(database: &Database) {
    let accounts = &database.store.accounts;
    let email = |email: &str| Some(email.to_owned());
    accounts
        .create(&NewAccount { email: email("Romeo@Mail.example"), ..new(ROMEO) })
        .await
        .unwrap();
    accounts.create(&new(JULIET)).await.unwrap();
    let found = async |text: &str| {
        let found = accounts.find_by_email(text).await.unwrap();
        found.into_iter().map(|account| account.local).collect::<Vec<_>>()
    };
    assert_eq!(found("romeo@mail.EXAMPLE").await, ["romeo"]);
    assert_eq!(found("romeo@mail").await, [""; 0]);
    assert_eq!(found("%").await, [""; 0]);
    accounts
        .create(&NewAccount { email: email("romeo@mail.example"), ..new(NURSE) })
        .await
        .unwrap();
    assert_eq!(found("romeo@mail.example").await, ["romeo", "nurse"]);
}
