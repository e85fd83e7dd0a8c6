//! How what is watched stands, for people: one screen.
//!
//! Part of layer 4's status, pure.

use std::fmt::Write as _;
use std::iter;

use super::{
    AlertStatus, EndpointStatus, LatestVerdict, MessageStatus, ModelStatus, NextCheck, SilenceStatus, StatusReport,
};
use crate::alert::Kind;
use crate::config::Reference;
use crate::report::history::tone;
use crate::report::layout::{self, Tone, at_most, left, wrap};
use crate::report::terminal::View;
use crate::report::{escape, words};
use crate::schedule::Tier;
use crate::store::Ending;
use crate::verdict::{Finding, Verdict};

/// The most lines of one text: hosts may have much to say, and all of it stands in the report.
const MOST_LINES: usize = 3;

/// Alerts that are shown, and silences and messages: with more of them the screen would be longer than a terminal.
const ALERTS: usize = 6;
const OTHERS: usize = 4;

/// Models whose first check is named.
const NAMED_MODELS: usize = 3;

impl StatusReport {
    /// As one screen: what is wrong in a line, then each model, and then what there is of alerts, silences and messages.
    pub fn screen(&self, view: View) -> String {
        let tone = if self.is_firing() { Tone::Bad } else { Tone::Heading };
        let head = format!("{} UTC: {}", minute(&self.at), self.summary());
        let mut out = view.paint.apply(tone, &head) + "\n";
        for model in &self.models {
            out.push('\n');
            model.put(&mut out, view);
        }
        if let Some(advice) = self.advice() {
            out.push('\n');
            put(&mut out, &advice, view);
        }
        let told = |alert: &AlertStatus| alert.words(self.latest_of(alert));
        let mut alerts = first(self.alerts.iter().filter(|alert| !alert.abandoned).map(told), ALERTS);
        alerts.extend(self.abandoned());
        let mut messages = first(self.messages.iter().map(MessageStatus::words), OTHERS);
        messages.extend(self.messages.iter().any(|message| message.is_due).then(|| words::WHAT_SENDS.to_owned()));
        let sections = [
            ("alerts", alerts),
            ("silences", first(self.silences.iter().map(SilenceStatus::words), OTHERS)),
            ("messages", messages),
        ];
        for (title, texts) in sections.iter().filter(|(_, texts)| !texts.is_empty()) {
            let _ = writeln!(out, "\n{}", view.paint.apply(Tone::Heading, title));
            for text in texts {
                put(&mut out, text, view);
            }
        }
        out
    }

    /// What was said last of the endpoint that an alert is about.
    fn latest_of(&self, alert: &AlertStatus) -> Option<Verdict> {
        let model = self.models.iter().find(|model| model.model == alert.model)?;
        let endpoint = model.endpoints.iter().find(|endpoint| endpoint.endpoint == alert.endpoint)?;
        endpoint.latest.as_ref().map(|latest| latest.verdict)
    }

    /// Which alerts are left that no check looks after.
    fn abandoned(&self) -> Option<String> {
        let mut about: Vec<String> =
            self.alerts.iter().filter(|alert| alert.abandoned).map(AlertStatus::about).collect();
        let alerts = words::count(about.len(), "alert");
        about.dedup();
        let names = words::few(&about.iter().map(String::as_str).collect::<Vec<_>>());
        (!about.is_empty()).then(|| format!("{alerts} of what is no longer checked: {names} (`samemodel alert list`)"))
    }

    /// What to run where nothing was judged yet.
    fn advice(&self) -> Option<String> {
        let mut endpoints = self.models.iter().flat_map(|model| &model.endpoints).peekable();
        endpoints.peek()?;
        if endpoints.any(|endpoint| endpoint.latest.is_some()) {
            return None;
        }
        // Of a check that failed the alert says why, and another one would fail as it did.
        let models: Vec<&ModelStatus> = self.models.iter().filter(|model| !self.has_failed(model)).collect();
        let check = |model: &&ModelStatus| format!("`samemodel check {}`", escape::shell_word(&model.model));
        let checks: Vec<String> = models.iter().take(NAMED_MODELS).map(check).collect();
        let more = match models.len().saturating_sub(NAMED_MODELS) {
            0 => String::new(),
            n => format!(" and {n} more"),
        };
        let watch = if models.iter().any(|model| model.next.is_some()) { ", or `samemodel watch --once`" } else { "" };
        (!models.is_empty()).then(|| format!("nothing was judged yet: run {}{more}{watch}", checks.join(", ")))
    }

    /// Whether the latest check of a model came to nothing.
    fn has_failed(&self, model: &ModelStatus) -> bool {
        let of = |alert: &&AlertStatus| alert.kind == Kind::Checker && alert.model == model.model;
        self.alerts.iter().filter(of).any(AlertStatus::is_firing)
    }

