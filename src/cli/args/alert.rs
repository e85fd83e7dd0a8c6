//! The command line of `samemodel alert`, as typed.

use std::time::Duration;

use clap::{Args, Subcommand};

use crate::cli::names;

/// `samemodel alert`
#[derive(Debug, Args)]
pub struct Alert {
    /// What to do.
    #[command(subcommand)]
    pub verb: AlertVerb,
}

/// What to do with alerts.
#[derive(Debug, Subcommand)]
pub enum AlertVerb {
    /// Send a message, marked as an example, to every receiver that is configured, or to one.
    Test(Test),
    /// Show how all alerts stand, what is silenced, and what waits to be sent.
    List,
    /// Tell nobody of some alerts for a while.
    Silence(Silence),
    /// End silences before their time.
    Unsilence(Unsilence),
    /// Send what waits to be sent, as each check does at its end.
    Send(Send),
}

/// `samemodel alert test`
#[derive(Debug, Args)]
pub struct Test {
    /// Only this receiver.
    pub receiver: Option<String>,
}

/// `samemodel alert silence`
#[derive(Debug, Args)]
pub struct Silence {
    /// Whom nobody is told of, as MODEL/ENDPOINT; `*` stands for anything, as in `llama-4-maverick/*`.
    #[arg(value_name = "MODEL/ENDPOINT", add = names::scopes())]
    pub scope: String,
    /// For how long, such as `90m`, `12h`, `7d` or `2w`.
    #[arg(long = "for", value_name = "TIME", value_parser = length)]
    pub length: Duration,
    /// Why.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub comment: String,
}

/// `samemodel alert unsilence`
#[derive(Debug, Args)]
pub struct Unsilence {
    /// What was silenced, as it was typed then, or the beginning of the silence's id.
    #[arg(value_name = "MODEL/ENDPOINT|ID")]
    pub what: String,
}

/// `samemodel alert send`
#[derive(Debug, Args)]
pub struct Send {
    /// Also what was given up, once what was in the way is mended.
    #[arg(long)]
    pub again: bool,
}

/// The longest silence: what is to be quiet for ever should not be watched.
const LONGEST: u64 = 366 * 24 * 60;

/// Reads a length of time: a whole number and a unit.
fn length(text: &str) -> Result<Duration, String> {
    let wrong = || "a whole number and one of m, h, d and w, such as 12h or 7d".to_owned();
    let mut digits = text.trim().to_owned();
    let minutes = match digits.pop() {
        Some('m') => 1,
        Some('h') => 60,
        Some('d') => 24 * 60,
        Some('w') => 7 * 24 * 60,
        _ => return Err(wrong()),
    };
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    match number.checked_mul(minutes) {
        Some(0) => Err("more than nothing".to_owned()),
        Some(minutes) if minutes <= LONGEST => Ok(Duration::from_secs(60 * minutes)),
        _ => Err("at most a year".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lengths_of_time_have_a_number_and_a_unit() {
        let minutes = |text: &str| length(text).map(|length| length.as_secs() / 60);
        assert_eq!([minutes("90m"), minutes("12h"), minutes("7d")], [Ok(90), Ok(720), Ok(10_080)]);
        assert_eq!(minutes("2w"), Ok(20_160));
        for wrong in ["", "7", "d", "-1d", "1.5h", "0d", "53w", "7 days", "99999999999999999999d"] {
            assert!(length(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,12}") {
            let _ = length(&text);
        }
    }
}
