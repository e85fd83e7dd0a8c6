//! `samemodel alert`: try the receivers, see how alerts stand, silence some, send what waits.

mod list;

use std::path::PathBuf;
use std::process::ExitCode as Code;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::alarm::{flush, trouble};
use super::args::Global;
use super::args::alert::{Alert, AlertVerb, Send, Silence, Test, Unsilence};
use super::session::data_dir;
use super::{UsageError, clock, emit, history, mask, note, status};
use crate::alert::fits;
use crate::config::{Config, Credentials, Environment, Model};
use crate::deliver::{Receivers, words};
use crate::exit::ExitCode;
use crate::redact::Redactor;
use crate::report::escape;
use crate::report::words::count;
use crate::store::{self, AlertStore as _, SilenceId, SqliteStore, State};
use crate::suggest::aside;

/// How far back the list shows what was sent.
const SHOWN: SignedDuration = SignedDuration::from_hours(7 * 24);

/// What all verbs need.
struct Office {
    config: Config,
    receivers: Receivers,
    redactor: Redactor,
    data_dir: PathBuf,
    /// Models and endpoints that are watched over.
    watched: Vec<(String, String)>,
}

impl Office {
    fn open(global: &Global) -> anyhow::Result<Self> {
        let environment = Environment::of_process();
        let loaded = Config::load(global.config.as_deref(), &environment, &[])?;
        let credentials = Credentials::of(&loaded.config, &environment);
        mask::know(&credentials.redactor());
        Ok(Self {
            receivers: Receivers::of(&loaded.config, &credentials),
            redactor: credentials.redactor(),
            data_dir: data_dir(global, &loaded.folder),
            watched: watched(&loaded.config),
            config: loaded.config,
        })
    }

    async fn store(&self) -> anyhow::Result<SqliteStore> {
        Ok(SqliteStore::open(&self.data_dir, self.redactor.clone()).await?)
    }
}

fn watched(config: &Config) -> Vec<(String, String)> {
    let endpoints = |(name, model): (&String, &Model)| -> Vec<(String, String)> {
        model.endpoint.iter().map(|e| (name.clone(), e.name.clone())).collect()
    };
    config.model.iter().flat_map(endpoints).collect()
}

pub(super) async fn alert(args: &Alert, global: &Global) -> anyhow::Result<Code> {
    match &args.verb {
        AlertVerb::List => look(global).await,
        AlertVerb::Test(args) => test(args, &Office::open(global)?).await,
        AlertVerb::Silence(args) => {
            let office = Office::open(global)?;
            let store = office.store().await?;
            closed(silence(args, &store, &office.watched).await, store).await
        }
        AlertVerb::Unsilence(args) => {
            let store = Office::open(global)?.store().await?;
            closed(unsilence(args, &store).await, store).await
        }
        AlertVerb::Send(args) => {
            let office = Office::open(global)?;
            let store = office.store().await?;
            closed(send(args, &store, &office.receivers).await, store).await
        }
    }
}

async fn closed(done: anyhow::Result<Code>, store: SqliteStore) -> anyhow::Result<Code> {
    store.close().await?;
    done
}

/// Lists what there is, and makes nothing.
async fn look(global: &Global) -> anyhow::Result<Code> {
    let config = status::configuration(global)?;
    mask::know(&Credentials::of(&config, &Environment::of_process()).redactor());
    let store = history::open_beside(&config, global).await?;
    let done = list::list(store.as_ref(), &config).await;
    match store {
        Some(store) => closed(done, store).await,
        None => done,
    }
}

/// Sends an example everywhere, or to one receiver, and says of each what came of it.
async fn test(args: &Test, office: &Office) -> anyhow::Result<Code> {
    let names: Vec<&str> = office.receivers.names().collect();
    if names.is_empty() {
        return Err(UsageError("no receiver is configured: add one under [alert.receiver.<name>]".into()).into());
    }
    let wanted: Vec<&str> = match &args.receiver {
        None => names,
        Some(name) if names.contains(&name.as_str()) => vec![name.as_str()],
        Some(name) => {
            let what = format!("no receiver `{name}` is configured, only `{}`", names.join("`, `"));
            return Err(UsageError(what).into());
        }
    };
    let mut failed = false;
    for name in wanted {
        let now = clock::now();
        let line = match office.receivers.send(name, &words::example(name, now, &office.config.alert), now).await {
            Ok(()) => format!("{name}: an example was delivered\n"),
            Err(trouble) => {
                failed = true;
                format!("{name}: not delivered: {}\n", trouble.reason())
            }
        };
        emit(&line)?;
    }
    Ok(if failed { ExitCode::Usage } else { ExitCode::Consistent }.into())
}

