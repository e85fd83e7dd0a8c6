//! Names with `*` in them, by which routes and silences say what they are about.

use super::state::Subject;

/// The alerts that a silence or a route is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// The model; `*` stands for anything.
    pub model: String,
    /// The endpoint, likewise. What concerns a model as a whole has none, and only fits patterns that fit nothing.
    pub endpoint: String,
}

impl Scope {
    /// Whether an alert is among them.
    pub fn holds(&self, subject: &Subject) -> bool {
        fits(&self.model, &subject.model) && fits(&self.endpoint, &subject.endpoint)
    }
}

/// Whether a name fits a pattern, in which each `*` stands for any number of characters.
pub fn fits(pattern: &str, name: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut name) = name.strip_prefix(first) else { return false };
    let mut pieces: Vec<&str> = rest.split('*').collect();
    // What follows the last star stands at the end; everything between may stand as early as it can.
    let last = pieces.pop().unwrap_or_default();
    for piece in pieces {
        let Some(at) = name.find(piece) else { return false };
        name = &name[at + piece.len()..];
    }
    name.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_star_stands_for_any_number_of_characters() {
        for (pattern, name) in [("*", ""), ("*", "a"), ("a*", "a"), ("a*c", "abc"), ("*b*", "abc"), ("a*b*c", "axbxbc")]
        {
            assert!(fits(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [("", "a"), ("a", "ab"), ("a*", "ba"), ("*a", "ab"), ("ab*b", "ab"), ("a*b*c", "acb")] {
            assert!(!fits(pattern, name), "{pattern} {name}");
        }
    }

    proptest! {
        #[test]
        fn a_name_with_parts_left_out_fits(a in "\\PC{0,5}", b in "\\PC{0,5}", c in "\\PC{0,5}", d in "\\PC{0,5}") {
            prop_assume!(!format!("{a}{c}{d}").contains('*'));
            let pattern = format!("{a}*{c}*{d}");
            let name = format!("{a}{b}{c}{b}{d}");
            prop_assert!(fits(&pattern, &name));
        }
    }
}
