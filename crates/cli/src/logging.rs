use std::io;

pub(crate) use tracing_subscriber::filter::LevelFilter;

/// Logs go to stderr: from `default` on, or as `REPLINK_LOG` says ("off", "error", "warn", "info", "debug",
/// "trace").
pub(crate) fn start(default: LevelFilter) {
    let level = std::env::var("REPLINK_LOG").ok().and_then(|level| level.parse().ok());
    tracing_subscriber::fmt()
        .with_max_level(level.unwrap_or(default))
        .with_target(false)
        .with_writer(io::stderr)
        .with_ansi(io::IsTerminal::is_terminal(&io::stderr()))
        .init();
}
