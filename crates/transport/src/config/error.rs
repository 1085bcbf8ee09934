use std::error::Error;
use std::fmt;
use std::path::{Path, PathBuf};
use std::slice;

/// One mistake: where it is, what is wrong, and what would be right.
///
/// Holds no secret: no value of a key that may hold one is ever repeated, nor any other text
/// that is long enough to be one.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct ConfigError {
    /// The file, as it was named to [`super::Config::load`]; or the file of pair secrets that it
    /// names, with the directory of the configuration put before a relative path. `None` for a
    /// configuration that was made or changed in code.
    pub file: Option<PathBuf>,
    /// The line in it, from 1; `None` for a mistake that is not in the text, as in the
    /// environment.
    pub line: Option<u32>,
    /// The key with its tables, such as `cluster.auth.min_version`, or the environment variable.
    /// Empty if it is not known, as in a file that can't be read.
    pub key: String,
    /// What is wrong, to be read after the key: `is 3`.
    pub problem: String,
    /// What would be right: `must be 1 or 2`.
    pub cure: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{}:", file.display())?;
            if let Some(line) = self.line {
                write!(f, "{line}:")?;
            }
            f.write_str(" ")?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        write!(f, "{}; {}", self.problem, self.cure)
    }
}

impl Error for ConfigError {}

/// Every mistake of a configuration, in the order of its lines, and then those of its file of pair
/// secrets; at least one.
///
/// Shown with one mistake per line: `cluster.toml:12: cluster.auth.min_version: is 3; must be 1 or 2`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigErrors(Vec<ConfigError>);

impl ConfigErrors {
    /// `None` if there is no mistake. Those in files that `file` names come behind its own.
    pub(super) fn new(mut errors: Vec<ConfigError>, file: Option<&Path>) -> Option<Self> {
        // Stable: of one line, in the order in which they were found.
        errors.sort_by_key(|error| (error.file.as_deref() != file, error.line.unwrap_or(u32::MAX)));
        (!errors.is_empty()).then_some(Self(errors))
    }

    /// The mistakes; never empty.
    pub fn iter(&self) -> slice::Iter<'_, ConfigError> {
        self.0.iter()
    }
}

impl From<ConfigError> for ConfigErrors {
    fn from(error: ConfigError) -> Self {
        Self(vec![error])
    }
}

impl<'a> IntoIterator for &'a ConfigErrors {
    type Item = &'a ConfigError;
    type IntoIter = slice::Iter<'a, ConfigError>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{error}")?;
        }
        Ok(())
    }
}

impl Error for ConfigErrors {}
