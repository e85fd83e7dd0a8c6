//! Numbers with their nouns: one of a thing, and several.
//!
//! Layer 1, pure.

/// A number of things, which are named as one of them is: `1 answer`, `2 answers`, `3 tries`, `0 passes`.
pub fn count(n: usize, one: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {}", several(one)) }
}

/// The noun for several. The last word is the noun.
fn several(one: &str) -> String {
    let is_hissing = ["s", "x", "ch", "sh"].iter().any(|end| one.ends_with(end));
    match one.strip_suffix('y') {
        Some(stem) if !stem.ends_with(['a', 'e', 'i', 'o', 'u']) => format!("{stem}ies"),
        _ if is_hissing => format!("{one}es"),
        _ => format!("{one}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_a_thing_is_not_several() {
        let told = [(1, "run"), (0, "run"), (1, "try"), (2, "try"), (2, "reply"), (2, "delay"), (2, "failing pass")]
            .map(|(n, one)| count(n, one));
        assert_eq!(told, ["1 run", "0 runs", "1 try", "2 tries", "2 replies", "2 delays", "2 failing passes"]);
    }
}
