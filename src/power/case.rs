//! A case: one endpoint of the lab whose truth is known. Pure.

use std::collections::BTreeSet;

use crate::lab::fault::catalogue::{CATALOGUE, Entry};
use crate::lab::{FaultError, Setup};

/// One endpoint whose truth is known.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// Its name: the fault with its parameter, or what the honest variant is.
    pub name: String,
    /// Its address in the lab.
    pub address: String,
    /// What is wrong with it.
    pub truth: Truth,
}

/// What is wrong with an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Truth {
    /// Nothing: it must not be called drifted.
    Honest,
    /// A fault of the catalogue.
    Fault(&'static Entry),
    /// Several faults at once.
    Composed,
}

/// Which severities of a fault take part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severities {
    /// The usual one.
    Usual,
    /// All of the catalogue, from mild to severe.
    All,
}

/// Hosts that serve the promised model otherwise than the reference does, and as well.
pub const HONEST: [(&str, &str); 6] = [
    ("twin", "lab:"),
    ("twin, single precision", "lab:weights=f32"),
    ("twin, sums in another order", "lab:sums=other"),
    ("twin, less noise", "lab:noise=10"),
    ("twin, slower", "lab:slow=20"),
    ("twin, 8-bit weights", "lab:quantized-weights=q8_0"),
];

impl Case {
    /// The honest variants.
    pub fn honest() -> Vec<Self> {
        let case =
            |(name, address): (&str, &str)| Self { name: name.into(), address: address.into(), truth: Truth::Honest };
        HONEST.into_iter().map(case).collect()
    }

    /// Every fault of the catalogue. 8-bit weights are left to the honest variants, as the tolerance has it.
    pub fn faults(severities: Severities) -> Vec<Self> {
        CATALOGUE.iter().flat_map(|entry| Self::of_entry(entry, severities)).collect()
    }

    /// One fault at its severities.
    pub fn of_entry(entry: &'static Entry, severities: Severities) -> Vec<Self> {
        let chosen: Vec<&str> = match severities {
            Severities::Usual => vec![entry.usual],
            Severities::All => entry.severities.to_vec(),
        };
        let name = |parameter: &str| match parameter {
            "" => entry.id.to_owned(),
            parameter => format!("{}={parameter}", entry.id),
        };
        let case = |name: String| Self { address: format!("lab:{name}"), name, truth: Truth::Fault(entry) };
        chosen.into_iter().map(|parameter| case(name(parameter))).collect()
    }

    /// What stands after `lab:` in an address: faults, as one case.
    pub fn of_address(text: &str) -> Result<Self, FaultError> {
        let address = format!("lab:{text}");
        let setup: Setup = address.parse()?;
        let ids: BTreeSet<&str> = setup.faults.iter().map(|one| one.fault.id()).collect();
        let truth = match setup.faults.as_slice() {
            _ if ids.iter().all(|id| !CATALOGUE.iter().any(|entry| entry.id == *id)) => Truth::Honest,
            [one] => Truth::Fault(one.fault.entry()),
            _ => Truth::Composed,
        };
        Ok(Self { name: if text.is_empty() { "twin".to_owned() } else { text.to_owned() }, address, truth })
    }

    /// The fault that a finding should name, where there is one.
    pub fn fault(&self) -> Option<&'static str> {
        match self.truth {
            Truth::Fault(entry) => Some(entry.id),
            Truth::Honest | Truth::Composed => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_has_an_address_that_the_lab_reads_and_a_name_of_its_own() {
        let cases: Vec<Case> = Case::honest().into_iter().chain(Case::faults(Severities::All)).collect();
        let names: BTreeSet<&str> = cases.iter().map(|case| case.name.as_str()).collect();
        assert_eq!(names.len(), cases.len());
        for case in &cases {
            assert!(case.address.parse::<Setup>().is_ok(), "{}", case.address);
        }
    }

    #[test]
    fn the_truth_of_an_address_is_its_fault() {
        let truth = |text: &str| Case::of_address(text).unwrap().truth;
        assert_eq!(truth(""), Truth::Honest);
        assert_eq!(truth("slow=5+noise=9"), Truth::Honest);
        assert!(matches!(truth("double-bos@from:3d"), Truth::Fault(entry) if entry.id == "double-bos"));
        assert_eq!(truth("double-bos+swapped-model"), Truth::Composed);
    }
}
