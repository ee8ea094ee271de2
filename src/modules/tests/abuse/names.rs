use wello_kernel::accounts::{Registration, RegistrationError};

use super::*;

async fn register(server: &Server, name: &str) -> Result<(), RegistrationError> {
    let registration = Registration {
        jid: &bare(name),
        password: "correct horse",
        email: None,
        display_name: None,
        invite: None,
        address: None,
    };
    server.kernel.register(&registration).await.map(drop)
}

const OPEN: &str = "registration = 'open'";

#[tokio::test]
async fn nobody_registers_a_name_that_looks_like_anothers() {
    let server = Server::with(OPEN).await;
    for imitation in ["rorneo", "r0meo", "ju1iet"] {
        let refused = register(&server, imitation).await;
        assert!(matches!(refused, Err(RegistrationError::LookAlike)), "{imitation}: {refused:?}");
    }
    let mixed = register(&server, "rοmeo").await;
    assert!(matches!(mixed, Err(RegistrationError::Mixed)), "{mixed:?}");
    let same = register(&server, "romeo").await;
    assert!(matches!(same, Err(RegistrationError::NameTaken)), "{same:?}");
    for other in ["paris", "ромео", "мария"] {
        assert!(register(&server, other).await.is_ok(), "{other}");
    }
    let whole = register(&server, "раris").await;
    assert!(whole.is_err(), "of one script, as far as it goes: {whole:?}");
}

#[tokio::test]
async fn the_name_of_a_deleted_account_stays_taken_for_a_while() {
    let server = Server::with(&format!("{OPEN}\ntombstone_days = 180")).await;
    let romeo = bare("romeo");
    server.kernel.delete_account(&romeo, None).await.unwrap();
    let day = Duration::from_secs(24 * 3600);
    server.pass(day * 179);
    let early = register(&server, "romeo").await;
    assert!(matches!(early, Err(RegistrationError::NameTaken)), "{early:?}");
    assert!(server.kernel.accounts.create(&romeo, "correct horse", Role::User).await.is_err());
    server.pass(day * 2);
    assert!(register(&server, "romeo").await.is_ok());
    server.kernel.delete_account(&romeo, None).await.unwrap();
    let again = server.kernel.accounts.create_again(&romeo, "correct horse", Role::User).await;
    assert!(again.is_ok(), "the operator may: {again:?}");
}

/// Enters a room; returns the condition of the refusal.
async fn enter(server: &Server, session: &Arc<Session>, room: &str, nick: &str) -> Option<String> {
    let join = format!(
        "<presence to='{room}@conference.wello.example/{nick}'>\
         <x xmlns='http://jabber.org/protocol/muc'/></presence>"
    );
    let entered = condition(&server.say(session, &join).await);
    let open = format!(
        "<iq type='set' id='o' to='{room}@conference.wello.example'>\
         <query xmlns='http://jabber.org/protocol/muc#owner'>\
         <x xmlns='jabber:x:data' type='submit'/></query></iq>"
    );
    server.say(session, &open).await;
    entered
}

#[tokio::test]
async fn nobody_imitates_whoever_is_in_the_room() {
    let server = Server::with("").await;
    let (romeo, juliet) = (server.session("romeo").await, server.session("juliet").await);
    assert_eq!(enter(&server, &romeo, "ball", "Will").await, None);
    assert_eq!(enter(&server, &juliet, "ball", "WiIl").await.as_deref(), Some("conflict"));
    assert_eq!(enter(&server, &juliet, "ball", "Wіll").await.as_deref(), Some("conflict"));
    assert_eq!(enter(&server, &juliet, "ball", "Juliet").await, None);
    let rename = "<presence to='ball@conference.wello.example/WiIl'/>";
    assert_eq!(condition(&server.say(&juliet, rename).await).as_deref(), Some("conflict"));
    let second = server.session("romeo").await;
    assert_eq!(enter(&server, &second, "ball", "Will").await, None, "another device");
    let leave = "<presence type='unavailable' to='ball@conference.wello.example/Will'/>";
    server.say(&romeo, leave).await;
    server.say(&second, leave).await;
    assert_eq!(condition(&server.say(&juliet, rename).await), None);
}

#[tokio::test]
async fn nobody_makes_a_room_that_looks_like_one_that_is_there() {
    let server = Server::with("").await;
    let (romeo, juliet) = (server.session("romeo").await, server.session("juliet").await);
    assert_eq!(enter(&server, &romeo, "will", "romeo").await, None);
    assert_eq!(enter(&server, &juliet, "wi1l", "juliet").await.as_deref(), Some("conflict"));
    assert_eq!(enter(&server, &juliet, "wіll", "juliet").await.as_deref(), Some("not-acceptable"));
    assert_eq!(enter(&server, &juliet, "garden", "juliet").await, None);
}