    fn summary(&self) -> String {
        let (firing, pending): (Vec<&AlertStatus>, _) =
            self.alerts.iter().filter(|alert| !alert.abandoned).partition(|alert| alert.is_firing());
        match (firing.len(), pending.len()) {
            (0, 0) => "nothing fires".to_owned(),
            (0, pending) => format!("nothing fires, {pending} pending"),
            (firing, 0) => format!("{firing} firing"),
            (firing, pending) => format!("{firing} firing, {pending} pending"),
        }
    }
}

impl ModelStatus {
    fn put(&self, out: &mut String, view: View) {
        let waits = if self.waiting == 1 { "waits" } else { "wait" };
        let review = format!("{} {waits} for `samemodel review`", words::count(self.waiting, "snapshot"));
        let next = self.next.as_ref().map_or_else(|| "no check is to come".to_owned(), NextCheck::words);
        let against = self.reference.as_deref().map(|name| format!("held against {}", words::reference_name(name)));
        let waiting = (self.waiting > 0).then_some(review);
        let parts: Vec<String> = against.into_iter().chain([next]).chain(waiting).chain(self.left_open()).collect();
        put(out, &format!("{}: {}", self.model, parts.join("; ")), view);
        let column = self.name_column(view);
        for endpoint in &self.endpoints {
            for line in endpoint.rows(column, view) {
                let _ = writeln!(out, "{line}");
            }
            let below = endpoint.latest.as_ref().map(|latest| latest.below(self));
            for line in below.iter().filter(|text| !text.is_empty()).flat_map(|text| set_in(text, view)) {
                let _ = writeln!(out, "{line}");
            }
        }
    }

    /// How wide the column of names is: as the longest, where there is room for an effect beside it.
    fn name_column(&self, view: View) -> usize {
        let longest = self.endpoints.iter().map(|e| layout::width(&escape::line(&e.endpoint))).max().unwrap_or(0);
        let least = NAME.min((view.width + GAP).saturating_sub(BESIDE_NAME)).max(NARROWEST_NAME);
        longest.clamp(least, view.width.saturating_sub(BESIDE_NAME + EFFECT).max(least))
    }
}

impl ModelStatus {
    /// What a run left open, and which command goes on with it: the latest one that has not ended, or that of the verdicts.
    fn left_open(&self) -> Option<String> {
        let Some(open) = &self.open_run else { return self.stopped() };
        let verb = if open.reference == Reference::SNAPSHOT { "test" } else { "check" };
        let model = escape::shell_word(&self.model);
        Some(format!(
            "the run of {} UTC has not ended: it is at work, or it was killed and `samemodel {verb} {model} --resume` goes on with it",
            minute(&open.started_at)
        ))
    }

    /// That the run which left a verdict open was stopped, and which command goes on with it.
    fn stopped(&self) -> Option<String> {
        let is_open = |latest: &&LatestVerdict| matches!(latest.verdict, Verdict::Inconclusive | Verdict::Unmeasured);
        let why = |latest: &LatestVerdict| match latest.run_status.as_deref()? {
            status if status == Ending::Partial.as_str() => Some("stopped before the end:"),
            status if status == Ending::StoppedBudget.as_str() => Some("stopped at the budget: raise it and"),
            _ => None,
        };
        let mut open = self.endpoints.iter().filter_map(|endpoint| endpoint.latest.as_ref()).filter(is_open);
        let (latest, why) = open.find_map(|latest| Some((latest, why(latest)?)))?;
        let verb = if latest.reference.as_deref() == Some(Reference::SNAPSHOT) { "test" } else { "check" };
        let model = escape::shell_word(&self.model);
        Some(format!("its latest run was {why} go on with `samemodel {verb} {model} --resume`"))
    }
}

impl LatestVerdict {
    /// What is to be said below its row: what its run held the endpoint against, where that is not what the model's checks do, why
    /// there is no effect, where there is none, and what keeps many requests from being answered. A reason may be one of snapshots
    /// that were decided on since: then it is to be asked again.
    fn below(&self, model: &ModelStatus) -> String {
        let own = self.reference.as_deref().filter(|own| Some(*own) != model.reference.as_deref());
        let against = own.map(|own| format!("held against {}", words::reference_name(own)));
        let is_of_snapshots = self.reference.as_deref() == Some(Reference::SNAPSHOT);
        let is_to_be_asked = self.verdict == Verdict::Unmeasured && is_of_snapshots && model.waiting == 0;
        let then = if is_to_be_asked { "then: " } else { "" };
        let why = Some(&self.reason).filter(|reason| self.effect.is_none() && !reason.is_empty());
        let again = format!("nothing waits now: ask again with `samemodel test {}`", escape::shell_word(&model.model));
        let parts = against.into_iter().chain(why.map(|reason| format!("{then}{reason}")));
        parts.chain(self.failing.clone()).chain(is_to_be_asked.then_some(again)).collect::<Vec<_>>().join("; ")
    }
}

/// The least columns of an endpoint's name, what else stands before an effect: time and verdict with their gaps, and the columns of an
/// effect as it mostly is.
const NAME: usize = 20;
const GAP: usize = 2;
const BESIDE_NAME: usize = GAP + GAP + 16 + GAP + 12 + GAP;
const EFFECT: usize = 16;

