//! Names of files: from model, endpoint and probe to a path that holds on every file system, and nothing else.
//!
//! Part of layer 3's snapshots, pure. Names come from configuration files that somebody else may have written: none of them
//! leads out of the folder.

use std::fmt::Write as _;
use std::path::PathBuf;

/// Where the snapshot of a probe lies below the folder of snapshots.
pub(super) fn of_probe(model: &str, endpoint: &str, probe: &str) -> PathBuf {
    let mut path = of_endpoint(model, endpoint);
    let mut parts = probe.split('/').filter(|part| !part.is_empty()).map(component).peekable();
    while let Some(part) = parts.next() {
        path.push(if parts.peek().is_some() { part } else { format!("{part}.snap") });
    }
    path
}

/// The folder of an endpoint's snapshots.
pub(super) fn of_endpoint(model: &str, endpoint: &str) -> PathBuf {
    of_model(model).join(component(endpoint))
}

/// The folder of a model's snapshots.
pub(super) fn of_model(model: &str) -> PathBuf {
    PathBuf::from(component(model))
}

/// A name as one component of a path: letters, digits, `-`, `_` and `.` stay, a dot at the start does not, and everything else
/// becomes `%` and two hexadecimal digits for each byte.
fn component(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        if c.is_alphanumeric() || matches!(c, '-' | '_') || (c == '.' && !out.is_empty()) {
            out.push(c);
        } else {
            for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                let _ = write!(out, "%{byte:02x}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::path::Component;

    #[test]
    fn ordinary_names_are_paths_as_they_stand() {
        assert_eq!(
            of_probe("llama-4", "together", "core/capitals/france"),
            PathBuf::from("llama-4/together/core/capitals/france.snap")
        );
        assert_eq!(of_probe("m", "a:b", "x y"), PathBuf::from("m/a%3ab/x%20y.snap"));
    }

    proptest! {
        #[test]
        fn no_name_leads_out_of_the_folder(model in "\\PC{1,8}", endpoint in any::<String>(), probe in any::<String>()) {
            prop_assert!(of_probe(&model, &endpoint, &probe).components().all(|c| matches!(c, Component::Normal(_))));
        }
    }
}
