//! What a command writes: lines that a replica never waits for, and reports that have to arrive.

mod queue;
mod writer;

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use queue::Queue;

/// How long a replica that ends waits for what it wrote to be taken.
pub(crate) const FLUSH_MAX: Duration = Duration::from_millis(500);

/// One of the outputs of a replica, for any thread. Lines go through a bounded queue to a thread that writes them:
/// whoever has a line never waits, whether the output is read, full or gone. What finds no room or can't be written
/// is counted, and told of in the output once that can be written again.
#[derive(Clone)]
pub(crate) struct Output(Arc<Queue>);

impl Output {
    /// Writes to stdout. `notice` is the line that tells how many were dropped.
    pub(crate) fn stdout(notice: impl Fn(u64) -> String + Send + 'static) -> io::Result<Self> {
        Self::start("events", duplicate(&io::stdout())?, notice)
    }

    /// Writes to stderr. `notice` is the line that tells how many were dropped.
    pub(crate) fn stderr(notice: impl Fn(u64) -> String + Send + 'static) -> io::Result<Self> {
        Self::start("log", duplicate(&io::stderr())?, notice)
    }

    fn start(
        name: &str,
        to: impl Write + Send + 'static,
        notice: impl Fn(u64) -> String + Send + 'static,
    ) -> io::Result<Self> {
        let queue = Arc::new(Queue::default());
        let output = Self(Arc::clone(&queue));
        thread::Builder::new()
            .name(format!("write-{name}"))
            .spawn(move || writer::run(&queue, to, notice))?;
        Ok(output)
    }

    /// Writes a line, whose end is added, or drops and counts it.
    pub(crate) fn line(&self, line: &str) {
        self.0.push(&[line.as_bytes(), b"\n"].concat());
    }

    /// The same with whole lines.
    pub(crate) fn lines(&self, lines: &[u8]) {
        self.0.push(lines);
    }

    /// How many lines were dropped.
    pub(crate) fn dropped(&self) -> u64 {
        self.0.dropped()
    }

    /// Waits until all is written, or for `patience`.
    pub(crate) fn flush(&self, patience: Duration) {
        self.0.wait_until_written(patience);
    }
}

/// A descriptor of our own: no lock of the standard library is held while a write waits.
fn duplicate(stream: &impl AsFd) -> io::Result<File> {
    stream.as_fd().try_clone_to_owned().map(File::from)
}

/// Writes a whole line of a command that is done when all of it is written.
pub(crate) fn print_line(line: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{line}").and_then(|()| stdout.flush())
}

/// Writes a secret, of which no copy stays behind.
pub(crate) fn print_unbuffered(bytes: &[u8]) -> io::Result<()> {
    duplicate(&io::stdout())?.write_all(bytes)
}

/// Writes a report, and ends the command with `code`: a report that did not arrive is a failure whatever it says.
pub(crate) fn report(text: &str, code: ExitCode) -> ExitCode {
    match print_line(text) {
        Ok(()) => code,
        Err(error) => crate::fail(format_args!("can't write the report: {error}")),
    }
}
