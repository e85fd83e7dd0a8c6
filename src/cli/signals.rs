//! Ctrl-C and SIGTERM.

use std::sync::OnceLock;

use tokio_util::sync::CancellationToken;

use super::note;

/// Signals come to a process, so one token is enough for all that run in it, one after the other.
static STOP: OnceLock<CancellationToken> = OnceLock::new();

/// Cancelled by Ctrl-C or SIGTERM; a second signal ends the process at once, which loses nothing that was acknowledged.
pub(super) fn stop_on_signals() -> CancellationToken {
    STOP.get_or_init(listen).clone()
}

fn listen() -> CancellationToken {
    let stop = CancellationToken::new();
    let token = stop.clone();
    tokio::spawn(async move {
        signal().await;
        token.cancel();
        signal().await;
        note("stopped at once; go on with --resume");
        #[expect(clippy::exit, reason = "the user asked twice, and everything acknowledged is on disk")]
        std::process::exit(130);
    });
    stop
}

async fn signal() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}
