//! `samemodel lab serve`: one endpoint of the lab on a port, until Ctrl-C.

use std::io::Write as _;

use anyhow::Context as _;
use secrecy::SecretString;

use super::Code;
use crate::cli::args::lab::LabServe;
use crate::cli::signals::stop_on_signals;
use crate::cli::{UsageError, note};
use crate::lab::fault::schedule::duration;
use crate::lab::{Clock, Fleet, FleetOptions, LabEndpoint, MODEL_NAME, SCHEME};

pub async fn serve(args: &LabServe) -> anyhow::Result<Code> {
    let address = format!("{SCHEME}{}", args.fault.join("+"));
    let endpoint = LabEndpoint::from_address("served", &address).map_err(|error| UsageError(error.to_string()))?;
    let options = FleetOptions {
        seed: args.seed,
        workers: args.workers,
        api_key: key(args)?,
        clock: clock(args)?,
        port: args.port,
        gguf: args.gguf.clone(),
        ..FleetOptions::default()
    };
    let stop = stop_on_signals();
    let fleet = Fleet::start(&[endpoint], options).await.map_err(|error| UsageError(error.to_string()))?;
    let url = fleet.base_url(0);
    let mut out = std::io::stdout();
    writeln!(out, "{url}")?;
    out.flush()?;
    let from = args.gguf.as_ref().map(|path| format!(" from {}", path.display())).unwrap_or_default();
    note(&format!("serving `{MODEL_NAME}`{from} as {address}; Ctrl-C ends it. Try:"));
    let key =
        args.api_key_env.as_ref().map(|name| format!("-H \"authorization: Bearer ${name}\" ")).unwrap_or_default();
    note(&format!(
        "  curl -s {url}/chat/completions {key}-d '{{\"model\":\"{MODEL_NAME}\",\"messages\":[{{\"role\":\"user\",\
         \"content\":\"Tell me a story about a fox.\"}}]}}'"
    ));
    stop.cancelled().await;
    Ok(Code::SUCCESS)
}

fn key(args: &LabServe) -> anyhow::Result<Option<SecretString>> {
    let Some(name) = &args.api_key_env else { return Ok(None) };
    match std::env::var(name) {
        Ok(key) if !key.is_empty() => Ok(Some(key.into())),
        _ => Err(UsageError(format!("`{name}` is not set: put the key that requests must carry into it")).into()),
    }
}

fn clock(args: &LabServe) -> anyhow::Result<Clock> {
    if !args.speed.is_finite() || args.speed < 0.0 {
        return Err(UsageError(format!("`--speed {}` is no speed: write 0 or more", args.speed)).into());
    }
    let at = duration(&args.at)
        .with_context(|| format!("`--at {}` is no time: write a whole number with s, m, h or d, such as 3d", args.at));
    let clock = Clock::running(args.speed);
    clock.set(at.map_err(|error| UsageError(error.to_string()))?);
    Ok(clock)
}
