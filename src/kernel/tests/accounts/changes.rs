use wello_store::{RosterItem, RosterVersion, Subscription};

use super::*;

#[tokio::test]
async fn a_new_password_ends_every_session_but_the_one_that_set_it() {
    let server = Server::start().await;
    let (jid, _) = server.account("user@wello.example").await;
    let own = server.session(&jid, Some(PHONE)).await;
    let other = server.session(&jid, Some(LAPTOP)).await;
    let nameless = server.session(&jid, None).await;
    server.kernel.set_password(&jid, "another", Some(&own)).await.unwrap();
    assert_eq!(ended(&own), None);
    assert_eq!(ended(&other), Some(EndReason::CredentialsChanged));
    assert_eq!(ended(&nameless), Some(EndReason::CredentialsChanged));
    let again = server.session(&jid, Some(LAPTOP)).await;
    assert!(server.kernel.set_password(&jid, "", None).await.is_err());
    assert_eq!(ended(&again), None);
    server.kernel.set_password(&jid, "third", None).await.unwrap();
    assert_eq!(ended(&again), Some(EndReason::CredentialsChanged));
}

#[tokio::test]
async fn a_revoked_client_loses_its_sessions() {
    let server = Server::start().await;
    let (jid, _) = server.account("user@wello.example").await;
    for client in [PHONE, LAPTOP] {
        server.seen(&jid, client).await;
    }
    let phone = server.session(&jid, Some(PHONE)).await;
    let laptop = server.session(&jid, Some(LAPTOP)).await;
    let grant = ClientInfo { grant: Some(PHONE.to_owned()), ..ClientInfo::default() };
    let granted = server.kernel.bind(&jid, &ResourceWish::Any, grant).await.unwrap();
    assert!(server.kernel.revoke_client(&jid, PHONE).await.unwrap());
    assert!(!server.kernel.revoke_client(&jid, PHONE).await.unwrap());
    assert_eq!(ended(&phone), Some(EndReason::CredentialsChanged));
    assert_eq!(ended(&granted), Some(EndReason::CredentialsChanged));
    assert_eq!(ended(&laptop), None);
    assert_eq!(server.clients(&jid).await.len(), 1);
}

#[tokio::test]
async fn a_client_has_one_session() {
    let server = Server::start().await;
    let (jid, _) = server.account("user@wello.example").await;
    let (other, _) = server.account("other@wello.example").await;
    let first = server.session(&jid, Some(PHONE)).await;
    let laptop = server.session(&jid, Some(LAPTOP)).await;
    let nameless = server.session(&jid, None).await;
    let foreign = server.session(&other, Some(PHONE)).await;
    let second = server.session(&jid, Some(PHONE)).await;
    assert_eq!(ended(&first), Some(EndReason::Conflict));
    for session in [&laptop, &nameless, &foreign, &second] {
        assert_eq!(ended(session), None);
    }
}

#[tokio::test]
async fn clients_are_remembered_up_to_a_bound() {
    let server = Server::start().await;
    let (jid, _) = server.account("user@wello.example").await;
    for number in 0..105 {
        server.clock.advance(SECOND);
        server.seen(&jid, &format!("00000000-0000-4000-8000-{number:012x}")).await;
    }
    let clients = server.clients(&jid).await;
    assert_eq!(clients.len(), 100);
    assert!(clients[0].id.ends_with("68") && clients[99].id.ends_with("05"));
}

#[tokio::test]
async fn a_deleted_account_leaves_its_contacts_and_its_sessions() {
    let server = Server::start().await;
    let (jid, _) = server.account("user@wello.example").await;
    let (friend, _) = server.account("friend@wello.example").await;
    let own = server.session(&jid, None).await;
    let other = server.session(&jid, None).await;
    server.kernel.befriend(&jid, &friend).await.unwrap();
    server.kernel.delete_account(&jid, Some(&own)).await.unwrap();
    assert_eq!(ended(&own), None);
    assert_eq!(ended(&other), Some(EndReason::AccountDeleted));
    assert!(!server.kernel.accounts.exists(&jid).await);
    let entry = server.kernel.store.roster.entry(friend.as_str(), jid.as_str()).await.unwrap();
    assert_eq!(entry.item.unwrap().subscription, Subscription::None);
    assert!(server.kernel.delete_account(&jid, None).await.is_err());
    assert!(server.kernel.accounts.create(&jid, PASSWORD, Role::User).await.is_err());
}

#[tokio::test]
async fn friends_are_on_both_rosters_whatever_was_there_before() {
    let server = Server::start().await;
    let (one, _) = server.account("one@wello.example").await;
    let (other, _) = server.account("other@wello.example").await;
    let roster = &server.kernel.store.roster;
    let known = RosterItem {
        jid: other.to_string(),
        name: Some("My other".to_owned()),
        ask: true,
        ..RosterItem::default()
    };
    roster.set(one.as_str(), &known, RosterVersion(0)).await.unwrap();
    server.kernel.befriend(&one, &other).await.unwrap();
    for (account, contact, name) in [(&one, &other, Some("My other")), (&other, &one, None)] {
        let entry = roster.entry(account.as_str(), contact.as_str()).await.unwrap();
        let item = entry.item.unwrap();
        assert_eq!((item.subscription, item.ask), (Subscription::Both, false));
        assert_eq!(item.name.as_deref(), name);
    }
}
