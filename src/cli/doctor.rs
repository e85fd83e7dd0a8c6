//! `samemodel doctor`: examine endpoints, say what each does with each part of a request, and what to set.

use std::process::ExitCode as Code;
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::alarm::send_due;
use super::args::Global;
use super::args::doctor::{Doctor, DoctorFormat};
use super::fleet::Lab;
use super::session::{Overrides, Ready, Resolved, Session, fresh_seed, pace};
use super::sink::Sink;
use super::{NothingMeasured, UsageError, clock, fitted, mask, note, view};
use crate::alert::{Occasion, changes};
use crate::client::{Client, Limiter, Target};
use crate::config::{Address, Credentials, Endpoint, Provider};
use crate::deliver::{Known, Receivers};
use crate::doctor::{Examination, Examined, Subject, last_told};
use crate::exit::ExitCode;
use crate::plan::{KnownRefusal, LeftOut, Plan};
use crate::plural;
use crate::probe;
use crate::report::doctor::{DoctorPlan, DoctorReport, PlannedExamination, Unasked};
use crate::runner::examine::{Line, examine, time_limits};
use crate::store::{AlertStore as _, AlertUpdate, ExaminationStore as _, SqliteStore, StoreError};

/// Endpoints that are examined at once; each is asked one thing after the other.
const AT_ONCE: usize = 4;

/// What was found of endpoints, and what was told of them last before.
struct Found {
    now: Vec<Examined>,
    before: Vec<Examined>,
}

pub(super) async fn doctor(args: &Doctor, global: &Global) -> anyhow::Result<Code> {
    let sink = Sink::open(args.output.as_deref(), global, &[])?;
    let session = chosen(args, global)?;
    let credentials = Credentials::of(&session.loaded.config, &session.environment);
    mask::know(&credentials.redactor());
    let receivers = if args.alert { Some(receivers(&session, &credentials)?) } else { None };
    let resolved = session.resolve(&credentials)?;
    let plan = planned(&session, &resolved);
    if args.dry_run {
        let columns = view(&sink, global).width;
        sink.write(&if args.format == DoctorFormat::Json { plan.json() } else { fitted(&plan.text(), columns) })?;
        return Ok(Code::SUCCESS);
    }
    // Opened before anything is asked: what cannot be kept is not worth its cost.
    let store = SqliteStore::open(&session.data_dir(global), credentials.redactor()).await?;
    if !global.quiet {
        note(plan.text().trim_end());
    }
    let now = examine_all(&session, &resolved, &Client::new(credentials.redactor())).await?;
    let found = Found { now, before: last_told(store.recent_examinations(&session.name).await?) };
    keep(&store, &session, &found, receivers.as_ref()).await?;
    store.close().await?;
    let has_answers = found.now.iter().any(Examined::has_answered);
    let unasked = resolved.unasked.into_iter().map(|u| Unasked { endpoint: u.endpoint, reason: u.reason }).collect();
    let report = DoctorReport::new(&session.name, found.now, &found.before, unasked);
    deliver(&report, args.format, sink, global)?;
    if !has_answers {
        let what = format!("no endpoint of `{}` answered, so nothing was found out", session.name);
        return Err(NothingMeasured(what).into());
    }
    let changed = args.fail_on_change && report.has_changes();
    Ok(if changed { ExitCode::Drifted.into() } else { Code::SUCCESS })
}

/// The model with the endpoints that are asked for, or all of them.
fn chosen(args: &Doctor, global: &Global) -> anyhow::Result<Session> {
    let mut session = Session::open(global, args.model.as_deref(), &Overrides::default())?;
    session.keep_only(&args.endpoint)?;
    if !args.endpoint.is_empty() {
        session.model.endpoint.retain(|endpoint| args.endpoint.contains(&endpoint.name));
    }
    Ok(session)
}

/// Who is told of changes; refused before anything is asked where that is nobody.
fn receivers(session: &Session, credentials: &Credentials) -> anyhow::Result<Receivers> {
    let config = &session.loaded.config;
    if !config.alert.is_configured() {
        let what = "`--alert` tells nobody: no receiver is configured, so add one under [alert.receiver.<name>]";
        return Err(UsageError(what.into()).into());
    }
    Ok(Receivers::of(config, credentials))
}

/// Keeps what was found, and tells the receivers what changed. Fails when either cannot be kept. The messages are kept
/// first: when this is killed between the two, the next examination makes the same messages, which are not added again.
async fn keep(
    store: &SqliteStore,
    session: &Session,
    found: &Found,
    receivers: Option<&Receivers>,
) -> Result<(), StoreError> {
    if receivers.is_some() {
        store.update_alerts(&messages(store, session, found).await?).await?;
    }
    // What could not be reached tells nothing, and must not hide what is known.
    let told: Vec<Examined> = found.now.iter().filter(|examined| examined.has_answered()).cloned().collect();
    store.keep_examinations(&session.name, &told).await?;
    if let Some(receivers) = receivers {
        send_due(store, receivers).await;
    }
    Ok(())
}

