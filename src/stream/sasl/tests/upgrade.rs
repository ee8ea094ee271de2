use super::client::ScramClient;
use super::*;

#[test]
fn task_names() {
    assert_eq!(Upgrade::task_name(ScramHash::Sha1), None);
    for hash in Upgrade::HASHES {
        assert_eq!(Upgrade::hash_of_task(Upgrade::task_name(hash).unwrap()), Some(hash));
    }
    for name in ["UPGR-SCRAM-SHA-1", "SCRAM-SHA-256", "UPGR-SCRAM-SHA-256-PLUS", ""] {
        assert_eq!(Upgrade::hash_of_task(name), None, "{name}");
    }
}

/// Keys from an upgrade serve for a login with the new hash.
#[test]
fn upgraded_keys_work() {
    for hash in Upgrade::HASHES {
        let upgrade = Upgrade::start(hash, 4096).unwrap();
        let salted = hash.salted_password(b"pencil", upgrade.salt(), upgrade.iterations());
        let keys = upgrade.finish(&salted).unwrap();
        assert!(keys.verify_password("pencil"));
        let mut client = ScramClient::new(hash, "user", "pencil");
        let (mut exchange, _) = begin(context(&[scram(hash, false)]), &client.first());
        let step = exchange.handle_answer(Answer::ScramKeys(Some(keys)));
        let done = success(exchange.handle_response(&client.last(&challenge(step))));
        assert!(client.accepts(&done.data.unwrap()));
    }
}

#[test]
fn hashes_of_a_wrong_length() {
    for length in [0, 20, 31, 33, 64] {
        let upgrade = Upgrade::start(ScramHash::Sha256, 4096).unwrap();
        let refused = upgrade.finish(&vec![1; length]).unwrap_err();
        assert_eq!(refused.condition, Condition::MalformedRequest);
    }
}

#[test]
fn parameters() {
    let salt = || Upgrade::start(ScramHash::Sha512, 10_000).unwrap().salt().to_vec();
    assert_ne!(salt(), salt());
    assert_eq!(Upgrade::start(ScramHash::Sha512, 1), Err(KeyError::Iterations));
}
