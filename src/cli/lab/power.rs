//! `samemodel lab power`: trials with progress, and the report in the form asked for.

use std::io::IsTerminal as _;
use std::path::Path;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Code;
use crate::cli::args::Global;
use crate::cli::args::lab::{LabPower, PowerFormat, SeverityChoice};
use crate::cli::session::data_dir;
use crate::cli::signals::stop_on_signals;
use crate::cli::sink::Sink;
use crate::cli::{UsageError, init, is_dumb, note};
use crate::config::Price;
use crate::event::Event;
use crate::power::{Case, Happening, PowerError, Severities, Study, chart, table};
use crate::probe::{self, Probe};

/// The shipped probes that no threshold was chosen with.
const HELD_OUT: &str = "lab-held-out";

pub async fn power(args: &LabPower, global: &Global) -> anyhow::Result<Code> {
    let sink = Sink::open(args.output.as_deref(), global, &[])?;
    let folder = data_dir(global, Path::new("")).join("power");
    let study = Study {
        cases: cases(args)?,
        designs: args
            .design
            .iter()
            .map(|text| text.parse().map_err(|e: crate::power::DesignError| UsageError(e.to_string())))
            .collect::<Result<_, _>>()?,
        first_seed: args.first_seed,
        trials: args.seeds,
        probes: probes(args, &folder)?,
        price: Price { input: args.price.0, output: args.price.1 },
        folder,
    };
    let progress = Progress::new(global);
    let report = match study.run(&|happening| progress.show(&happening), &stop_on_signals()).await {
        Err(error @ PowerError::Stopped { .. }) => {
            progress.finish();
            note(&error.to_string());
            return Ok(crate::exit::ExitCode::Undecided.into());
        }
        other => other?,
    };
    progress.finish();
    let text = match args.format {
        PowerFormat::Table => table::terminal(&report),
        PowerFormat::Markdown => table::markdown(&report),
        PowerFormat::Json => serde_json::to_string_pretty(&report)? + "\n",
        PowerFormat::Svg => chart::svg(&report),
    };
    sink.write(&text)?;
    Ok(Code::SUCCESS)
}

fn cases(args: &LabPower) -> anyhow::Result<Vec<Case>> {
    if !args.fault.is_empty() {
        let one = |text: &String| Case::of_address(text).map_err(|error| UsageError(error.to_string()).into());
        return args.fault.iter().map(one).collect();
    }
    let severities = match args.severities {
        SeverityChoice::Usual => Severities::Usual,
        SeverityChoice::All => Severities::All,
    };
    Ok(Case::honest().into_iter().chain(Case::faults(severities)).collect())
}

fn probes(args: &LabPower, folder: &Path) -> anyhow::Result<Vec<Probe>> {
    if !args.probes.is_empty() {
        return Ok(probe::load(&args.probes, Path::new(""))?);
    }
    let prompts = folder.join("prompts");
    init::unpack(HELD_OUT, &prompts.join(HELD_OUT))?;
    Ok(probe::load(&[HELD_OUT.to_owned()], &prompts)?)
}

/// What is shown while trials run: a bar on a terminal, a line for each trial otherwise.
struct Progress {
    bar: ProgressBar,
    form: Form,
}

#[derive(PartialEq, Eq)]
enum Form {
    Bar,
    Lines,
    Silent,
}

impl Progress {
    fn new(global: &Global) -> Self {
        let form = match () {
            () if global.quiet => Form::Silent,
            () if std::io::stderr().is_terminal() && !is_dumb() => Form::Bar,
            () => Form::Lines,
        };
        let target = if form == Form::Bar { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target);
        // A template that cannot be read would be the program's own mistake; the bar's usual look serves as well.
        if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} answers, {eta} left in it") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(250));
        Self { bar, form }
    }

    fn show(&self, happening: &Happening) {
        match happening {
            Happening::Trial { number, of, design } => {
                let title = format!("trial {number} of {of}, design {design}");
                if self.form == Form::Lines {
                    note(&title);
                }
                self.bar.set_message(title);
            }
            Happening::Within(Event::Started { planned, .. }) => {
                self.bar.set_length(*planned as u64);
                self.bar.set_position(0);
            }
            Happening::Within(Event::Answered { .. } | Event::GaveUp { .. }) => self.bar.inc(1),
            Happening::Oracle { case, of } => self.bar.set_message(format!("oracle {case} of {of}")),
            Happening::Within(_) => {}
        }
    }

    fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
