//! Names that look like others (Unicode Technical Standard #39).

use unicode_security::RestrictionLevel::ModeratelyRestrictive;
use unicode_security::{RestrictionLevelDetection as _, skeleton};

/// The same for names that look the same, capitals told apart.
pub fn shape(name: &str) -> String {
    skeleton(name).collect()
}

/// The same for names of accounts that look the same. They have no capitals, but what they look like may.
pub fn account_shape(name: &str) -> String {
    shape(name).to_lowercase()
}

/// Whether the name has letters of scripts that nobody writes together, such as Latin and Cyrillic.
pub fn is_mixed(name: &str) -> bool {
    !name.check_restriction_level(ModeratelyRestrictive)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_of_other_scripts_look_like_ours() {
        for (ours, theirs) in
            [("paypal", "раураl"), ("romeo", "rοmeo"), ("will", "wi1l"), ("mine", "rnine")]
        {
            assert_ne!(ours, theirs);
            assert_eq!(shape(ours), shape(theirs), "{theirs}");
        }
        assert_eq!(account_shape("potus"), account_shape("p0tus"));
        assert_ne!(account_shape("romeo"), account_shape("juliet"));
        assert_ne!(shape("Romeo"), shape("romeo"));
    }

    #[test]
    fn scripts_are_not_mixed_but_as_people_do() {
        for mixed in ["rοmeo", "раypal"] {
            assert!(is_mixed(mixed), "{mixed}");
        }
        for name in
            ["romeo", "ромео", "jürgen", "ロミオ", "romeo-ロミオ", "u_1.x", "李雷abc", "山田taro"]
        {
            assert!(!is_mixed(name), "{name}");
        }
    }
}