/// The columns of a name on a screen that has no room for the usual ones.
const NARROWEST_NAME: usize = 8;

impl EndpointStatus {
    /// Its row; an effect for which there is no room has a line of its own.
    fn rows(&self, column: usize, view: View) -> Vec<String> {
        let name = layout::name(&escape::line(&self.endpoint), column);
        let Some(latest) = &self.latest else { return vec![format!("  {name}  never judged")] };
        let verdict = view.paint.apply(tone(latest.verdict), &left(latest.verdict.as_str(), 12));
        let row = format!("  {name}  {}  {verdict}", minute(&latest.started_at));
        let effect = latest.effect.as_ref().map_or_else(String::new, words::effect);
        if effect.is_empty() || BESIDE_NAME + column + layout::width(&effect) <= view.width {
            return vec![format!("{row}  {effect}").trim_end().to_owned()];
        }
        iter::once(row.trim_end().to_owned()).chain(set_in(&effect, view)).collect()
    }
}

impl NextCheck {
    fn words(&self) -> String {
        let check = if self.tier == Tier::Full.as_str() { "full check" } else { &self.tier };
        let at = minute(&self.at);
        if self.is_due { format!("{check} due since {at} UTC") } else { format!("next {check} at {at} UTC") }
    }
}

impl AlertStatus {
    fn about(&self) -> String {
        match (self.model.as_str(), self.endpoint.as_str()) {
            ("", _) => "samemodel".to_owned(),
            (model, "") => model.to_owned(),
            (model, endpoint) => format!("{model}/{endpoint}"),
        }
    }

    /// In words, given what was said last of the endpoint.
    fn words(&self, latest: Option<Verdict>) -> String {
        let about = self.about();
        let phase = if self.flapping { "flapping" } else { &self.phase };
        let silenced = if self.silenced { ", silenced" } else { "" };
        let (kind, severity, since) = (self.kind.as_str(), self.severity.as_str(), minute(&self.since));
        let head = format!("{phase}: {kind} of {about}, {severity}{silenced}, since {since} UTC");
        format!("{head}: {}{}", self.reason, self.likely_causes(latest))
    }

    /// What a drift probably comes of, while there is one, and beside it what the service does wrong, of which no drift comes.
    fn likely_causes(&self, latest: Option<Verdict>) -> String {
        if self.kind != Kind::Drift || latest.is_some_and(|verdict| verdict != Verdict::Drifted) {
            return String::new();
        }
        let (beside, causes): (Vec<&Finding>, Vec<&Finding>) = self.causes.iter().partition(|f| f.is_of_the_service());
        let named = |found: &[&Finding], before: &str| {
            let first = found.first().map(|f| format!("{before}{} ({})", f.fault, words::confidence(f.confidence)));
            first.unwrap_or_default()
        };
        named(&causes, "; ") + &named(&beside, "; beside that, and no drift: ")
    }
}

impl SilenceStatus {
    fn words(&self) -> String {
        let Self { model, endpoint, comment, .. } = self;
        let why = if comment.is_empty() { String::new() } else { format!(": {comment}") };
        format!("{model}/{endpoint} until {} UTC{why}", minute(&self.until))
    }
}

impl MessageStatus {
    fn words(&self) -> String {
        let Self { receiver, about, .. } = self;
        let at = minute(&self.at);
        let why = self.failure.as_ref().map_or_else(String::new, |why| format!(" ({why})"));
        match self.state.as_str() {
            "waiting" if self.is_due => format!("due for {receiver} since {at} UTC: {about}{why}"),
            "waiting" => format!("waits for {receiver} until {at} UTC: {about}{why}"),
            _ => format!("given up for {receiver} at {at} UTC: {about}{why}"),
        }
    }
}

/// The first few texts, and how many more there are.
fn first(texts: impl Iterator<Item = String>, most: usize) -> Vec<String> {
    let mut texts: Vec<String> = texts.collect();
    let more = texts.len().saturating_sub(most);
    texts.truncate(most);
    texts.extend((more > 0).then(|| format!("{more} more: `samemodel alert list`")));
    texts
}

/// A time to the minute.
fn minute(at: &str) -> String {
    at.get(..16).unwrap_or(at).replace('T', " ")
}

/// Raw text below a row, in a few lines that fit.
fn set_in(text: &str, view: View) -> Vec<String> {
    let columns = view.width.saturating_sub(4);
    let lines = at_most(wrap(&escape::line(text), columns), MOST_LINES, columns);
    lines.iter().map(|line| format!("    {}", line.trim_end())).collect()
}

/// Writes raw text in lines that fit; those after the first are set in.
fn put(out: &mut String, text: &str, view: View) {
    let columns = view.width.saturating_sub(2);
    let lines = at_most(wrap(&escape::line(text), columns), MOST_LINES, columns);
    for (number, line) in lines.iter().enumerate() {
        let indent = if number == 0 { "" } else { "  " };
        let _ = writeln!(out, "{indent}{}", line.trim_end());
    }
}
