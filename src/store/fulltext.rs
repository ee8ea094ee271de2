//! Words of full-text search (XEP-0431), alike for the query, the index and what is not indexed yet.

use std::collections::HashSet;

/// Longer words are cut: nobody types them, and PostgreSQL refuses words above 2 046 bytes.
const WORD_CHARS: usize = 64;

/// The words of a text in lower case.
pub(crate) fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|character: char| !character.is_alphanumeric()).filter(|word| !word.is_empty()).map(
        |word| {
            let lower = word.chars().flat_map(char::to_lowercase);
            lower.take(WORD_CHARS).collect()
        },
    )
}

/// Whether a text has all these words.
pub(crate) fn contains_all(text: &str, wanted: &[String]) -> bool {
    let present: HashSet<String> = words(text).collect();
    wanted.iter().all(|word| present.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_lower_case_and_without_punctuation() {
        let found: Vec<_> = words("Wherefore, \"ÄRGER\"—x2?").collect();
        assert_eq!(found, ["wherefore", "ärger", "x2"]);
        assert!(contains_all("Art thou, Romeo?", &["romeo".into(), "art".into()]));
        assert!(!contains_all("Art thou, Romeo?", &["rome".into()]));
        assert_eq!(words(&"a".repeat(5_000)).next().map(|word| word.len()), Some(WORD_CHARS));
    }
}
