use wello_kernel::accounts::{AccountInvite, Registration, RegistrationError};
use wello_store::Subscription;

use super::*;

struct Wish<'a> {
    jid: &'a str,
    invite: Option<&'a str>,
    email: Option<&'a str>,
    from: u8,
}

impl Wish<'_> {
    fn of(jid: &str) -> Wish<'_> {
        Wish { jid, invite: None, email: None, from: 1 }
    }
}

/// The invitation was looked at a moment before.
async fn register(server: &Server, wish: &Wish<'_>) -> Result<Account, RegistrationError> {
    let jid = bare(wish.jid);
    let now = server.kernel.clock.now();
    let registration = Registration {
        jid: &jid,
        password: PASSWORD,
        email: wish.email,
        display_name: None,
        invite: wish.invite.map(|token| (token, now)),
        address: address(wish.from),
    };
    server.kernel.register(&registration).await
}

async fn token(server: &Server, inviter: Option<&BareJid>, username: Option<&str>) -> String {
    let domain = "wello.example";
    let wish = AccountInvite { inviter, domain, username, role: Role::Agent, uses: 1 };
    server.kernel.accounts.invite_account(&wish).await.unwrap().token
}

macro_rules! refused {
    ($result:expr, $error:ident) => {
        match $result {
            Err(RegistrationError::$error) => {}
            other => panic!("{other:?}"),
        }
    };
}

#[tokio::test]
async fn who_may_register_is_the_operators_choice() {
    let wish = Wish::of("new@wello.example");
    let closed = Server::with("registration = 'closed'").await;
    refused!(register(&closed, &wish).await, Closed);
    let by_invitation = Server::with("registration = 'invite'").await;
    refused!(register(&by_invitation, &wish).await, InviteNeeded);
    let open = Server::with("registration = 'open'").await;
    let account = register(&open, &wish).await.unwrap();
    assert_eq!((account.jid().as_str(), account.role), ("new@wello.example", Role::User));
    let jid = bare("new@wello.example");
    assert!(open.kernel.accounts.check_password(&jid, PASSWORD, None).await.is_ok());
}

#[tokio::test]
async fn an_invitation_makes_one_account_and_a_contact() {
    let server = Server::start().await;
    let (inviter, _) = server.account("user@wello.example").await;
    let token = token(&server, Some(&inviter), None).await;
    let wish = Wish { invite: Some(&token), ..Wish::of("new@wello.example") };
    assert_eq!(register(&server, &wish).await.unwrap().role, Role::Agent);
    let roster = &server.kernel.store.roster;
    let entry = roster.entry("user@wello.example", "new@wello.example").await.unwrap();
    assert_eq!(entry.item.unwrap().subscription, Subscription::Both);
    let second = Wish { invite: Some(&token), ..Wish::of("second@wello.example") };
    refused!(register(&server, &second).await, InviteInvalid);
    let guess = Wish { invite: Some("guess"), ..Wish::of("second@wello.example") };
    refused!(register(&server, &guess).await, InviteInvalid);
    assert!(!server.kernel.accounts.exists(&bare("second@wello.example")).await);
}

#[tokio::test]
async fn a_contact_invitation_is_also_good_for_an_account() {
    let server = Server::start().await;
    let (inviter, _) = server.account("user@wello.example").await;
    let token = server.kernel.accounts.invite_contact(&inviter).await.unwrap().token;
    let wish = Wish { invite: Some(&token), ..Wish::of("new@wello.example") };
    assert_eq!(register(&server, &wish).await.unwrap().role, Role::User);
}

#[tokio::test]
async fn an_invitation_survives_an_attempt_that_failed() {
    let server = Server::start().await;
    server.account("user@wello.example").await;
    let token = token(&server, None, None).await;
    let invite = Some(token.as_str());
    refused!(
        register(&server, &Wish { invite, ..Wish::of("user@wello.example") }).await,
        NameTaken
    );
    refused!(register(&server, &Wish { invite, ..Wish::of("new@b.example") }).await, InviteInvalid);
    assert!(register(&server, &Wish { invite, ..Wish::of("new@wello.example") }).await.is_ok());
}

#[tokio::test]
async fn a_name_that_is_kept_is_given_to_its_owner_only() {
    let server = Server::with("registration = 'open'").await;
    let token = token(&server, None, Some("juliet")).await;
    refused!(register(&server, &Wish::of("juliet@wello.example")).await, NameTaken);
    let other = Wish { invite: Some(&token), ..Wish::of("romeo@wello.example") };
    refused!(register(&server, &other).await, InviteInvalid);
    let own = Wish { invite: Some(&token), ..Wish::of("juliet@wello.example") };
    assert!(register(&server, &own).await.is_ok());
}

#[tokio::test]
async fn an_invitation_may_expire_while_the_form_is_filled_in() {
    let server = Server::start().await;
    let token = token(&server, None, None).await;
    let jid = bare("new@wello.example");
    let registration = Registration {
        jid: &jid,
        password: PASSWORD,
        email: None,
        display_name: None,
        invite: Some((&token, server.kernel.clock.now())),
        address: None,
    };
    server.clock.advance(30 * DAY);
    assert!(server.kernel.register(&registration).await.is_ok());
}

#[tokio::test]
async fn names_of_the_dead_and_mail_addresses_are_not_given_twice() {
    let server = Server::with("registration = 'open'").await;
    let (jid, _) = server.account("user@wello.example").await;
    server.kernel.delete_account(&jid, None).await.unwrap();
    refused!(register(&server, &Wish::of("user@wello.example")).await, NameTaken);
    let email = Some("me@mail.example");
    let one = register(&server, &Wish { email, ..Wish::of("one@wello.example") }).await.unwrap();
    assert_eq!(one.email.as_deref(), email);
    let again = Wish { email: Some("Me@Mail.example"), ..Wish::of("two@wello.example") };
    refused!(register(&server, &again).await, EmailTaken);
}

#[tokio::test]
async fn attempts_are_limited_by_address() {
    let server = Server::with("registration = 'open'\nregistrations_per_hour = 2").await;
    assert!(register(&server, &Wish::of("a@wello.example")).await.is_ok());
    // Trying out which names are taken counts, too.
    refused!(register(&server, &Wish::of("a@wello.example")).await, NameTaken);
    refused!(register(&server, &Wish::of("b@wello.example")).await, TooMany);
    assert!(register(&server, &Wish { from: 2, ..Wish::of("b@wello.example") }).await.is_ok());
    server.clock.advance(3600 * SECOND);
    assert!(register(&server, &Wish::of("c@wello.example")).await.is_ok());
}
