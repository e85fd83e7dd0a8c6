//! `samemodel lab`: explain its faults, serve an endpoint, measure power, write its models as files.

use std::process::ExitCode as Code;

#[cfg(feature = "lab")]
mod export;
#[cfg(feature = "lab")]
mod list;
#[cfg(feature = "lab")]
mod power;
#[cfg(feature = "lab")]
mod serve;

use super::args::Global;
use super::args::lab::Lab;

#[cfg(not(feature = "lab"))]
pub(super) fn lab(_: &Lab, _: &Global) -> anyhow::Result<Code> {
    let what = "this program was built without the lab: build it with the feature `lab`, which is there by default";
    Err(super::UsageError(what.to_owned()).into())
}

#[cfg(feature = "lab")]
pub(super) fn lab(args: &Lab, global: &Global) -> anyhow::Result<Code> {
    use super::args::lab::LabVerb;
    match &args.verb {
        LabVerb::List(args) => list::list(args),
        LabVerb::Serve(args) => super::on_runtime(serve::serve(args)),
        LabVerb::Power(args) => super::on_runtime(power::power(args, global)),
        LabVerb::Export(args) => export::export(args, global),
    }
}
