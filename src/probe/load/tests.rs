//! What is found where, what ids it gets, and what is said when nothing is.

use std::collections::BTreeSet;

use super::*;
use crate::probe::{Cap, Check};
use crate::sample::{Asking, Purpose};

/// A folder with these files in it.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

fn load_from(folder: &Path, names: &[&str]) -> Result<Vec<Probe>, LoadError> {
    load(&names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>(), folder)
}

fn ids(probes: &[Probe]) -> Vec<&str> {
    probes.iter().map(|probe| probe.id.as_str()).collect()
}

const FAMILY: &str =
    "about = \"a\"\n[[message]]\nrole = \"user\"\ncontent = \"{{ id }}?\"\n[[row]]\nid = \"x\"\n[[row]]\nid = 7\n";

#[test]
fn folders_are_searched_in_sorted_order_and_ids_are_paths_below_prompts() {
    let folder = folder(&[
        ("prompts/core/z.md", "Z"),
        ("prompts/core/deep/a.md", "A"),
        ("prompts/core/family.toml", FAMILY),
        ("prompts/core/picture.png", ""),
        ("prompts/core/.hidden.md", "H"),
    ]);
    let probes = load_from(folder.path(), &["prompts/core"]).unwrap();
    assert_eq!(ids(&probes), ["core/deep/a", "core/family/x", "core/family/7", "core/z"]);
    assert_eq!(probes[2].messages[0].content, "7?");
    assert_eq!(ids(&load_from(folder.path(), &["prompts"]).unwrap()), ids(&probes));
}

#[test]
fn a_file_has_the_id_that_its_folder_would_give_it() {
    let folder = folder(&[("prompts/core/z.md", "Z"), ("mine/b.md", "B"), ("a.md", "A")]);
    let all = load_from(folder.path(), &["prompts/core/z.md", "./mine/b.md", "a.md"]).unwrap();
    assert_eq!(ids(&all), ["core/z", "mine/b", "a"]);
    assert_eq!(ids(&load_from(folder.path(), &["mine"]).unwrap()), ["mine/b"]);
}

