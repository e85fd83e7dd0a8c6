//! What is wrong with a configuration, where, and what to do about it.

use std::fmt;
use std::path::PathBuf;

/// Why no configuration could be had.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// There is no such file.
    #[error("{} does not exist; `samemodel init` writes one to begin with, `--config` names another", .0.display())]
    NotFound(PathBuf),
    /// The file is there but cannot be read.
    #[error("cannot read {}: {cause}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// What was read is wrong: every problem found, in the order of layers and lines.
    #[error("{}", join(.0))]
    Invalid(Vec<Problem>),
    /// The layers could not be put together although each was right by itself.
    #[error("the layers of the configuration do not fit together: {0}")]
    Layers(#[from] ::config::ConfigError),
}

fn join(problems: &[Problem]) -> String {
    problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n\n")
}

/// One thing that is wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where it stands.
    pub place: Place,
    /// What is wrong, lowercase.
    pub message: String,
    /// What to do about it, where that is not plain from the message.
    pub help: Option<String>,
}

/// Where a value comes from. Orders as the layers do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The built-in defaults, or no place that could be named.
    BuiltIn,
    /// A line of a file.
    File {
        /// The layer among the files: 0 for the file itself, 1 for the local one.
        layer: usize,
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The column in characters, from 1.
        column: usize,
        /// The line's text, credentials masked.
        excerpt: String,
        /// How many characters are meant, at least 1.
        width: usize,
    },
    /// An environment variable.
    Variable(String),
    /// A flag, by the dotted key that it sets.
    Flag(String),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, message, help } = self;
        match place {
            Place::BuiltIn => f.write_str(message)?,
            Place::Variable(name) => write!(f, "environment variable {name}: {message}")?,
            // A flag has the name of the key that it sets.
            Place::Flag(key) => write!(f, "--{}: {message}", key.rsplit('.').next().unwrap_or(key))?,
            Place::File { path, line, column, excerpt, width, .. } => {
                writeln!(f, "{}:{line}:{column}: {message}", path.display())?;
                let number = line.to_string();
                let gutter = " ".repeat(number.len());
                writeln!(f, "{gutter} |")?;
                writeln!(f, "{number} | {excerpt}")?;
                write!(f, "{gutter} | {}{}", " ".repeat(column - 1), "^".repeat(*width))?;
                if let Some(help) = help {
                    write!(f, "\n{gutter} = {help}")?;
                }
                return Ok(());
            }
        }
        match help {
            Some(help) => write!(f, " ({help})"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_in_a_file_shows_the_line_with_a_caret_under_what_is_meant() {
        let problem = Problem {
            place: Place::File {
                layer: 0,
                path: "providers.toml".into(),
                line: 12,
                column: 3,
                excerpt: "  concurency = 16".into(),
                width: 10,
            },
            message: "unknown key `concurency`".into(),
            help: Some("did you mean `concurrency`?".into()),
        };
        let expected = "\
providers.toml:12:3: unknown key `concurency`
   |
12 |   concurency = 16
   |   ^^^^^^^^^^
   = did you mean `concurrency`?";
        assert_eq!(problem.to_string(), expected);
    }

    #[test]
    fn a_problem_in_the_environment_is_one_line() {
        let problem =
            Problem { place: Place::Variable("SAMEMODEL__X".into()), message: "no".into(), help: Some("yes".into()) };
        assert_eq!(problem.to_string(), "environment variable SAMEMODEL__X: no (yes)");
    }
}
