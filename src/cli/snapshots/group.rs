//! Groups: snapshots of one endpoint of which the same is to be said, so that it is said once.

use crate::report::escape::line;
use crate::report::layout::wrap;
use crate::snapshot::Folder;

/// Snapshots of one endpoint with what they have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Group<'a> {
    /// The endpoint's part of their names.
    pub endpoint: &'a str,
    /// What is to be said of all of them.
    pub common: String,
    /// Their names.
    pub names: Vec<&'a str>,
}

/// The groups of these names, each with what is to be said of it, in the order of their first ones.
pub(super) fn groups<'a>(found: impl IntoIterator<Item = (&'a str, String)>) -> Vec<Group<'a>> {
    let mut groups: Vec<Group<'a>> = Vec::new();
    for (name, common) in found {
        let endpoint = Folder::endpoint_of(name);
        match groups.iter_mut().find(|group| group.endpoint == endpoint && group.common == common) {
            Some(group) => group.names.push(name),
            None => groups.push(Group { endpoint, common, names: vec![name] }),
        }
    }
    groups
}

impl Group<'_> {
    /// What was done to them: one by its name, several by their number, with their probes below.
    pub fn done(&self, what: &str, width: usize) -> String {
        let why = if self.common.is_empty() { String::new() } else { format!(": {}", self.common) };
        match self.names.as_slice() {
            [one] => item(&format!("{what} {one}{why}"), 0, width),
            names => {
                let head = format!("{what} {} of {}{why}", names.len(), self.endpoint);
                item(&head, 0, width) + &item(&self.probes(), 2, width)
            }
        }
    }

    /// What is to be said of them below what is said of their endpoint: one behind its probe, several with their probes below.
    pub fn below(&self, width: usize) -> String {
        match self.names.as_slice() {
            [_] => item(&format!("{} {}", self.probes(), self.common), 2, width),
            names => {
                let head = format!("{} {}", names.len(), self.common);
                item(&head, 2, width) + &item(&self.probes(), 4, width)
            }
        }
    }

    fn probes(&self) -> String {
        let probe = |name: &&str| name.strip_prefix(self.endpoint).unwrap_or(name).trim_start_matches('/').to_owned();
        self.names.iter().map(probe).collect::<Vec<_>>().join(", ")
    }
}

/// Raw text in lines of this width, set in by so many columns, and those after the first by two more.
pub(in crate::cli) fn item(text: &str, columns: usize, width: usize) -> String {
    let rows = wrap(&line(text), width.saturating_sub(columns + 2)).into_iter().enumerate();
    let row =
        |(n, row): (usize, String)| format!("{}{}\n", " ".repeat(columns + if n == 0 { 0 } else { 2 }), row.trim_end());
    rows.map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_the_same_of_several_is_said_once_with_their_probes() {
        let found = [("m/e/a", "new"), ("m/e/b/c", "stale"), ("m/e/d", "new"), ("m/f/a", "new")];
        let groups = groups(found.map(|(name, why)| (name, why.to_owned())));
        let done: Vec<String> = groups.iter().map(|group| group.done("left", 80)).collect();
        assert_eq!(done, ["left 2 of m/e: new\n  a, d\n", "left m/e/b/c: stale\n", "left m/f/a: new\n"]);
        let below: Vec<String> = groups.iter().map(|group| group.below(80)).collect();
        assert_eq!(below, ["  2 new\n    a, d\n", "  b/c stale\n", "  a new\n"]);
    }

    #[test]
    fn many_probes_fill_the_lines_and_no_more() {
        let names: Vec<String> = (0..72).map(|n| format!("m/e/probes/p-{n:02}")).collect();
        let groups = groups(names.iter().map(|name| (name.as_str(), String::new())));
        let text = groups[0].done("accepted", 80);
        assert!(text.starts_with("accepted 72 of m/e\n  probes/p-00, probes/p-01, "), "{text}");
        assert!(text.lines().count() < 18 && text.lines().all(|line| line.len() <= 80), "{text}");
        assert_eq!(text.matches("probes/p-").count(), 72);
    }
}
