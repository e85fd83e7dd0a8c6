//! When a fault is there: from a time, until a time, more and more, on and off, or for a share of the requests. Pure.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// When a fault acts, by the lab's clock, which starts at 0. The usual schedule is always.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Schedule {
    /// When it begins; at once where nothing is said.
    pub from: Duration,
    /// When it ends; never where nothing is said.
    pub until: Option<Duration>,
    /// How long after its beginning all requests are touched; their share grows evenly until then.
    pub ramp: Option<Duration>,
    /// How long it is there, and then as long away, again and again.
    pub flap: Option<Duration>,
    /// The most requests that are touched, as a share; all where nothing is said.
    pub share: Option<f64>,
}

impl Schedule {
    /// Whether a request at `now` is touched, whose draw is `chance`, even between 0 and 1.
    pub fn touches(&self, now: Duration, chance: f64) -> bool {
        chance < self.share_at(now)
    }

    /// The share of requests that are touched at `now`, from 0 to 1.
    pub fn share_at(&self, now: Duration) -> f64 {
        let Some(since) = now.checked_sub(self.from).filter(|_| self.until.is_none_or(|until| now < until)) else {
            return 0.0;
        };
        let away = self.flap.is_some_and(|flap| !(since.as_millis() / flap.as_millis().max(1)).is_multiple_of(2));
        if away {
            return 0.0;
        }
        let reached = self.ramp.map_or(1.0, |ramp| (since.as_secs_f64() / ramp.as_secs_f64()).min(1.0));
        self.share.unwrap_or(1.0) * reached
    }
}

impl FromStr for Schedule {
    type Err = ();

    /// Reads `from:3d,until:10d,ramp:2d,flap:6h,share:0.1`, any of these once, at least one.
    fn from_str(text: &str) -> Result<Self, ()> {
        let mut schedule = Self::default();
        let mut seen = Vec::new();
        for item in text.split(',') {
            let (key, value) = item.split_once(':').ok_or(())?;
            if seen.contains(&key) {
                return Err(());
            }
            seen.push(key);
            match key {
                "from" => schedule.from = duration(value).ok_or(())?,
                "until" => schedule.until = Some(duration(value).ok_or(())?),
                "ramp" => schedule.ramp = Some(duration(value).filter(|d| !d.is_zero()).ok_or(())?),
                "flap" => schedule.flap = Some(duration(value).filter(|d| !d.is_zero()).ok_or(())?),
                "share" => {
                    let share = value.parse().ok().filter(|share| *share > 0.0 && *share <= 1.0);
                    schedule.share = Some(share.ok_or(())?);
                }
                _ => return Err(()),
            }
        }
        if schedule.until.is_some_and(|until| until <= schedule.from) { Err(()) } else { Ok(schedule) }
    }
}

impl fmt::Display for Schedule {
    /// The form that can be read back; nothing for the usual schedule.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let from = (!self.from.is_zero()).then_some(self.from);
        let times = [("from", from), ("until", self.until), ("ramp", self.ramp), ("flap", self.flap)];
        let times = times.into_iter().filter_map(|(key, time)| Some(format!("{key}:{}", in_units(time?))));
        let items: Vec<String> = times.chain(self.share.map(|share| format!("share:{share}"))).collect();
        f.write_str(&items.join(","))
    }
}

const UNITS: [(&str, u64); 4] = [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];

/// The longest time that a schedule may name: a century.
const LONGEST: u64 = 100 * 366 * 86_400;

/// A whole number with a unit: `90s`, `15m`, `6h`, `3d`.
pub fn duration(text: &str) -> Option<Duration> {
    let (unit, seconds) = UNITS.into_iter().find(|(unit, _)| text.ends_with(unit))?;
    let number = text.strip_suffix(unit)?;
    let digits = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    let total = number.parse::<u64>().ok().filter(|_| digits)?.checked_mul(seconds)?;
    (total <= LONGEST).then(|| Duration::from_secs(total))
}

fn in_units(time: Duration) -> String {
    let seconds = time.as_secs();
    let fits = |(_, size): &(&str, u64)| seconds.is_multiple_of(*size);
    UNITS
        .into_iter()
        .find(fits)
        .map_or_else(|| format!("{seconds}s"), |(unit, size)| format!("{}{unit}", seconds / size))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn schedule(text: &str) -> Schedule {
        text.parse().unwrap()
    }

    fn days(number: u64) -> Duration {
        Duration::from_secs(number * 86_400)
    }

    /// The share of requests on each of these days, in percent.
    fn percents<const N: usize>(text: &str, on: [u64; N]) -> [u32; N] {
        on.map(|day| (schedule(text).share_at(days(day)) * 100.0).round() as u32)
    }

    #[test]
    fn the_usual_schedule_is_always() {
        assert!(Schedule::default().touches(Duration::ZERO, 0.999));
        assert_eq!(Schedule::default().to_string(), "");
    }

    #[test]
    fn a_fault_begins_and_ends() {
        assert_eq!(percents("from:2d,until:5d", [1, 2, 4, 5]), [0, 100, 100, 0]);
    }

    #[test]
    fn a_ramp_touches_more_and_more_requests() {
        assert_eq!(percents("from:2d,ramp:2d", [1, 2, 3, 4, 9]), [0, 0, 50, 100, 100]);
    }

    #[test]
    fn a_flapping_fault_comes_and_goes() {
        assert_eq!(percents("flap:2d", [0, 1, 2, 3, 4]), [100, 100, 0, 0, 100]);
    }

    #[test]
    fn a_share_of_requests_is_touched() {
        let one = schedule("share:0.1");
        assert!(one.touches(Duration::ZERO, 0.09) && !one.touches(Duration::ZERO, 0.11));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for text in [
            "",
            "from",
            "from:3",
            "from:d",
            "from:-1d",
            "until:0s",
            "from:2d,until:1d",
            "ramp:0s",
            "share:0",
            "share:2",
            "share:NaN",
            "from:1d,from:2d",
            "at:1d",
            "from:99999999d",
            "from:1é",
        ] {
            assert_eq!(text.parse::<Schedule>(), Err(()), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_schedule_is_read_back_from_what_it_prints(
            from in 1_u64..10_000_000, length in 1_u64..10_000_000, ramp in 1_u64..100_000, share in 0.001_f64..1.0,
        ) {
            let seconds = Duration::from_secs;
            let one = Schedule {
                from: seconds(from),
                until: Some(seconds(from + length)),
                ramp: Some(seconds(ramp)),
                flap: None,
                share: Some(share),
            };
            prop_assert_eq!(one.to_string().parse(), Ok(one));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,30}") {
            let _ = text.parse::<Schedule>();
        }
    }
}
