//! A project in a folder of its own, and the program run in it as a user would, with an environment of its own.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::host::WORDS;

/// The longest that any child may take; far more than any needs.
const PATIENCE: Duration = Duration::from_mins(4);

/// Shipped probes with which a fault of another model, weights, prompt or sampling shows, and no more than that needs.
pub const TELLING: [&str; 9] = [
    "sampled/poems.toml",
    "sampled/days.toml",
    "greedy/weather.toml",
    "greedy/descriptions.toml",
    "greedy/dialogues.toml",
    "greedy/letters.toml",
    "greedy/opinions.toml",
    "greedy/poems.toml",
    "greedy/stories.toml",
];

/// A folder with a configuration of one model, `m`, and its probes.
///
/// What a test needs is added step by step; the configuration is written when the program is run.
pub struct Project {
    folder: TempDir,
    defaults: String,
    model: String,
    tables: String,
    environment: Vec<(String, String)>,
}

impl Project {
    /// A project without probes and endpoints, whose reference is to be `reference`. Small, so that a run is short, and
    /// quick to try again.
    pub fn new() -> Self {
        let project = Self {
            folder: TempDir::new().expect("a folder"),
            defaults: "samples = 2\ngreedy_samples = 2\nmax_tokens = 24\npermutations = 999\n\
                       retry = { first_wait = 0.02, longest_wait = 0.1, longest_asked_wait = 2.0, total = 20.0 }\n"
                .to_owned(),
            model: "reference = \"reference\"\nprobes = [\"prompts\"]\n".to_owned(),
            tables: String::new(),
            environment: Vec::new(),
        };
        fs::create_dir(project.path("prompts")).expect("a folder of prompts");
        project
    }

    /// A path within the project.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file within the project.
    pub fn with_file(self, name: &str, text: &str) -> Self {
        fs::write(self.path(name), text).expect("a file is written");
        self
    }

    /// A probe that is this user message.
    pub fn with_probe(self, name: &str, message: &str) -> Self {
        let name = format!("prompts/{name}.md");
        self.with_file(&name, message)
    }

    /// So many greedy probes in one file, and eight sampled ones, each on a word.
    pub fn with_probes_on_words(self, greedy: usize) -> Self {
        let mut rows =
            "about = \"greedy\"\nasking = \"greedy\"\n[[message]]\nrole = \"user\"\ncontent = \"About {{ word }}.\"\n"
                .to_owned();
        for i in 0..greedy {
            let _ = write!(rows, "[[row]]\nid = \"r{i:02}\"\nword = \"{} {i}\"\n", WORDS[i % WORDS.len()]);
        }
        let sampled = |project: Self, word: &&str| project.with_probe(word, &format!("Tell me of the {word}."));
        WORDS[..8].iter().fold(self.with_file("prompts/greedy.toml", &rows), sampled)
    }

    /// Probes as they are shipped for the lab, with shorter answers.
    pub fn with_shipped_probes(self, files: &[&str]) -> Self {
        files.iter().fold(self, |project, file| {
            let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("prompts/lab").join(file);
            let text = fs::read_to_string(shipped).expect("the shipped probe");
            let name = file.replace('/', "-");
            project.with_file(&format!("prompts/{name}"), &text.replace("max_tokens = 40", "max_tokens = 24"))
        })
    }

    /// A line of `[defaults]` instead of the one that the project began with.
    pub fn with_default(mut self, key: &str, value: &str) -> Self {
        self.defaults = replaced(&self.defaults, key, value);
        self
    }

    /// A line of `[model.m]`.
    pub fn with_model(mut self, key: &str, value: &str) -> Self {
        self.model = replaced(&self.model, key, value);
        self
    }

    /// An endpoint with a provider of its own at this address.
    pub fn with_endpoint(self, name: &str, address: &str) -> Self {
        self.with_endpoint_and(name, address, "", "")
    }

    /// An endpoint whose key is in this variable.
    pub fn with_keyed_endpoint(self, name: &str, address: &str, variable: &str) -> Self {
        self.with_endpoint_and(name, address, &format!("api_key_env = \"{variable}\"\n"), "")
    }

    /// An endpoint with further lines for its provider and for itself.
    pub fn with_endpoint_and(mut self, name: &str, address: &str, provider: &str, endpoint: &str) -> Self {
        let _ = write!(
            self.tables,
            "\n[provider.{name}]\nbase_url = \"{address}\"\n{provider}\n\
             [[model.m.endpoint]]\nname = \"{name}\"\nprovider = \"{name}\"\nmodel = \"lab\"\n{endpoint}"
        );
        self
    }

    /// Further tables of the configuration, as text.
    pub fn with_tables(mut self, text: &str) -> Self {
        self.tables.push_str(text);
        self
    }

    /// A variable of the environment.
    pub fn with_env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Writes the configuration, for tests that then change it by hand.
    pub fn write(&self) {
        let text = format!("[defaults]\n{}\n[model.m]\n{}{}", self.defaults, self.model, self.tables);
        fs::write(self.path("providers.toml"), text).expect("the configuration is written");
    }

    /// Runs the program in the project with its configuration as built.
    pub fn run<const N: usize>(&self, arguments: [&str; N]) -> Run {
        self.write();
        self.run_as_is(&arguments)
    }

    /// Runs the program in the project's folder, whatever lies there.
    pub fn run_as_is(&self, arguments: &[&str]) -> Run {
        self.start(arguments, "").finish()
    }

