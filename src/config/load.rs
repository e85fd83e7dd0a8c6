//! Loading: reads the layers, lays them over each other with the `config` crate, and accepts only what is right as a whole.

use std::path::{Path, PathBuf};

use ::config::{Source as _, Value, ValueKind};

use super::assign::{Assignment, PREFIX};
use super::document::{self, Origin};
use super::environment::Environment;
use super::key_path::KeyPath;
use super::layer::{Layer, get};
use super::problem::{ConfigError, Place, Problem};
use super::shape::{Schema, json_schema};
use super::types::Config;
use super::validate::{Exposure, Violation, validate};
use super::walk::{Places, Walk, missing};
use crate::encoding::{UTF_16, is_utf16};
use crate::pipe;

/// The file that is read when none is named.
pub const DEFAULT_FILE: &str = "providers.toml";

/// A configuration and where it came from.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The configuration, merged and valid.
    pub config: Config,
    /// The folder that relative paths in it start from; empty for the current one.
    pub folder: PathBuf,
    /// The files that were read, lower layers first.
    pub files: Vec<PathBuf>,
    /// Where each value was set.
    places: Places,
}

impl Loaded {
    /// A path of the configuration, such as one of a model's `probes`, from where this process stands.
    pub fn resolve(&self, path: &str) -> PathBuf {
        self.folder.join(path)
    }

    /// Where a value was set, or the nearest table around it.
    pub fn place_of(&self, path: &KeyPath) -> Place {
        self.places.of(path)
    }
}

impl Config {
    /// Loads the configuration: built-in defaults, then the file (`providers.toml` here when `path` is `None`), the
    /// local file beside it, variables of `env` that begin with `SAMEMODEL__`, and `overrides`, which are pairs of a
    /// dotted key and a value, such as `("defaults.samples", "20")`. Later layers win.
    ///
    /// Fails when the file does not exist or cannot be read, and with all problems found otherwise.
    pub fn load(path: Option<&Path>, env: &Environment, overrides: &[(String, String)]) -> Result<Loaded, ConfigError> {
        let path = path.unwrap_or(Path::new(DEFAULT_FILE));
        let mut files = vec![File::read(path)?.ok_or_else(|| ConfigError::NotFound(path.to_owned()))?];
        files.extend(File::read(&path.with_extension("local.toml"))?);
        let (config, places) = merge(&files, env, overrides)?;
        let files = files.into_iter().map(|f| f.path).collect();
        Ok(Loaded { config, folder: folder_of(path), files, places })
    }

    /// The same over the built-in model `lab`, which is all there is where no file is named and none is there. `None` where the
    /// files have a model of that name themselves.
    ///
    /// Fails as [`Config::load`] does.
    #[cfg(feature = "lab")]
    pub fn load_with_lab(
        path: Option<&Path>,
        env: &Environment,
        overrides: &[(String, String)],
    ) -> Result<Option<Loaded>, ConfigError> {
        let (named, path) = (path.is_some(), path.unwrap_or(Path::new(DEFAULT_FILE)));
        let mut files: Vec<File> = File::read(path)?.into_iter().collect();
        if named && files.is_empty() {
            return Err(ConfigError::NotFound(path.to_owned()));
        }
        files.extend(File::read(&path.with_extension("local.toml"))?);
        if !files.is_empty() && merge(&files, env, &[])?.0.model.contains_key(super::start::LAB_MODEL) {
            return Ok(None);
        }
        let read: Vec<PathBuf> = files.iter().map(|f| f.path.clone()).collect();
        files.insert(0, File { path: "the built-in lab.toml".into(), text: super::start::LAB.to_owned() });
        let (config, places) = merge(&files, env, overrides)?;
        Ok(Some(Loaded { config, folder: folder_of(path), files: read, places }))
    }

    /// The built-in defaults under the environment and overrides, for what needs no providers.
    pub fn load_without_file(env: &Environment, overrides: &[(String, String)]) -> Result<Config, ConfigError> {
        merge(&[], env, overrides).map(|(config, _)| config)
    }
}

/// What relative paths in a file start from.
fn folder_of(file: &Path) -> PathBuf {
    file.parent().map(Path::to_owned).unwrap_or_default()
}

/// A file of the configuration, read but not understood.
struct File {
    path: PathBuf,
    text: String,
}

impl File {
    /// `None` when there is no such file.
    fn read(path: &Path) -> Result<Option<Self>, ConfigError> {
        let bytes = match pipe::refuse(path).and_then(|()| std::fs::read(path)) {
            Ok(bytes) => bytes,
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(ConfigError::Unreadable { path: path.to_owned(), cause }),
        };
        let unreadable = |cause: &dyn std::fmt::Display| {
            let cause = std::io::Error::new(std::io::ErrorKind::InvalidData, cause.to_string());
            ConfigError::Unreadable { path: path.to_owned(), cause }
        };
        if is_utf16(&bytes) {
            return Err(unreadable(&UTF_16));
        }
        let text = String::from_utf8(bytes).map_err(|error| unreadable(&error.utf8_error()))?;
        Ok(Some(Self { path: path.to_owned(), text }))
    }
}

