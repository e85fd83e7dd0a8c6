//! `samemodel review`: the terminal around the review.

use std::io::{self, IsTerminal as _, Write as _};
use std::process::{Command as Process, ExitCode as Code, Stdio};

use anyhow::Context as _;
use console::{Key, Term};

use super::keys::Keys;
use super::{beside, folder, in_order_of_review, selection, waiting};
use crate::cli::args::Global;
use crate::cli::args::snapshots::Names;
use crate::cli::{UsageError, clock, emit, is_dumb, paint};
use crate::report::{Paint, View, words};
use crate::review::screen::{self, Screen, Waiting};
use crate::review::{Command, Decision, Extent, Review, Scope, Scroll, Shown, Tally, Visibility};
use crate::snapshot::folder::Before;
use crate::snapshot::waiting::cautions;
use crate::snapshot::{Folder, Snapshot, State};

/// Goes through what waits on the terminal.
pub(in crate::cli) fn review(args: &Names, global: &Global) -> anyhow::Result<Code> {
    if !(io::stdin().is_terminal() && io::stdout().is_terminal()) || is_dumb() {
        let what = "a review needs a terminal. Without one, `samemodel pending` lists what waits, `samemodel show` shows it, and \
                    `samemodel accept` and `samemodel reject` decide, by name or with --all";
        return Err(UsageError(what.into()).into());
    }
    let folder = folder(global);
    let found = in_order_of_review(&folder, waiting(&folder, &selection(&args.names), global)?)?;
    if found.is_empty() {
        emit("nothing waits for review\n")?;
        return Ok(Code::SUCCESS);
    }
    let names = found.into_iter().map(|(name, _)| name).collect();
    let term = Term::stdout();
    let keys = Keys::of(&term);
    let mut session = Session { term, keys, folder, review: Review::new(names), taken_back: Vec::new(), global };
    session.go_through()?;
    emit(&summary(session.review.tally()))?;
    Ok(Code::SUCCESS)
}

/// A review under way.
struct Session<'a> {
    term: Term,
    keys: Keys,
    folder: Folder,
    review: Review,
    /// What the files held before each step, for taking it back.
    taken_back: Vec<Vec<Before>>,
    global: &'a Global,
}

/// What a wait for a key came to.
enum Heard {
    /// A key that asks for something.
    Command(Command),
    /// One that has no meaning.
    Nothing,
    /// The screen has another size, and is to be shown again.
    Resized,
}

