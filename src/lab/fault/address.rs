//! `lab:` addresses: which faults an endpoint has and when, and how it serves otherwise. Pure.
//!
//! An address is `lab:` followed by items joined by `+`. An item is a fault, with an optional parameter after `=` and an
//! optional schedule after `@`; or a trait of the host that is no fault, `trait=value`:
//!
//! ```text
//! lab:                                          the reference: no fault
//! lab:quantized-weights                         with the usual parameter
//! lab:double-bos+temperature-ignored=0.5        two faults at once, one with a parameter
//! lab:swapped-model@from:3d,until:10d,ramp:2d   a fault that comes and goes by the lab's clock
//! lab:noise=10                                  no fault, but another level of honest serving noise
//! lab:dialect=together+rate-limit=60            the errors and headers of one host, and its limit of requests a minute
//! ```

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use super::super::api::Dialect;
use super::super::engine::{ModelSpec, Noise, SumOrder, WeightFormat};
use super::{Fault, FaultError, Schedule};

/// What every address of the lab begins with.
pub const SCHEME: &str = "lab:";

/// A fault with the time when it is there.
#[derive(Debug, Clone, PartialEq)]
pub struct Scheduled {
    /// The fault.
    pub fault: Fault,
    /// When it is there.
    pub schedule: Schedule,
}

/// What a `lab:` address asks for.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Setup {
    /// What is wrong with the endpoint; nothing for a reference.
    pub faults: Vec<Scheduled>,
    /// A level of serving noise other than the fleet's.
    pub noise: Option<Noise>,
    /// The weights' format, where it is another honest one.
    pub weights: Option<WeightFormat>,
    /// The order in which it sums, where it is another honest one.
    pub sums: Option<SumOrder>,
    /// Whose errors and headers it has.
    pub dialect: Dialect,
    /// Requests that it takes in a minute; no limit where nothing is said.
    pub rate_limit: Option<NonZeroU32>,
}

/// What is no fault: the name, what may stand after `=`, and how it is read into a setup.
type Trait = (&'static str, &'static str, fn(&mut Setup, &str) -> Option<()>);

const TRAITS: [Trait; 5] = [
    ("noise", "the bits of mantissa that are left, from 4 to 23, where 23 means no noise", |setup, text| {
        setup.noise = Some(Noise::of_bits(text.parse().ok()?)?);
        Some(())
    }),
    ("weights", "f32 or f16", |setup, text| {
        setup.weights = Some(WeightFormat::exact(text)?);
        Some(())
    }),
    ("sums", "usual or other", |setup, text| {
        setup.sums = Some(SumOrder::named(text)?);
        Some(())
    }),
    ("dialect", Dialect::WANTED, |setup, text| {
        setup.dialect = Dialect::named(text)?;
        Some(())
    }),
    ("rate-limit", "requests a minute, at least 1", |setup, text| {
        setup.rate_limit = Some(text.parse().ok()?);
        Some(())
    }),
];

impl FromStr for Setup {
    type Err = FaultError;

    /// Reads a whole address, `lab:` included.
    fn from_str(address: &str) -> Result<Self, FaultError> {
        let list = address.strip_prefix(SCHEME).ok_or_else(|| FaultError::Address { found: address.to_owned() })?;
        let mut setup = Self::default();
        let mut seen = Vec::new();
        for item in list.split('+').filter(|_| !list.is_empty()) {
            let own = item.split_once('=').and_then(|(id, value)| Some((TRAITS.iter().find(|t| t.0 == id)?, value)));
            let Some((&(id, wanted, read), value)) = own else {
                setup.add(item.parse()?)?;
                continue;
            };
            if seen.contains(&id) {
                return Err(FaultError::Twice { id });
            }
            seen.push(id);
            read(&mut setup, value).ok_or_else(|| FaultError::Parameter { id, found: value.to_owned(), wanted })?;
        }
        Ok(setup)
    }
}

impl Setup {
    /// How this host serves the promised model, whose weights were published in this format, where no fault touches it.
    pub fn honest(&self, published: WeightFormat) -> ModelSpec {
        let usual = ModelSpec::HONEST;
        ModelSpec { weights: self.weights.unwrap_or(published), sums: self.sums.unwrap_or(usual.sums), ..usual }
    }

    fn add(&mut self, one: Scheduled) -> Result<(), FaultError> {
        let fault = &one.fault;
        if self.faults.iter().any(|other| other.fault.id() == fault.id()) {
            return Err(FaultError::Twice { id: fault.id() });
        }
        let cancels = |a: &Fault, b: &Fault| matches!((a, b), (Fault::DoubleBos, Fault::MissingBos));
        if self.faults.iter().any(|other| cancels(&other.fault, fault) || cancels(fault, &other.fault)) {
            return Err(FaultError::Cancel);
        }
        self.faults.push(one);
        Ok(())
    }
}