/// Lays all layers over each other and checks what comes out; with it, where each value was set.
fn merge(files: &[File], env: &Environment, overrides: &[(String, String)]) -> Result<(Config, Places), ConfigError> {
    let root = json_schema();
    let schema = Schema::new(&root);
    let mut places = Places::default();

    let mut builder = ::config::Config::builder().add_source(::config::Config::try_from(&Config::default())?);
    for layer in file_layers(files, schema, &mut places)? {
        builder = builder.add_source(layer);
    }
    let mut merged = builder.build()?.cache;

    let mut problems = Vec::new();
    for (origin, text) in assignments(env, overrides, &mut problems) {
        let assignment = Assignment { origin, text };
        if let Some(layer) = assignment.layer(schema, &merged, &mut problems, &mut places)? {
            layer.collect_to(&mut merged)?;
        }
    }
    inherit_timeouts(&mut merged);
    missing(schema, &merged, &KeyPath::default(), &mut |path, message, help| {
        problems.push(Problem { place: places.of(path), message, help });
    });
    accept(problems)?;

    let mut config: Config = merged.try_deserialize()?;
    // The `config` crate keeps no order of keys; the bodies of requests must not differ from run to run.
    let endpoints = config.model.values_mut().flat_map(|model| &mut model.endpoint);
    endpoints.flat_map(|e| e.extra_body.iter_mut().flatten()).for_each(|(_, value)| value.sort_all_objects());
    accept(validate(&config).into_iter().map(|violation| placed(violation, &places)).collect())?;
    Ok((config, places))
}

/// The violation at its place, of which a value that may be a secret is left out.
fn placed(violation: Violation, places: &Places) -> Problem {
    let Violation { path, message, help, value } = violation;
    let place = match value {
        Exposure::Shown => places.of(&path),
        Exposure::Hidden => document::without_values(places.of(&path)),
    };
    Problem { place, message, help }
}

fn accept(mut problems: Vec<Problem>) -> Result<(), ConfigError> {
    if problems.is_empty() {
        return Ok(());
    }
    problems.sort();
    problems.dedup();
    Err(ConfigError::Invalid(problems))
}

/// The files as layers, once every one of them is known to be right by itself.
fn file_layers(files: &[File], schema: Schema<'_>, places: &mut Places) -> Result<Vec<Layer>, ConfigError> {
    let mut layers = Vec::new();
    let mut problems = Vec::new();
    for (layer, File { path, text }) in files.iter().enumerate() {
        let origin = Origin::File { layer, path, text };
        match document::parse(&origin, text) {
            Err(found) => problems.extend(found),
            Ok(table) => {
                Walk { origin, problems: &mut problems, places }.document(schema, table.get_ref());
                layers.push(table);
            }
        }
    }
    accept(problems)?;
    layers.into_iter().map(|table| document::lower_table(table).map(Layer)).collect()
}

/// What the environment sets and then what the flags set.
fn assignments<'a>(
    env: &'a Environment,
    overrides: &'a [(String, String)],
    problems: &mut Vec<Problem>,
) -> Vec<(Origin<'a>, &'a str)> {
    let mut found = Vec::new();
    for (name, value) in env.starting_with(PREFIX) {
        match value.to_str() {
            Some(text) => found.push((Origin::Variable(name), text)),
            None => problems.push(Problem {
                place: Place::Variable(name.to_owned()),
                message: "the value is not Unicode".to_owned(),
                help: None,
            }),
        }
    }
    found.extend(overrides.iter().map(|(key, value)| (Origin::Flag(key), value.as_str())));
    found
}

/// A provider's `timeout` names only what differs from the defaults: the rest comes from there.
fn inherit_timeouts(merged: &mut Value) {
    let Some(ValueKind::Table(defaults)) =
        get(merged, "defaults").and_then(|d| get(d, "timeout")).map(|t| t.kind.clone())
    else {
        return;
    };
    let ValueKind::Table(root) = &mut merged.kind else { return };
    let Some(ValueKind::Table(providers)) = root.get_mut("provider").map(|p| &mut p.kind) else { return };
    for provider in providers.values_mut() {
        let ValueKind::Table(provider) = &mut provider.kind else { continue };
        let Some(ValueKind::Table(timeout)) = provider.get_mut("timeout").map(|t| &mut t.kind) else { continue };
        for (key, value) in &defaults {
            timeout.entry(key.clone()).or_insert_with(|| value.clone());
        }
    }
}
