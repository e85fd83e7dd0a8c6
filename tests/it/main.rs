//! Integration tests: one binary, a file a topic. Those that need the lab are left out of a build without it.

#[cfg(feature = "lab")]
mod again;
mod alarm;
mod alerts;
mod canary;
#[cfg(feature = "lab")]
mod check;
mod contrib;
#[cfg(feature = "lab")]
mod crash;
mod dialects;
mod doctor;
mod engine;
#[cfg(feature = "lab")]
mod export;
#[cfg_attr(not(feature = "lab"), allow(dead_code, reason = "most of it is for tests that need the lab"))]
mod fixture;
#[cfg(feature = "lab")]
mod formats;
#[cfg(feature = "lab")]
mod history;
mod honest;
mod host;
mod layers;
#[cfg(feature = "lab")]
mod metrics;
mod odd_machines;
mod package;
#[cfg(feature = "lab")]
mod pending;
#[cfg(feature = "lab")]
mod power;
mod readme;
mod real_data;
#[cfg_attr(not(feature = "lab"), allow(dead_code, reason = "some of it is for tests that need the lab"))]
mod receiver;
#[cfg(feature = "lab")]
mod refusals;
mod rehearsal;
#[cfg(feature = "lab")]
mod samples;
mod secrets;
#[cfg(feature = "lab")]
mod snapshots;
#[cfg(feature = "lab")]
mod status;
mod thinking;
#[cfg(feature = "lab")]
mod watch;
