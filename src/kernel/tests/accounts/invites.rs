use wello_kernel::accounts::{AccountInvite, InviteError};

use super::*;

fn wish<'a>(inviter: Option<&'a BareJid>, username: Option<&'a str>) -> AccountInvite<'a> {
    AccountInvite { inviter, domain: "wello.example", username, role: Role::User, uses: 1 }
}

#[tokio::test]
async fn links() {
    let server = Server::start().await;
    let (jid, _) = server.account("user@wello.example").await;
    let accounts = &server.kernel.accounts;
    let link = |invite| accounts.invite_uri(invite).unwrap().to_string();
    let contact = accounts.invite_contact(&jid).await.unwrap();
    assert_eq!(contact.token.len(), 24);
    let expected = format!("xmpp:user@wello.example?roster;preauth={};ibr=y", contact.token);
    assert_eq!(link(&contact), expected);
    let named = accounts.invite_account(&wish(None, Some("juliet"))).await.unwrap();
    let expected = format!("xmpp:juliet@wello.example?register;preauth={}", named.token);
    assert_eq!(link(&named), expected);
    let open = accounts.invite_account(&wish(Some(&jid), None)).await.unwrap();
    assert_eq!(link(&open), format!("xmpp:wello.example?register;preauth={}", open.token));
    let closed = Server::with("registration = 'closed'").await;
    let (jid, _) = closed.account("user@wello.example").await;
    let contact = closed.kernel.accounts.invite_contact(&jid).await.unwrap();
    let link = closed.kernel.accounts.invite_uri(&contact).unwrap().to_string();
    assert!(!link.contains("ibr"));
}

#[tokio::test]
async fn an_invitation_is_for_its_domain_and_its_week() {
    let server = Server::start().await;
    let accounts = &server.kernel.accounts;
    let invite = accounts.invite_account(&wish(None, None)).await.unwrap();
    let valid = async |domain| accounts.registration_invite(&invite.token, domain).await.is_ok();
    assert!(valid("wello.example").await);
    assert!(!valid("b.example").await);
    assert!(accounts.registration_invite("guess", "wello.example").await.is_err());
    server.clock.advance(7 * DAY - 1);
    assert!(valid("wello.example").await);
    server.clock.advance(1);
    assert!(!valid("wello.example").await);
}

#[tokio::test]
async fn a_name_is_kept_for_one() {
    let server = Server::start().await;
    server.account("user@wello.example").await;
    let accounts = &server.kernel.accounts;
    let taken = |result: Result<_, InviteError>| matches!(result, Err(InviteError::NameTaken));
    assert!(taken(accounts.invite_account(&wish(None, Some("user"))).await));
    assert!(taken(accounts.invite_account(&wish(None, Some("not a name"))).await));
    accounts.invite_account(&wish(None, Some("juliet"))).await.unwrap();
    assert!(taken(accounts.invite_account(&wish(None, Some("juliet"))).await));
    server.clock.advance(7 * DAY);
    assert!(accounts.invite_account(&wish(None, Some("juliet"))).await.is_ok());
}

#[tokio::test]
async fn a_contact_invitation_is_for_one_contact_of_its_inviter() {
    let server = Server::start().await;
    let (inviter, _) = server.account("user@wello.example").await;
    let accounts = &server.kernel.accounts;
    let (juliet, nurse) = (bare("juliet@far.example"), bare("nurse@far.example"));
    let token = accounts.invite_contact(&inviter).await.unwrap().token;
    let redeem = async |token: &str, inviter: &BareJid, contact: &BareJid| {
        accounts.redeem_contact(token, inviter, contact).await.unwrap()
    };
    assert!(!redeem(&token, &juliet, &nurse).await);
    assert!(!redeem(&token, &inviter, &inviter).await);
    assert!(!redeem("guess", &inviter, &juliet).await);
    assert!(redeem(&token, &inviter, &juliet).await);
    assert!(!redeem(&token, &inviter, &nurse).await);
    // Sent again, it is as good as before.
    assert!(redeem(&token, &inviter, &juliet).await);
    let account = accounts.invite_account(&wish(Some(&inviter), None)).await.unwrap();
    assert!(!redeem(&account.token, &inviter, &juliet).await);
    let late = accounts.invite_contact(&inviter).await.unwrap().token;
    server.clock.advance(7 * DAY);
    assert!(!redeem(&late, &inviter, &juliet).await);
}

#[tokio::test]
async fn open_invitations_are_bounded() {
    let server = Server::start().await;
    let (inviter, _) = server.account("user@wello.example").await;
    let accounts = &server.kernel.accounts;
    for _ in 0..100 {
        accounts.invite_contact(&inviter).await.unwrap();
    }
    let more = accounts.invite_contact(&inviter).await;
    assert!(matches!(more, Err(InviteError::TooMany)));
    server.clock.advance(7 * DAY);
    assert!(accounts.invite_contact(&inviter).await.is_ok());
}