impl Session<'_> {
    fn go_through(&mut self) -> anyhow::Result<()> {
        loop {
            let Some((name, _)) = self.review.current() else {
                if self.review.has_steps() && self.takes_back_at_the_end()? {
                    continue;
                }
                break;
            };
            let name = name.to_owned();
            let Some(new) = self.folder.read(&name, State::Waiting)? else {
                // Somebody else has decided on it meanwhile.
                self.review.decided(Decision::Skip, 1);
                self.taken_back.push(Vec::new());
                self.review.notice = format!("somebody else has decided on {name}");
                continue;
            };
            let approved = self.folder.read(&name, State::Approved)?;
            let extent = self.show(&new, approved.as_ref())?;
            let command = match self.heard(extent)? {
                Heard::Resized => continue,
                Heard::Nothing => {
                    self.review.notice = "that key does nothing here; ? says what the others do".into();
                    continue;
                }
                Heard::Command(command) => command,
            };
            self.review.notice.clear();
            match command {
                Command::Quit => break,
                Command::Toggle(part) => self.review.toggle(part),
                Command::Scroll(by) => self.review.scroll(by, extent),
                Command::Undo => self.undo()?,
                Command::Decide(decision, Scope::This) => self.decide(decision, &new)?,
                Command::Decide(decision, Scope::Rest) => self.decide_the_rest(decision, &new)?,
                Command::Pager => self.page(&name, &new, approved.as_ref())?,
            }
        }
        Ok(self.term.clear_screen()?)
    }

    /// Shows that all is decided; says whether the last step was taken back then.
    fn takes_back_at_the_end(&mut self) -> anyhow::Result<bool> {
        loop {
            self.term.clear_screen()?;
            self.term.write_str(&screen::render_end(&self.review, self.view().0))?;
            match self.heard(Extent::default())? {
                Heard::Resized => {}
                Heard::Command(Command::Undo) => {
                    self.undo()?;
                    return Ok(true);
                }
                Heard::Command(_) | Heard::Nothing => return Ok(false),
            }
        }
    }

    fn view(&self) -> (View, usize) {
        let (rows, columns) = self.term.size();
        let paint = paint(self.global.color, &io::stdout());
        (View { width: usize::from(columns).max(40), paint }, usize::from(rows))
    }

    fn show(&self, new: &Snapshot, approved: Option<&Snapshot>) -> anyhow::Result<Extent> {
        let (view, rows) = self.view();
        let Screen { text, extent } = screen::render(&self.review, Waiting { approved, new }, view, rows);
        self.term.clear_screen()?;
        self.term.write_str(&text)?;
        Ok(extent)
    }

    /// What the next key asks for, beside a body of this extent.
    fn heard(&mut self, extent: Extent) -> anyhow::Result<Heard> {
        let key = match self.keys.next() {
            Ok(Some(key)) => key,
            Ok(None) => return Ok(Heard::Resized),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(Heard::Command(Command::Quit)),
            Err(error) => return Err(error).context("the terminal cannot be read; what was decided is kept"),
        };
        let asked = match key {
            Key::Char(key) => Command::of_key(key),
            Key::CtrlC => return Ok(Heard::Command(Command::Quit)),
            Key::Escape => Some(Command::Quit),
            Key::ArrowDown => Some(Command::Scroll(Scroll::Lines(1))),
            Key::ArrowUp => Some(Command::Scroll(Scroll::Lines(-1))),
            Key::PageDown => Some(Command::Scroll(Scroll::Pages(1))),
            Key::PageUp => Some(Command::Scroll(Scroll::Pages(-1))),
            Key::Home => Some(Command::Scroll(Scroll::Beginning)),
            Key::End => Some(Command::Scroll(Scroll::End)),
            _ => None,
        };
        Ok(self.review.meant(asked, extent).map_or(Heard::Nothing, Heard::Command))
    }

    /// Decides on the snapshot on the screen.
    fn decide(&mut self, decision: Decision, shown: &Snapshot) -> anyhow::Result<()> {
        let [name] = self.review.in_scope(Scope::This) else { return Ok(()) };
        let name = name.clone();
        let before = match decision {
            Decision::Accept => {
                let Some(taken) = self.folder.accept(&name, shown, clock::now())? else {
                    self.review.notice = "a run has left other answers meanwhile: these are they".into();
                    return Ok(());
                };
                vec![taken]
            }
            Decision::Reject => self.folder.reject(&name)?.into_iter().collect(),
            Decision::Skip => Vec::new(),
        };
        self.has_decided(decision, before, &[name]);
        Ok(())
    }

    /// Decides on the snapshot on the screen and on all after it, once that is confirmed. Skipping changes nothing and needs no word.
    fn decide_the_rest(&mut self, decision: Decision, shown: &Snapshot) -> anyhow::Result<()> {
        let names = self.review.in_scope(Scope::Rest).to_vec();
        let found = beside(&self.folder, &names)?;
        let taken: Vec<&(String, Snapshot)> = match decision {
            Decision::Accept => accepted_together(&found, &names, shown),
            Decision::Reject | Decision::Skip => found.iter().filter(|(name, _)| names.contains(name)).collect(),
        };
        if decision != Decision::Skip {
            // What the key before did may take more lines than the question is written over, so that the screen is shown without it.
            let approved = names.first().map(|name| self.folder.read(name, State::Approved)).transpose()?.flatten();
            self.show(shown, approved.as_ref())?;
            if !self.confirms(&screen::question(decision, taken.len(), names.len()))? {
                self.review.notice = "nothing was decided".into();
                return Ok(());
            }
            self.foot(&[screen::under_way(decision, taken.len())])?;
        }
        let mut before = Vec::new();
        for (name, snapshot) in &taken {
            match decision {
                Decision::Accept => before.extend(self.folder.accept(name, snapshot, clock::now())?),
                Decision::Reject => before.extend(self.folder.reject(name)?),
                Decision::Skip => {}
            }
        }
        let names: Vec<String> = taken.iter().map(|(name, _)| name.clone()).collect();
        self.review.first(&names);
        self.has_decided(decision, before, &names);
        Ok(())
    }

    fn has_decided(&mut self, decision: Decision, before: Vec<Before>, names: &[String]) {
        if names.is_empty() {
            self.review.notice = "nothing was left to decide on".into();
            return;
        }
        self.taken_back.push(before);
        self.review.decided(decision, names.len());
        self.review.notice = match names {
            [name] => format!("{} {name}; u takes that back", decision.past()),
            names => format!("{} {}; u takes that back", decision.past(), words::count(names.len(), "snapshot")),
        };
    }

    /// Asks above the last line.
    fn confirms(&mut self, question: &str) -> anyhow::Result<bool> {
        loop {
            self.foot(&screen::asked(question, self.view().0))?;
            match self.keys.next() {
                Ok(None) => self.term.clear_screen()?,
                Ok(Some(key)) => return Ok(matches!(key, Key::Char('y' | 'Y'))),
                Err(_) => return Ok(false),
            }
        }
    }

    /// Shows lines above the last one, in place of what stands there.
    fn foot(&self, lines: &[String]) -> io::Result<()> {
        let first = self.view().1.saturating_sub(lines.len() + 1);
        for (at, line) in lines.iter().enumerate() {
            self.term.move_cursor_to(0, first + at)?;
            self.term.clear_line()?;
            self.term.write_str(line)?;
        }
        Ok(())
    }

    fn undo(&mut self) -> anyhow::Result<()> {
        for before in self.taken_back.pop().unwrap_or_default() {
            self.folder.restore(&before)?;
        }
        self.review.notice = match self.review.undone() {
            0 => "there is nothing to take back".to_owned(),
            count => format!("taken back: {} again undecided", words::count(count, "snapshot")),
        };
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

/// What is accepted together with the snapshot on the screen: all that are left but for what is not taken with others unasked. Of the
/// endpoint on the screen the verdict has been seen, so that all of it is taken.
fn accepted_together<'a>(
    found: &'a [(String, Snapshot)],
    names: &[String],
    shown: &Snapshot,
) -> Vec<&'a (String, Snapshot)> {
    let cautions = cautions(found);
    let run = |s: &Snapshot| (s.head.model.clone(), s.head.endpoint.clone(), s.head.source.clone());
    let is_taken = |(name, snapshot): &&(String, Snapshot)| {
        names.contains(name) && (!cautions.contains_key(name.as_str()) || run(snapshot) == run(shown))
    };
    found.iter().filter(is_taken).collect()
}

fn summary(tally: Tally) -> String {
    let Tally { accepted, rejected, skipped, left } = tally;
    let waits = skipped + left;
    let still = if waits > 0 { format!("; {waits} still wait: samemodel review") } else { String::new() };
    format!("{accepted} accepted, {rejected} rejected{still}\n")
}
