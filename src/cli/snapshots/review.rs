//! `samemodel review`: the terminal around the review.

use std::io::{self, IsTerminal as _, Write as _};
use std::process::{Command as Process, ExitCode as Code, Stdio};

use anyhow::Context as _;
use console::{Key, Term};

use super::{beside, folder, in_order_of_review, selection, waiting};
use crate::cli::args::Global;
use crate::cli::args::snapshots::Names;
use crate::cli::{UsageError, clock, emit, paint};
use crate::report::{Paint, View};
use crate::review::screen::{self, Waiting};
use crate::review::{Command, Decision, Review, Scope, Shown, Tally, Visibility};
use crate::snapshot::folder::Before;
use crate::snapshot::waiting::cautions;
use crate::snapshot::{Folder, Snapshot, State};

/// Goes through what waits on the terminal.
pub(in crate::cli) fn review(args: &Names, global: &Global) -> anyhow::Result<Code> {
    if !(io::stdin().is_terminal() && io::stdout().is_terminal()) {
        let what = "a review needs a terminal. Without one, `samemodel pending` lists what waits, `samemodel show` shows it, and \
                    `samemodel accept` and `samemodel reject` decide, by name or with --all";
        return Err(UsageError(what.into()).into());
    }
    let folder = folder(global);
    let found = in_order_of_review(&folder, waiting(&folder, &selection(&args.names))?)?;
    if found.is_empty() {
        emit("nothing waits for review\n")?;
        return Ok(Code::SUCCESS);
    }
    let names = found.into_iter().map(|(name, _)| name).collect();
    let term = Term::stdout();
    let mut session = Session { term, folder, review: Review::new(names), taken_back: Vec::new(), global };
    session.go_through()?;
    emit(&summary(session.review.tally()))?;
    Ok(Code::SUCCESS)
}

/// A review under way.
struct Session<'a> {
    term: Term,
    folder: Folder,
    review: Review,
    /// What the files held before each step, for taking it back.
    taken_back: Vec<Vec<Before>>,
    global: &'a Global,
}

impl Session<'_> {
    fn go_through(&mut self) -> anyhow::Result<()> {
        while let Some((name, _)) = self.review.current() {
            let name = name.to_owned();
            let Some(new) = self.folder.read(&name, State::Waiting)? else {
                // Somebody else has decided on it meanwhile.
                self.review.decided(Decision::Skip, 1);
                self.taken_back.push(Vec::new());
                continue;
            };
            let approved = self.folder.read(&name, State::Approved)?;
            self.show(&new, approved.as_ref())?;
            match self.command()? {
                Command::Quit => break,
                Command::Toggle(part) => self.review.toggle(part),
                Command::Undo => self.undo()?,
                Command::Decide(decision, scope) => self.decide(decision, scope, &new)?,
                Command::Pager => self.page(&name, &new, approved.as_ref())?,
            }
        }
        Ok(self.term.clear_screen()?)
    }

    fn view(&self) -> (View, usize) {
        let (rows, columns) = self.term.size();
        let paint = paint(self.global.color, &io::stdout());
        (View { width: usize::from(columns).max(40), paint }, usize::from(rows))
    }

    fn show(&self, new: &Snapshot, approved: Option<&Snapshot>) -> anyhow::Result<()> {
        let (view, rows) = self.view();
        let text = screen::render(&self.review, Waiting { approved, new }, view, Some(rows.saturating_sub(1)));
        self.term.clear_screen()?;
        Ok(self.term.write_str(&text)?)
    }

    /// Waits for a key that means something.
    fn command(&self) -> anyhow::Result<Command> {
        loop {
            let key = match self.term.read_key() {
                Ok(Key::Char(key)) => key,
                Ok(Key::Escape | Key::CtrlC) => return Ok(Command::Quit),
                Ok(_) => continue,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(Command::Quit),
                Err(error) => return Err(error).context("the terminal cannot be read; what was decided is kept"),
            };
            if let Some(command) = Command::of_key(key) {
                return Ok(command);
            }
        }
    }

    /// Decides on the snapshot on the screen, and on all after it where that is asked for.
    fn decide(&mut self, decision: Decision, scope: Scope, shown: &Snapshot) -> anyhow::Result<()> {
        let mut before = Vec::new();
        let count = match (decision, scope) {
            (Decision::Accept, Scope::This) => {
                let names = self.review.in_scope(scope).to_vec();
                for name in &names {
                    let Some(taken) = self.folder.accept(name, shown, clock::now())? else {
                        // A run has left others in its place: they come up instead.
                        return Ok(());
                    };
                    before.push(taken);
                }
                names.len()
            }
            (Decision::Accept, Scope::Rest) => self.accept_the_rest(shown, &mut before)?,
            (Decision::Reject, _) => {
                let names = self.review.in_scope(scope);
                for name in names {
                    before.extend(self.folder.reject(name)?);
                }
                names.len()
            }
            (Decision::Skip, _) => self.review.in_scope(scope).len(),
        };
        self.taken_back.push(before);
        self.review.decided(decision, count);
        Ok(())
    }

    /// Accepts what is left but for what is not taken together with others unasked, which comes up next. Of the endpoint on the screen
    /// the verdict has been seen, so that all of it is taken. Says how many there were.
    fn accept_the_rest(&mut self, shown: &Snapshot, before: &mut Vec<Before>) -> anyhow::Result<usize> {
        let names = self.review.in_scope(Scope::Rest).to_vec();
        let found = beside(&self.folder, &names)?;
        let cautions = cautions(&found);
        let run = |s: &Snapshot| (s.head.model.clone(), s.head.endpoint.clone(), s.head.source.clone());
        let is_taken = |(name, snapshot): &&(String, Snapshot)| {
            names.contains(name) && (!cautions.contains_key(name.as_str()) || run(snapshot) == run(shown))
        };
        let mut taken = Vec::new();
        for (name, snapshot) in found.iter().filter(is_taken) {
            before.extend(self.folder.accept(name, snapshot, clock::now())?);
            taken.push(name.clone());
        }
        self.review.first(&taken);
        Ok(taken.len())
    }

    fn undo(&mut self) -> anyhow::Result<()> {
        for before in self.taken_back.pop().unwrap_or_default() {
            self.folder.restore(&before)?;
        }
        self.review.undone();
        Ok(())
    }

    fn page(&self, name: &str, new: &Snapshot, approved: Option<&Snapshot>) -> anyhow::Result<()> {
        let view = View { paint: Paint::Plain, ..self.view().0 };
        let shown = Shown { info: Visibility::Shown, ..self.review.shown };
        let text = screen::whole(name, Waiting { approved, new }, shown, view);
        let pager = std::env::var("PAGER").ok().filter(|p| !p.trim().is_empty()).unwrap_or_else(|| "less".to_owned());
        let started = Process::new("sh").arg("-c").arg(&pager).stdin(Stdio::piped()).spawn();
        let mut child = started.with_context(|| format!("the pager `{pager}` cannot be started"))?;
        if let Some(mut input) = child.stdin.take() {
            // A pager that is left before the end reads no further.
            let _ = input.write_all(text.as_bytes());
        }
        child.wait()?;
        Ok(())
    }
}

fn summary(tally: Tally) -> String {
    let Tally { accepted, rejected, skipped, left } = tally;
    let waits = skipped + left;
    let still = if waits > 0 { format!("; {waits} still wait: samemodel review") } else { String::new() };
    format!("{accepted} accepted, {rejected} rejected{still}\n")
}
