//! A check by the real program in a folder of its own, watched from outside.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::body::MODEL;
use crate::server::Server;

/// The endpoint that the others are held against.
pub const REFERENCE: &str = "reference";

/// The longest that a check may take.
const PATIENCE: Duration = Duration::from_mins(10);

/// How much memory a check may take before it is stopped, so that the machine lives on.
const FUSE_MEGABYTES: f64 = 2000.0;

/// How often the child is looked at.
const PAUSE: Duration = Duration::from_millis(2);

/// Linux counts processor time in hundredths of a second wherever it tells it to programs.
const TICKS_A_SECOND: u64 = 100;

/// A key as hosts give them: what is sent is searched for it, which is a part of the work.
const KEY: &str = "sk-q7W3kPz9Rt5Lx2Vn8JdYc4Hs";

/// A folder with a configuration of one model, `m`, and one probe.
pub struct Project {
    folder: TempDir,
}

impl Project {
    /// Endpoints at these hosts of the server, the reference among them, and these lines of `[defaults]`.
    pub fn new(server: &Server, hosts: &[String], defaults: &str) -> Self {
        // In the build directory, since a temporary directory may be in memory.
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        let mut text =
            format!("[defaults]\n{defaults}\n[model.m]\nreference = \"{REFERENCE}\"\nprobes = [\"prompts\"]\n");
        for host in hosts {
            let _ = write!(
                text,
                "\n[provider.{host}]\nbase_url = \"{}\"\napi_key_env = \"HOST_KEY\"\n\n\
                 [[model.m.endpoint]]\nname = \"{host}\"\nprovider = \"{host}\"\nmodel = \"{MODEL}\"\n",
                server.url(host)
            );
        }
        fs::write(folder.path().join("providers.toml"), text).expect("the configuration is written");
        fs::create_dir(folder.path().join("prompts")).expect("a folder of prompts");
        fs::write(folder.path().join("prompts/boat.md"), "Tell me a story about a boat.\n").expect("a probe");
        Self { folder }
    }

    /// Starts a check, in an environment of its own.
    pub fn start(&self) -> Check {
        let path = |name: &str| self.folder.path().join(name);
        let file = |name: &str| File::create(path(name)).expect("a file");
        let child = Command::new(env!("CARGO_BIN_EXE_samemodel"))
            .args(["check", "m", "--quiet"])
            .current_dir(self.folder.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.folder.path())
            .env("HOST_KEY", KEY)
            .stdin(Stdio::null())
            .stdout(file("report"))
            .stderr(file("errors"))
            .spawn()
            .expect("the program starts");
        Check { child, begun: Instant::now(), errors: path("errors"), megabytes: None, busy: None }
    }

    /// Bytes that its checks have left.
    pub fn kept(&self) -> u64 {
        size(&self.folder.path().join(".samemodel"))
    }
}

fn size(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry"));
    let of_entry = |entry: fs::DirEntry| {
        let metadata = entry.metadata().expect("an entry");
        if metadata.is_dir() { size(&entry.path()) } else { metadata.len() }
    };
    entries.map(of_entry).sum()
}

/// A check under way. It is killed when it is dropped.
pub struct Check {
    child: Child,
    begun: Instant,
    errors: PathBuf,
    /// The most memory that it held at once, where the system says it.
    pub megabytes: Option<f64>,
    /// The processor time that it has taken, where the system says it.
    pub busy: Option<Duration>,
}

/// How a check came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// By itself.
    Own,
    /// It took too much memory or time.
    Stopped,
}

impl Check {
    /// Looks at it once more; how it ended, once it has.
    pub fn look(&mut self) -> Option<ExitStatus> {
        let id = self.child.id();
        self.megabytes = megabytes(id).or(self.megabytes);
        self.busy = busy(id).or(self.busy);
        self.child.try_wait().expect("the child's state")
    }

    /// Waits until `is_so`, which it must become before the check ends.
    pub fn wait_until(&mut self, is_so: impl Fn() -> bool) {
        while !is_so() {
            let ended = self.look();
            assert!(ended.is_none(), "it ended too early: {}", self.errors());
            assert!(self.begun.elapsed() < PATIENCE, "it takes too long: {}", self.errors());
            sleep(PAUSE);
        }
    }

    /// Waits for its end, and stops it where it takes too much.
    pub fn finish(&mut self) -> Ending {
        loop {
            if let Some(status) = self.look() {
                assert!(matches!(status.code(), Some(0 | 1 | 3)), "{status}: {}", self.errors());
                return Ending::Own;
            }
            let is_too_large = self.megabytes.is_some_and(|megabytes| megabytes > FUSE_MEGABYTES);
            if is_too_large || self.begun.elapsed() > PATIENCE {
                self.stop();
                return Ending::Stopped;
            }
            sleep(PAUSE);
        }
    }

    fn stop(&mut self) {
        // One that has ended already cannot be killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn errors(&self) -> String {
        fs::read_to_string(&self.errors).unwrap_or_default()
    }
}

impl Drop for Check {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The most memory that a process held at once.
fn megabytes(id: u32) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse::<f64>().ok().map(|kb| kb / 1e3)
}

/// The processor time that a process has taken by itself and in the system.
fn busy(id: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name before it may hold spaces.
    let (_, fields) = stat.rsplit_once(')')?;
    let two = fields.split_whitespace().skip(11).take(2);
    let ticks: u64 = two.map(|field| field.parse::<u64>().ok()).sum::<Option<u64>>()?;
    Some(Duration::from_millis(1000 * ticks / TICKS_A_SECOND))
}