    /// Runs the program with this on its standard input.
    pub fn run_with_input(&self, arguments: &[&str], input: &str) -> Run {
        self.start(arguments, input).finish()
    }

    /// Starts the program and does not wait for it.
    pub fn start(&self, arguments: &[&str], input: &str) -> Running {
        let (out, err) = (TempDir::new().expect("a folder"), TempDir::new().expect("a folder"));
        let file = |folder: &TempDir| fs::File::create(folder.path().join("text")).expect("a file");
        let stdin = out.path().join("in");
        fs::write(&stdin, input).expect("the input is written");
        let child = self
            .command(arguments)
            .stdin(fs::File::open(stdin).expect("the input"))
            .stdout(file(&out))
            .stderr(file(&err))
            .spawn()
            .expect("the program starts");
        Running { child, out, err }
    }

    /// Runs the program where the system refuses what would make any file longer than these KiB, as a full disk does.
    #[cfg(unix)]
    pub fn run_on_a_full_disk<const N: usize>(&self, room: u32, arguments: [&str; N]) -> Run {
        self.write();
        let limited = format!("trap '' XFSZ; ulimit -f {room}; exec \"$@\"");
        let program = self.command(&arguments);
        let mut shell = Command::new("bash");
        shell.args(["-c", &limited, "bash", env!("CARGO_BIN_EXE_samemodel")]).args(arguments).env_clear();
        shell.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?)))).current_dir(self.folder.path());
        let out = shell.stdin(Stdio::null()).output().expect("bash");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Run { status: out.status, stdout: text(&out.stdout), stderr: text(&out.stderr) }
    }

    /// The program with its arguments, in the project's folder, in an environment of its own.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_samemodel"));
        command.current_dir(self.folder.path()).args(arguments).env_clear().stdin(Stdio::null());
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", self.folder.path());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Every file below the project's folder with its bytes.
    pub fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut found = Vec::new();
        let mut folders = vec![self.folder.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).expect("a folder") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let bytes = fs::read(&path).expect("a file");
                    found.push((path, bytes));
                }
            }
        }
        found
    }
}

/// The lines with this key's set to the value, or added.
fn replaced(lines: &str, key: &str, value: &str) -> String {
    let kept = lines.lines().filter(|line| line.split(" =").next() != Some(key));
    kept.fold(String::new(), |out, line| out + line + "\n") + &format!("{key} = {value}\n")
}

/// A started child. It is killed when it is dropped.
pub struct Running {
    pub child: Child,
    out: TempDir,
    err: TempDir,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    /// What the child has written to standard output until now.
    pub fn stdout(&self) -> String {
        read(&self.out)
    }

    /// What the child has written to standard error until now.
    pub fn stderr(&self) -> String {
        read(&self.err)
    }

    /// Waits until `condition` holds of the child, which must not end before it does.
    pub fn wait_until(&mut self, what: &str, mut condition: impl FnMut(&Self) -> bool) {
        let begun = Instant::now();
        while !condition(self) {
            let ended = self.child.try_wait().expect("the child's state");
            assert!(ended.is_none(), "it ended before {what}: {}", self.stderr());
            assert!(begun.elapsed() < PATIENCE, "waited too long for {what}: {}", self.stderr());
            sleep(Duration::from_millis(5));
        }
    }

    /// Sends the signal of this name, such as `INT`, to the child and to nobody else.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status();
        assert!(sent.expect("kill").success());
    }

    /// Waits for the child's end.
    pub fn finish(mut self) -> Run {
        let begun = Instant::now();
        let status = loop {
            match self.child.try_wait().expect("the child's state") {
                Some(status) => break status,
                None => sleep(Duration::from_millis(2)),
            }
            assert!(begun.elapsed() < PATIENCE, "it does not end: {}", self.stderr());
        };
        Run { status, stdout: read(&self.out), stderr: read(&self.err) }
    }
}

fn read(folder: &TempDir) -> String {
    String::from_utf8_lossy(&fs::read(folder.path().join("text")).expect("what was written")).into_owned()
}

/// What became of a child.
#[derive(Debug)]
pub struct Run {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    /// The exit code; a child ended by a signal fails the test.
    pub fn code(&self) -> i32 {
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        self.status.code().unwrap_or_else(|| panic!("{}: {}", self.status, self.stderr))
    }

    /// Standard output as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}\n{}", self.stdout, self.stderr))
    }

    /// The endpoint's part of a JSON report.
    pub fn endpoint(&self, name: &str) -> Value {
        let report = self.json();
        let mut all = report["endpoints"].as_array().expect("endpoints").iter();
        all.find(|e| e["endpoint"] == name).unwrap_or_else(|| panic!("no {name} in {report:#}")).clone()
    }

    /// The endpoint's verdict in a JSON report.
    pub fn verdict(&self, name: &str) -> String {
        self.endpoint(name)["verdict"].as_str().expect("a verdict").to_owned()
    }

    /// Checks the exit code and that standard error says all of these.
    #[track_caller]
    pub fn refuses(&self, code: i32, said: &[&str]) {
        assert_eq!(self.code(), code, "{}\n{}", self.stdout, self.stderr);
        for words in said {
            assert!(self.stderr.contains(words), "`{words}` is not in: {}", self.stderr);
        }
        assert!(!self.stdout.contains("consistent"), "{}", self.stdout);
    }
}

/// Asserts that a string contains each of these.
#[track_caller]
pub fn assert_says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "`{word}` is not in: {text}");
    }
}
