//! Cron expressions and time zones, as text and as what can be reckoned with.

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

/// No expression in use is longer; what is, is no expression.
const LONGEST: usize = 200;

/// Why text is no cron expression or no time zone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimetableError {
    /// It is not written as a cron expression.
    #[error("is no cron expression: {0}")]
    Cron(String),
    /// It is one, but of a day that does not come, such as the 30th of February.
    #[error("is a cron expression whose time never comes")]
    Never,
    /// There is no such zone.
    #[error("is no time zone that is known here")]
    TimeZone,
}

/// Reads a cron expression of five fields, or a word such as `@daily`.
pub fn cron(text: &str) -> Result<Cron, TimetableError> {
    let usual = |c: char| c.is_ascii_alphanumeric() || "@*/,-#? \t".contains(c);
    if text.len() > LONGEST {
        return Err(TimetableError::Cron(format!("it is longer than {LONGEST} characters")));
    }
    if let Some(odd) = text.chars().find(|&c| !usual(c)) {
        return Err(TimetableError::Cron(format!("`{}` has no place in it", odd.escape_debug())));
    }
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    let cron = parser.parse(text).map_err(|error| TimetableError::Cron(told(&error.to_string())))?;
    // Any moment does: what comes at all comes within a few leap years of it.
    let sometime = Timestamp::UNIX_EPOCH.to_zoned(TimeZone::UTC);
    cron.find_next_occurrence::<Zoned>(&sometime, false).map_err(|_| TimetableError::Never)?;
    Ok(cron)
}

/// Finds a time zone by its IANA name: that of the system, or the one that came with the program.
pub fn time_zone(name: &str) -> Result<TimeZone, TimetableError> {
    TimeZone::get(name).map_err(|_| TimetableError::TimeZone)
}

/// A message of the parser as it stands within one of ours.
fn told(message: &str) -> String {
    let mut chars = message.trim_end_matches('.').chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn usual_expressions_are_read() {
        for text in
            ["*/15 * * * *", "0 4 * * 1", "30 9-17 * * MON-FRI", "0 0 1,15 * *", "@daily", "0 0 L * *", "0 0 29 2 *"]
        {
            assert!(cron(text).is_ok(), "{text}: {:?}", cron(text).err());
        }
    }

    #[test]
    fn what_is_no_expression_is_refused_with_the_reason() {
        for text in
            ["", "*", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "a b c d e", "@sometimes", "5-1 * * * *"]
        {
            let refused = cron(text).unwrap_err().to_string();
            assert!(refused.starts_with("is no cron expression: "), "{text}: {refused}");
        }
        assert_eq!(cron("0 0 30 2 *").unwrap_err(), TimetableError::Never);
        let refused = cron("0 0 * * *; rm").unwrap_err().to_string();
        assert_eq!(refused, "is no cron expression: `;` has no place in it");
    }

    #[test]
    fn zones_are_known_by_name() {
        assert!(time_zone("Europe/Berlin").is_ok() && time_zone("UTC").is_ok());
        assert_eq!(time_zone("Europe/Atlantis").unwrap_err(), TimetableError::TimeZone);
        assert_eq!(time_zone("").unwrap_err(), TimetableError::TimeZone);
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in any::<String>(), fields in "[0-9*/,#?@LWA-Z -]{0,40}") {
            let _ = (cron(&text), cron(&fields));
            let _ = time_zone(&text);
        }
    }
}