impl FromStr for Scheduled {
    type Err = FaultError;

    /// Reads `fault`, or `fault@schedule`. An `@` that no schedule follows belongs to the parameter.
    fn from_str(text: &str) -> Result<Self, FaultError> {
        let scheduled = text.rsplit_once('@').and_then(|(fault, schedule)| Some((fault, schedule.parse().ok()?)));
        let (fault, schedule) = scheduled.unwrap_or((text, Schedule::default()));
        Ok(Self { fault: fault.parse()?, schedule })
    }
}

impl fmt::Display for Scheduled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let schedule = self.schedule.to_string();
        if schedule.is_empty() { write!(f, "{}", self.fault) } else { write!(f, "{}@{schedule}", self.fault) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Override, Reach};
    use super::*;

    fn faults(address: &str) -> Vec<Fault> {
        address.parse::<Setup>().unwrap().faults.into_iter().map(|one| one.fault).collect()
    }

    #[test]
    fn a_bare_address_is_a_reference() {
        assert_eq!("lab:".parse(), Ok(Setup::default()));
    }

    #[test]
    fn faults_are_joined_by_plus_and_take_parameters() {
        let address = "lab:double-bos+quantized-weights=q8_0+temperature-ignored=0.5,sampled+noise=10";
        assert_eq!(
            faults(address),
            [
                Fault::DoubleBos,
                Fault::QuantizedWeights(WeightFormat::Q8_0),
                Fault::TemperatureIgnored(Override::Temperature { fixed: 0.5, reach: Reach::Sampled }),
            ]
        );
        assert_eq!(address.parse::<Setup>().unwrap().noise, Noise::of_bits(10));
    }

    #[test]
    fn a_schedule_stands_behind_an_at_sign() {
        let setup: Setup = "lab:swapped-model@from:3d,until:10d+double-bos".parse().unwrap();
        assert_eq!(setup.faults[0].to_string(), "swapped-model@from:3d,until:10d");
        assert_eq!(setup.faults[1].schedule, Schedule::default());
        let text = "hidden-system-prompt=Write to a@b.c";
        assert_eq!(faults(&format!("lab:{text}")), [Fault::HiddenSystemPrompt("Write to a@b.c".into())]);
    }

    #[test]
    fn traits_are_no_faults() {
        let setup: Setup = "lab:rate-limit=60+weights=f16".parse().unwrap();
        assert!(setup.faults.is_empty());
        assert_eq!((setup.rate_limit.map(NonZeroU32::get), setup.weights), (Some(60), WeightFormat::exact("f16")));
        for (address, wanted) in [
            ("lab:noise=3", "from 4 to 23"),
            ("lab:rate-limit=0", "at least 1"),
            ("lab:weights=q4_0", "f32 or f16"),
            ("lab:sums=backwards", "usual or other"),
            ("lab:dialect=klingon", "openai"),
        ] {
            let message = address.parse::<Setup>().unwrap_err().to_string();
            assert!(message.contains(wanted), "{address}: {message}");
        }
    }

    #[test]
    fn an_unknown_fault_names_the_nearest_and_lists_all() {
        let message = "lab:quantised-weights".parse::<Setup>().unwrap_err().to_string();
        assert!(message.contains("did you mean `quantized-weights`?"), "{message}");
        for fault in Fault::catalogue() {
            assert!(message.contains(fault.id()), "{message}");
        }
        let message = "lab:xyz".parse::<Setup>().unwrap_err().to_string();
        assert!(!message.contains("did you mean"), "{message}");
    }

    #[test]
    fn repeated_and_cancelling_faults_are_refused() {
        assert_eq!("lab:slow+slow=1".parse::<Setup>(), Err(FaultError::Twice { id: "slow" }));
        assert_eq!("lab:noise=8+noise=9".parse::<Setup>(), Err(FaultError::Twice { id: "noise" }));
        assert_eq!("lab:missing-bos+double-bos".parse::<Setup>(), Err(FaultError::Cancel));
        assert!("lab:slow+".parse::<Setup>().is_err());
        assert!("https://example.com".parse::<Setup>().is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_without_a_panic(text in "\\PC*") {
            let _ = text.parse::<Fault>();
            if let Ok(setup) = format!("lab:{text}").parse::<Setup>() {
                for one in setup.faults {
                    prop_assert_eq!(one.to_string().parse(), Ok(one));
                }
            }
        }
    }
}
