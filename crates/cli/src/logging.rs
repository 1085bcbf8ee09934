//! Logs, on stderr.

use std::env;
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use thiserror::Error;
use tracing::Subscriber;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt};

pub(crate) use tracing_subscriber::filter::LevelFilter;

use crate::arguments::LogFormat;
use crate::output::{FLUSH_MAX, Output};

/// What says which lines are logged, the first that is set.
const VARIABLES: [&str; 2] = ["REPLINK_LOG", "RUST_LOG"];

/// Where the log goes, once there is one.
static OUTPUT: OnceLock<Output> = OnceLock::new();

#[derive(Error, Debug)]
pub(crate) enum LoggingError {
    #[error(
        "{variable}: {value:?} is no level; give off, error, warn, info, debug or trace, or such for single targets, \
         as in warn,replink_transport=debug"
    )]
    Level { variable: &'static str, value: String },
    #[error("can't write logs: {0}")]
    Output(#[from] io::Error),
}

/// Logs from `default` on, or as `REPLINK_LOG` says, or `RUST_LOG`.
pub(crate) fn start(format: LogFormat, default: LevelFilter) -> Result<(), LoggingError> {
    let filter = filter_of_environment(default)?;
    let colored = io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let output = Output::stderr(move |count| notice(format, colored, count))?;
    let output = OUTPUT.get_or_init(|| output);
    let to_output = || LinesTo(|lines: &[u8]| output.lines(lines));
    tracing_subscriber::registry().with(layer(format, colored, to_output)).with(filter).init();
    std::panic::set_hook(Box::new(|panic| {
        tracing::error!("{panic}");
        output.flush(FLUSH_MAX);
    }));
    Ok(())
}

/// Where the log goes: `None` before it was started.
pub(crate) fn output() -> Option<&'static Output> {
    OUTPUT.get()
}

fn filter_of_environment(default: LevelFilter) -> Result<Targets, LoggingError> {
    for variable in VARIABLES {
        let value = env::var_os(variable).unwrap_or_default();
        if value.is_empty() {
            continue;
        }
        let filter = value.to_str().and_then(|text| parse(text, default));
        let value = || value.to_string_lossy().into_owned();
        return filter.ok_or_else(|| LoggingError::Level { variable, value: value() });
    }
    Ok(Targets::new().with_default(default))
}

/// Levels, separated by commas: one for all, and one for each target that is named. [`Targets`] would take a
/// misspelled level for the name of a target.
fn parse(text: &str, default: LevelFilter) -> Option<Targets> {
    let level = |text: &str| Some(text.trim()).filter(|text| !text.is_empty())?.parse::<LevelFilter>().ok();
    text.split(',').try_fold(Targets::new().with_default(default), |targets, part| {
        match part.split_once('=') {
            Some((target, of_target)) => Some(targets.with_target(target.trim(), level(of_target)?)),
            None => Some(targets.with_default(level(part)?)),
        }
    })
}

fn layer<S, W>(format: LogFormat, colored: bool, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let layer = fmt::layer().with_target(false).with_writer(writer).log_internal_errors(false);
    match format {
        LogFormat::Text => layer.with_ansi(colored).boxed(),
        LogFormat::Json => layer.json().boxed(),
    }
}

/// The line that says how many there are not, as all others look.
fn notice(format: LogFormat, colored: bool, count: u64) -> String {
    let line = Arc::new(Mutex::new(Vec::new()));
    let to_line = {
        let line = Arc::clone(&line);
        move || {
            let line = Arc::clone(&line);
            LinesTo(move |lines: &[u8]| {
                line.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(lines);
            })
        }
    };
    tracing::subscriber::with_default(Registry::default().with(layer(format, colored, to_line)), || {
        tracing::warn!(
            "{count} lines of the log were dropped: nobody took them in time, or they could not be written"
        );
    });
    let line = line.lock().unwrap_or_else(PoisonError::into_inner);
    String::from_utf8_lossy(&line).into_owned()
}

/// Gives each write, which is of whole lines here, to a function.
struct LinesTo<F>(F);

impl<F: Fn(&[u8])> Write for LinesTo<F> {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        (self.0)(lines);
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_a_level_and_nothing_else() {
        for (text, shown) in [
            ("debug", "debug"),
            (" WARN ", "warn"),
            ("off", "off"),
            ("info,replink_transport=trace", "replink_transport=trace,info"),
            ("replink_transport=debug", "replink_transport=debug,error"),
        ] {
            let parsed = parse(text, LevelFilter::ERROR).unwrap().to_string().to_lowercase();
            assert_eq!(parsed, shown, "{text}");
        }
        for text in ["loud", "", "info,", "a=loud", "a=", "debug,loud"] {
            assert!(parse(text, LevelFilter::ERROR).is_none(), "{text}");
        }
    }

    #[test]
    fn the_notice_looks_like_the_other_lines() {
        let text = notice(LogFormat::Text, false, 7);
        assert!(text.contains("WARN") && text.contains("7 lines of the log were dropped"), "{text}");
        assert!(text.ends_with('\n') && text.lines().count() == 1);
        let json: serde_json::Value = serde_json::from_str(&notice(LogFormat::Json, true, 7)).unwrap();
        assert_eq!(json["level"], "WARN");
    }
}
