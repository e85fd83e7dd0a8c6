//! "Did you mean …?": the nearest of the words that would have been right.
//!
//! Layer 1, pure.

/// Characters from which on a word may be the beginning of what was meant.
const SHORTEST_BEGINNING: usize = 3;

/// The candidate nearest to `word`, when one is near enough to have been meant: at most one edit in three characters
/// (one in shorter words, as long as something of the word is left), or its beginning; upper and lower case are the same, and so are
/// the plurals `ys` and `ies`. The first of equally near ones.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let spelt = |word: &str| word.to_lowercase().replace("ies", "ys");
    let plural = spelt(word);
    let word = word.to_lowercase();
    let length = word.chars().count();
    let most = (length / 3).max(1).min(length.saturating_sub(1));
    let begins = |candidate: &str| length >= SHORTEST_BEGINNING && candidate.to_lowercase().starts_with(&word);
    candidates
        .into_iter()
        .map(|candidate| {
            let distance = strsim::osa_distance(&word, &candidate.to_lowercase());
            (distance.min(strsim::osa_distance(&plural, &spelt(candidate))), candidate)
        })
        .filter(|&(distance, candidate)| distance <= most || begins(candidate))
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, candidate)| candidate)
}

/// A hint for an unknown word: the nearest candidate, else all of them, else `None` when there are none.
pub fn hint<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str> + Clone) -> Option<String> {
    if let Some(near) = nearest(word, candidates.clone()) {
        return Some(format!("did you mean `{near}`?"));
    }
    let known: Vec<String> = candidates.into_iter().map(|c| format!("`{c}`")).collect();
    (!known.is_empty()).then(|| format!("known here: {}", known.join(", ")))
}

/// The same behind an error that ends with the unknown word: `; did you mean …?`, `; known here: …`, or nothing.
pub fn aside<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str> + Clone) -> String {
    hint(word, candidates).map_or_else(String::new, |hint| format!("; {hint}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_of_a_word_is_near_enough() {
        assert_eq!(nearest("gpt-oss", ["lab", "gpt-oss-120b"]), Some("gpt-oss-120b"));
    }

    #[test]
    fn a_transposition_or_another_case_is_near_enough() {
        assert_eq!(nearest("concurrecny", ["headers", "concurrency"]), Some("concurrency"));
        assert_eq!(nearest("Together", ["together", "groq"]), Some("together"));
        assert_eq!(nearest("trys", ["first_wait", "tries", "total"]), Some("tries"));
    }

    #[test]
    fn a_word_that_resembles_nothing_gets_no_suggestion_but_the_list() {
        assert_eq!(nearest("banana", ["alpha", "seed"]), None);
        assert_eq!((nearest("c", ["a"]), nearest("", ["a"])), (None, None));
        assert_eq!(hint("banana", ["alpha", "seed"]).unwrap(), "known here: `alpha`, `seed`");
        assert_eq!(hint("banana", []), None);
        assert_eq!(aside("banana", ["alpha", "seed"]), "; known here: `alpha`, `seed`");
        assert_eq!((aside("alpa", ["alpha"]).as_str(), aside("banana", []).as_str()), ("; did you mean `alpha`?", ""));
    }
}
