use wello_store::{Invite, InviteKind, Redemption, RefreshToken, Role, Rotation, TokenHash};

use crate::fixture::{Database, JULIET, NURSE, ROMEO, at};

fn hash(byte: u8) -> TokenHash {
    TokenHash([byte; 32])
}

fn refresh(byte: u8, family: &str) -> RefreshToken {
    RefreshToken {
        hash: hash(byte),
        family: family.to_owned(),
        account: ROMEO.to_owned(),
        client: Some("app".to_owned()),
        issued: at(0),
        expires: at(100),
    }
}

pub(crate) async fn refresh_tokens_rotate_and_reuse_is_noticed(database: &Database) {
    let tokens = &database.store.refresh_tokens;
    tokens.issue(&refresh(1, "a")).await.unwrap();
    tokens.issue(&refresh(9, "b")).await.unwrap();
    let rotated = tokens.rotate(&hash(1), &hash(2), at(10), at(200)).await.unwrap();
    let expected = RefreshToken { issued: at(10), expires: at(200), ..refresh(2, "a") };
    assert_eq!(rotated, Rotation::Rotated(expected));
    let Rotation::Rotated(_) = tokens.rotate(&hash(2), &hash(3), at(20), at(300)).await.unwrap()
    else {
        panic!("the new token must work")
    };
    let reused = tokens.rotate(&hash(1), &hash(4), at(30), at(300)).await.unwrap();
    assert_eq!(reused, Rotation::Reused { account: ROMEO.to_owned(), family: "a".to_owned() });
    let revoked = tokens.rotate(&hash(3), &hash(5), at(30), at(300)).await.unwrap();
    assert_eq!(revoked, Rotation::Unknown);
    let Rotation::Rotated(_) = tokens.rotate(&hash(9), &hash(10), at(20), at(300)).await.unwrap()
    else {
        panic!("the other family must work")
    };
}

pub(crate) async fn refresh_tokens_are_used_once(database: &Database) {
    let tokens = &database.store.refresh_tokens;
    tokens.issue(&refresh(1, "a")).await.unwrap();
    let (old, one, other) = (hash(1), hash(2), hash(3));
    let (one, other) = tokio::join!(
        tokens.rotate(&old, &one, at(10), at(200)),
        tokens.rotate(&old, &other, at(10), at(200)),
    );
    let answers = [one.unwrap(), other.unwrap()];
    let rotated = answers.iter().filter(|answer| matches!(answer, Rotation::Rotated(_))).count();
    assert_eq!(rotated, 1);
}

pub(crate) async fn refresh_tokens_expire(database: &Database) {
    let tokens = &database.store.refresh_tokens;
    for (byte, family) in [(1, "a"), (2, "b"), (3, "c")] {
        tokens.issue(&refresh(byte, family)).await.unwrap();
    }
    let late = tokens.rotate(&hash(1), &hash(4), at(100), at(300)).await.unwrap();
    assert_eq!(late, Rotation::Expired);
    assert_eq!(tokens.expire(at(100)).await.unwrap(), 0);
    assert_eq!(tokens.revoke_family("a").await.unwrap(), 1);
    assert_eq!(tokens.expire(at(101)).await.unwrap(), 2);
    tokens.issue(&refresh(5, "d")).await.unwrap();
    assert_eq!(tokens.revoke_account(JULIET).await.unwrap(), 0);
    assert_eq!(tokens.revoke_account(ROMEO).await.unwrap(), 1);
}

fn invite(token: &str, uses: u32) -> Invite {
    Invite {
        token: token.to_owned(),
        kind: InviteKind::Account,
        inviter: Some(ROMEO.to_owned()),
        domain: "capulet.example".to_owned(),
        username: None,
        role: Role::Agent,
        created: at(0),
        expires: Some(at(100)),
        uses_left: uses,
        used_by: Vec::new(),
    }
}

pub(crate) async fn invites_are_redeemed(database: &Database) {
    let invites = &database.store.invites;
    assert_eq!(invites.redeem("t", JULIET, at(1)).await.unwrap(), Redemption::Unknown);
    assert!(invites.create(&invite("t", 2)).await.unwrap());
    assert!(!invites.create(&invite("t", 5)).await.unwrap());
    assert_eq!(invites.find("t").await.unwrap(), Some(invite("t", 2)));

    let used = Invite { used_by: vec![JULIET.to_owned()], ..invite("t", 1) };
    let redeemed = Redemption::Redeemed(used.clone());
    assert_eq!(invites.redeem("t", JULIET, at(1)).await.unwrap(), redeemed);
    assert_eq!(invites.redeem("t", JULIET, at(2)).await.unwrap(), redeemed);
    assert_eq!(invites.find("t").await.unwrap(), Some(used));

    let by_both = vec![JULIET.to_owned(), NURSE.to_owned()];
    let used_up = Redemption::Redeemed(Invite { used_by: by_both, ..invite("t", 0) });
    assert_eq!(invites.redeem("t", NURSE, at(3)).await.unwrap(), used_up);
    assert_eq!(invites.redeem("t", ROMEO, at(4)).await.unwrap(), Redemption::Exhausted);
    assert_eq!(invites.redeem("t", NURSE, at(5)).await.unwrap(), used_up);

    assert!(invites.release("t", NURSE).await.unwrap());
    assert!(!invites.release("t", NURSE).await.unwrap());
    assert_eq!(invites.find("t").await.unwrap().unwrap().uses_left, 1);
    assert!(invites.revoke("t").await.unwrap());
    assert!(!invites.revoke("t").await.unwrap());
    assert_eq!(invites.find("t").await.unwrap(), None);
}

pub(crate) async fn invites_are_not_redeemed_too_often(database: &Database) {
    let invites = &database.store.invites;
    invites.create(&invite("t", 3)).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..10 {
        let invites = invites.clone();
        tasks.spawn(async move {
            invites.redeem("t", &format!("u{number}@capulet.example"), at(1)).await.unwrap()
        });
    }
    let answers = tasks.join_all().await;
    let redeemed = answers.iter().filter(|answer| matches!(answer, Redemption::Redeemed(_)));
    assert_eq!(redeemed.count(), 3);
    let invite = invites.find("t").await.unwrap().unwrap();
    assert_eq!((invite.uses_left, invite.used_by.len()), (0, 3));
}

pub(crate) async fn invites_expire_and_are_listed(database: &Database) {
    let invites = &database.store.invites;
    let reserved = Invite { username: Some("juliet".to_owned()), ..invite("old", 1) };
    invites.create(&reserved).await.unwrap();
    let operator =
        Invite { inviter: None, expires: None, created: at(50), ..invite("operator", 1) };
    invites.create(&operator).await.unwrap();
    assert!(invites.reserved("capulet.example", "juliet", at(99)).await.unwrap());
    assert!(!invites.reserved("capulet.example", "juliet", at(100)).await.unwrap());
    assert!(!invites.reserved("capulet.example", "romeo", at(99)).await.unwrap());
    assert_eq!(invites.redeem("old", JULIET, at(100)).await.unwrap(), Redemption::Expired);

    assert_eq!(invites.list(None, 10).await.unwrap(), [operator.clone(), reserved.clone()]);
    assert_eq!(invites.list(None, 1).await.unwrap(), std::slice::from_ref(&operator));
    assert_eq!(invites.list(Some(ROMEO), 10).await.unwrap(), [reserved]);
    assert_eq!(invites.expire(at(101)).await.unwrap(), 1);
    assert_eq!(invites.list(None, 10).await.unwrap(), [operator]);
}