fn shown(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

async fn silence(args: &Silence, store: &SqliteStore, watched: &[(String, String)]) -> anyhow::Result<Code> {
    let (model, endpoint) = scope(&args.scope)?;
    if !watched.iter().any(|(m, e)| fits(&model, m) && fits(&endpoint, e)) {
        let names: Vec<String> = watched.iter().map(|(m, e)| format!("{m}/{e}")).collect();
        let hint = aside(&args.scope, names.iter().map(String::as_str));
        return Err(UsageError(format!("no endpoint is configured that `{}` names{hint}", args.scope)).into());
    }
    let now = clock::now();
    let silence = store::Silence {
        id: SilenceId::generate(),
        model,
        endpoint,
        created_at: now,
        until: now.checked_add(args.length)?,
        comment: args.comment.clone(),
    };
    store.add_silence(&silence).await?;
    let until = shown(silence.until);
    emit(&escape::line(&format!("nobody is told of {} until {until}", args.scope)))?;
    emit("\n")?;
    Ok(ExitCode::Consistent.into())
}

fn scope(text: &str) -> anyhow::Result<(String, String)> {
    match text.split_once('/') {
        Some((model, endpoint)) if !model.is_empty() && !endpoint.is_empty() && !endpoint.contains('/') => {
            Ok((model.to_owned(), endpoint.to_owned()))
        }
        _ => Err(UsageError(format!("`{text}` is no MODEL/ENDPOINT: write `*` for anything, as in `model/*`")).into()),
    }
}

async fn unsilence(args: &Unsilence, store: &SqliteStore) -> anyhow::Result<Code> {
    let now = clock::now();
    let named = |silence: &store::Silence| {
        format!("{}/{}", silence.model, silence.endpoint) == args.what || silence.id.to_string().starts_with(&args.what)
    };
    let silences: Vec<_> = store.silences(now).await?.into_iter().filter(named).collect();
    if silences.is_empty() || args.what.is_empty() {
        let what = format!("no silence holds for `{}`: `samemodel alert list` shows those that do", args.what);
        return Err(UsageError(what).into());
    }
    for silence in &silences {
        store.end_silence(silence.id, now).await?;
    }
    emit(&format!("{} ended\n", count(silences.len(), "silence")))?;
    Ok(ExitCode::Consistent.into())
}

/// Sends what is due, and says of each message what came of it.
async fn send(args: &Send, store: &SqliteStore, receivers: &Receivers) -> anyhow::Result<Code> {
    if args.again {
        store.take_up_again(clock::now()).await?;
    }
    let delivered = flush(store, receivers, Duration::from_mins(1)).await?;
    let troubles: Vec<String> = delivered.iter().filter_map(trouble).collect();
    for line in &troubles {
        note(line);
    }
    let outbox = store.outbox(clock::now() - SHOWN).await?;
    let of = |is: fn(&State) -> bool| outbox.iter().filter(|entry| is(&entry.state)).count();
    let waiting = of(|state| matches!(state, State::Waiting(_)));
    let given_up = of(|state| matches!(state, State::GivenUp(_)));
    let told = match (delivered.len(), waiting) {
        (0, 0) => "nothing is to be sent\n".to_owned(),
        (0, n) => format!("nothing is due yet: {} later, as `samemodel alert list` shows\n", count(n, "message")),
        (n, _) => format!("{} of {} delivered\n", n - troubles.len(), count(n, "message")),
    };
    let again = match given_up {
        0 => String::new(),
        1 => "1 was given up: --again sends it\n".to_owned(),
        n => format!("{n} were given up: --again sends them\n"),
    };
    emit(&(told + &again))?;
    Ok(if troubles.is_empty() { ExitCode::Consistent } else { ExitCode::Usage }.into())
}