#[test]
fn the_nearest_prompts_folder_counts_and_the_place_of_the_project_does_not() {
    let folder = folder(&[("prompts/project/prompts/set/a.md", "A"), ("prompts/project/other/a.md", "B")]);
    let ids_of = |at: &str, name: &str| {
        ids(&load_from(&folder.path().join(at), &[name]).unwrap()).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(ids_of("", "prompts/project/prompts"), ["set/a"]);
    assert_eq!(ids_of("", "prompts"), ["project/other/a", "set/a"]);
    assert_eq!(ids_of("prompts/project", "other"), ["other/a"]);
}

#[test]
fn an_image_is_read_from_beside_its_probe() {
    let probe = "about = \"a\"\n[[message]]\nrole = \"user\"\ncontent = \"?\"\nimages = [\"p.gif\"]\n";
    let folder = folder(&[("prompts/i.toml", probe), ("prompts/p.gif", "GIF8")]);
    let probes = load_from(folder.path(), &["prompts"]).unwrap();
    assert_eq!(probes[0].messages[0].images[0].media_type, "image/gif");
}

#[test]
fn nothing_named_or_nothing_there_says_what_to_do() {
    let folder = folder(&[("prompts/core/z.md", "Z"), ("prompts/empty/note.txt", "")]);
    let told = |names: &[&str]| load_from(folder.path(), names).unwrap_err().to_string();
    assert!(told(&[]).starts_with("no probes are named: list folders or files in `probes`"));
    let missing = told(&["prompts/croe"]);
    assert!(missing.contains("prompts/croe does not exist") && missing.contains("did you mean"), "{missing}");
    assert!(told(&["nowhere"]).ends_with("relative to the configuration's folder"));
    assert!(told(&["prompts/empty"]).contains("prompts/empty holds no probes: add a .md or .toml file"));
    assert!(told(&["prompts/empty/note.txt"]).contains("note.txt is no probe file"));
}

#[test]
fn a_wrong_file_is_named_with_line_and_column() {
    let folder = folder(&[("prompts/w.toml", "about = \"a\"\nmesage = []\n")]);
    let told = load_from(folder.path(), &["prompts"]).unwrap_err().to_string();
    assert!(told.ends_with("w.toml:2:1: unknown key `mesage`; did you mean `message`?"), "{told}");
}

#[test]
fn names_that_make_no_ids_are_refused() {
    let folder = folder(&[("prompts/two words.md", "A")]);
    let told = load_from(folder.path(), &["prompts"]).unwrap_err().to_string();
    assert!(told.contains("two words.md cannot give a probe its id: rename it"), "{told}");
}

#[test]
fn one_id_for_two_probes_is_refused_with_both_files() {
    let folder = folder(&[("prompts/f.toml", FAMILY), ("prompts/f/x.md", "A")]);
    let told = load_from(folder.path(), &["prompts"]).unwrap_err().to_string();
    assert!(told.contains("the id f/x is given twice") && told.contains("f.toml") && told.contains("x.md"), "{told}");
    assert!(matches!(load_from(folder.path(), &["prompts/f", "prompts"]), Err(LoadError::Duplicate { .. })));
}

#[cfg(unix)]
#[test]
fn a_folder_that_contains_itself_ends() {
    let folder = folder(&[("prompts/a.md", "A")]);
    std::os::unix::fs::symlink(folder.path().join("prompts"), folder.path().join("prompts/loop")).unwrap();
    assert!(matches!(load_from(folder.path(), &["prompts"]), Err(LoadError::TooDeep { .. })));
}

mod shipped {
    use super::*;

    fn shipped(name: &str) -> Vec<Probe> {
        load_from(Path::new(env!("CARGO_MANIFEST_DIR")), &[name]).unwrap_or_else(|error| panic!("{error}"))
    }

    fn count(probes: &[Probe], asking: Asking) -> usize {
        probes.iter().filter(|probe| probe.asking == asking).count()
    }

    #[test]
    fn both_sets_are_large_enough() {
        for set in ["prompts/core", "prompts/lab"] {
            let probes = shipped(set);
            let (sampled, greedy) = (count(&probes, Asking::Sampled), count(&probes, Asking::Greedy));
            assert!(greedy >= 120, "{set} has {greedy} greedy probes");
            assert!(sampled >= if set.ends_with("core") { 24 } else { 20 }, "{set} has {sampled} sampled probes");
        }
    }

    #[test]
    fn every_probe_says_what_it_shows_and_asks_what_no_other_asks() {
        let probes = shipped("prompts");
        let nothing_said: Vec<_> = probes.iter().filter(|probe| probe.about.len() < 20).map(|p| &p.id).collect();
        assert!(nothing_said.is_empty(), "{nothing_said:?}");
        let digests: BTreeSet<_> = probes.iter().map(Probe::digest).collect();
        assert_eq!(digests.len(), probes.len());
        assert_eq!(probes.iter().map(|probe| &probe.id).collect::<BTreeSet<_>>().len(), probes.len());
    }

    #[test]
    fn the_core_set_covers_what_hosts_get_wrong() {
        let probes = shipped("prompts/core");
        assert!(probes.iter().any(|p| p.messages[0].content == "who is Nathan Lambert, who works in AI?"));
        assert!(probes.iter().any(|p| !p.tools.is_empty()));
        assert!(probes.iter().any(|p| p.response_schema.is_some()));
        assert!(probes.iter().any(|p| p.messages.len() >= 3));
        assert!(probes.iter().any(|p| p.messages[0].role == crate::probe::Role::System));
    }

    #[test]
    fn greedy_families_leave_room_to_diverge() {
        let compared = |probe: &&Probe| probe.asking == Asking::Greedy && probe.purpose == Purpose::Comparison;
        for probe in shipped("prompts/core").iter().filter(compared) {
            assert!(probe.parameters.max_tokens.map(Cap::tokens) >= Some(48), "{}", probe.id);
        }
    }
}

mod book {
    use super::*;

    /// The page's examples: each block of TOML or Markdown with the file name in the line above it.
    fn examples() -> Vec<(String, String)> {
        let page = include_str!("../../../docs/src/probes.md");
        let mut lines = page.lines().peekable();
        let (mut examples, mut above) = (Vec::new(), "");
        while let Some(line) = lines.next() {
            if matches!(line, "```toml" | "```markdown") {
                let name = above.trim_end_matches(':').trim_matches('`');
                assert!(name.starts_with("prompts/"), "an example without its file name above it: {above}");
                let body: Vec<_> = lines.by_ref().take_while(|line| *line != "```").collect();
                examples.push((name.to_owned(), body.join("\n") + "\n"));
            }
            above = if line.is_empty() { above } else { line };
        }
        examples
    }

    #[test]
    fn every_example_of_the_page_loads() {
        let examples = examples();
        let files: Vec<_> = examples.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        let folder = folder(&files);
        let probes = load_from(folder.path(), &["prompts"]).unwrap_or_else(|error| panic!("{error}"));
        let expected = ["mine/antonyms/hot", "mine/antonyms/early", "mine/rhyme", "mine/weather"];
        assert_eq!(ids(&probes), expected);
        assert!(probes.iter().all(|probe| !probe.about.is_empty()));
        assert_eq!(probes[1].checks, [Check::Contains("late".into())]);
    }
}