/// What is to be sent of what changed.
async fn messages(store: &SqliteStore, session: &Session, found: &Found) -> Result<AlertUpdate, StoreError> {
    let at = clock::now();
    let known = Known::from(store, at).await?;
    let changes = changes(&session.name, &found.now, &found.before);
    let occasion = Occasion { model: &session.name, run: None, at, made: at };
    Ok(known.tell(changes, &occasion, &session.loaded.config.alert))
}

fn deliver(report: &DoctorReport, format: DoctorFormat, sink: Sink, global: &Global) -> anyhow::Result<()> {
    let view = view(&sink, global);
    let text = match format {
        DoctorFormat::Table => report.table(&view),
        DoctorFormat::Json => report.json(),
    };
    sink.write(&text)
}

fn subject<'a>(session: &'a Session, ready: &'a Ready) -> Subject<'a> {
    Subject {
        model: &session.name,
        endpoint: &ready.endpoint,
        provider: &ready.provider,
        defaults: &session.defaults,
        price: session.price(&ready.endpoint),
    }
}

fn planned(session: &Session, resolved: &Resolved) -> DoctorPlan {
    let endpoints = resolved.ready.iter().map(|ready| PlannedExamination {
        endpoint: ready.endpoint.name.clone(),
        estimate: Examination::new(subject(session, ready))
            .estimate(pace(&Provider { concurrency: 1, ..ready.provider.clone() })),
    });
    DoctorPlan::new(&session.name, endpoints.collect())
}

async fn examine_all(session: &Session, resolved: &Resolved, client: &Client) -> anyhow::Result<Vec<Examined>> {
    let lab = Lab::start(&resolved.ready, fresh_seed(), session.lab_time()).await?;
    let lab = &lab;
    let examined = resolved.ready.iter().map(|ready| async move {
        let line = Line { client, target: target(session, ready, lab)?, limiter: limiter(session, &ready.provider) };
        let examination = examine(subject(session, ready), &line).await;
        anyhow::Ok(examination.finish(clock::now()))
    });
    stream::iter(examined).buffered(AT_ONCE).try_collect().await
}

fn target(session: &Session, ready: &Ready, lab: &Lab) -> anyhow::Result<Target> {
    let limits = ready.provider.timeout.as_ref().unwrap_or(&session.defaults.timeout);
    let mut provider = Provider { timeout: Some(time_limits(limits)), ..ready.provider.clone() };
    match &ready.address {
        Address::Lab(_) => provider.base_url.clone_from(&lab.urls[&ready.endpoint.name]),
        Address::Host(url) => provider.base_url = url.to_string(),
    }
    Ok(Target::resolve(&ready.endpoint, &provider, &session.defaults.timeout, ready.key.as_ref(), |_| None)?)
}

/// One request at a time. Waits that the host asks for are the examination's to keep.
fn limiter(session: &Session, provider: &Provider) -> Limiter {
    let longest = session.defaults.retry.longest_asked_wait.min(crate::doctor::LONGEST_WAIT.as_secs_f64());
    Limiter::new(1, provider.requests_per_minute, Duration::from_secs_f64(longest))
}

/// What the latest examinations found that endpoints refuse, as far as it is still about what is configured.
pub(super) async fn known_refusals(store: &SqliteStore, session: &Session) -> anyhow::Result<Vec<KnownRefusal>> {
    let (examined, now) = (store.latest_examinations(&session.name).await?, clock::now());
    let of = |endpoint: &Endpoint| {
        let is_of =
            |e: &&Examined| e.endpoint == endpoint.name && e.provider == endpoint.provider && e.model == endpoint.model;
        examined.iter().find(is_of).filter(|examined| examined.holds_at(now))
    };
    let mut refusals = Vec::new();
    for endpoint in &session.model.endpoint {
        // Where the configuration says that a seed is not sent, no request has one.
        let sends_seed = session.loaded.config.provider[&endpoint.provider].dialect.seed;
        let is_sent = |feature: probe::Feature| feature != probe::Feature::Seed || sends_seed;
        for (examined, finding) in of(endpoint).into_iter().flat_map(|e| e.refused().map(move |finding| (e, finding))) {
            if let Some(feature) = finding.feature.of_requests().filter(|feature| is_sent(*feature)) {
                refusals.push(KnownRefusal {
                    endpoint: endpoint.name.clone(),
                    feature,
                    words: finding.words.clone().unwrap_or_default(),
                    since: examined.examined_at,
                });
            }
        }
    }
    Ok(refusals)
}

/// Says on standard error what a run does not send.
pub(super) fn say_what_is_left_out(plan: &Plan) {
    for LeftOut { endpoint, requests, count, since, .. } in &plan.left_out {
        let (since, left_out) = (since.strftime("%Y-%m-%d"), plural::count(*count as usize, "request"));
        let are = if *count == 1 { "is" } else { "are" };
        note(&format!(
            "{endpoint}: {left_out} {requests} {are} left out, since it refused such on {since} \
             (`samemodel doctor` looks again)"
        ));
    }
}
