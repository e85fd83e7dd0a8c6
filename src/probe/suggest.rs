//! What was probably meant by a word that is not known.

/// The candidate closest to `word`, if one is close enough to be a slip of the keyboard: at most one edit (insertion,
/// deletion, change or swap of neighbours) in three characters.
pub(super) fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_word_and_another_word_finds_nothing() {
        assert_eq!(closest("mesage", ["about", "message", "row"]), Some("message"));
        assert_eq!(closest("abuot", ["about", "message", "row"]), Some("about"));
        assert_eq!(closest("banana", ["about", "message", "row"]), None);
    }
}
