//! Where the command gets its configuration from.

use std::io;
use std::path::Path;
use std::sync::OnceLock;

use replink_transport::config::{Config, ConfigErrors, Sources, SystemSources, TakenVariable};

/// The secret that was in the environment, for as long as the command runs: a reload asks for it again.
static ENVIRONMENT: OnceLock<TakenVariable> = OnceLock::new();

/// Takes the secret out of the environment. Nothing else may run yet.
///
/// # Errors
///
/// When it has to stay there.
pub(crate) fn take_environment() -> io::Result<()> {
    let taken = TakenVariable::take()?;
    let _ = ENVIRONMENT.set(taken);
    Ok(())
}

/// The configuration in the file at `path`.
pub(crate) fn load(path: &Path) -> Result<Config, ConfigErrors> {
    let sources: &dyn Sources = match ENVIRONMENT.get() {
        Some(taken) => taken,
        None => &SystemSources,
    };
    Config::load_with(path, sources)
}
