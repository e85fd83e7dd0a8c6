//! Commands: a program of the user's gets the message as JSON on its standard input.
//!
//! It is run without a shell and without the variables that hold credentials of this program.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::{Trouble, webhook};
use crate::alert::Message;

/// A program with its arguments.
#[derive(Debug)]
pub struct Program {
    /// The program and its arguments; not empty.
    pub command: Vec<String>,
    /// The longest that it may take.
    pub timeout: Duration,
    /// Variables that it does not get.
    pub withheld: Vec<String>,
}

impl Program {
    pub(super) async fn send(&self, message: &Message) -> Result<(), Trouble> {
        let Some((program, arguments)) = self.command.split_first() else {
            return Err(Trouble::lasting("no command is configured"));
        };
        match tokio::time::timeout(self.timeout, self.run(program, arguments, message)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Trouble::passing(format!("the command took longer than {} s", self.timeout.as_secs_f64()))),
        }
    }

    async fn run(&self, program: &str, arguments: &[String], message: &Message) -> Result<(), Trouble> {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        for variable in &self.withheld {
            command.env_remove(variable);
        }
        let mut child =
            command.spawn().map_err(|error| Trouble::lasting(format!("the command cannot be run: {error}")))?;
        if let Some(mut stdin) = child.stdin.take() {
            // A command that does not read is judged by its exit code like any other.
            let _ = stdin.write_all((webhook::body(message) + "\n").as_bytes()).await;
        }
        let output =
            child.wait_with_output().await.map_err(|error| Trouble::passing(format!("the command: {error}")))?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().last().unwrap_or_default();
        let said = if last.is_empty() { String::new() } else { format!(": {last}") };
        Err(Trouble::passing(format!("the command ended with {}{said}", output.status)))
    }
}
