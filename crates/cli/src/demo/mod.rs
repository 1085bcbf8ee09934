//! `replink demo`: replicates a file between processes on this machine, records what goes over their links, and
//! turns impostors away.

mod cluster;
mod impostors;
mod place;
mod progress;
mod recording;
pub(crate) mod replica;
mod replication;

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use replink_transport::config::{ConfigErrors, open_file};
use thiserror::Error;

use crate::arguments::DemoOptions;
use crate::fail;
use crate::hex;
use crate::output;
use cluster::{Cluster, NAME};
use recording::Recording;

/// The software release of the demo, as its handshakes tell it.
const RELEASE: u32 = 1;

/// Why the demo failed. Each names the replica or file that it is about.
#[derive(Error, Debug)]
pub(crate) enum DemoError {
    #[error("{what}: {source}")]
    Io { what: String, source: io::Error },
    #[error("the operating system gives no randomness: {0}")]
    Entropy(#[from] replink_transport::EntropyError),
    #[error("with --driver {driver}: {problem}")]
    Driver { driver: &'static str, problem: ConfigErrors },
    #[error("replica {replica} ended unexpectedly ({status}), the replication is incomplete")]
    Died { replica: u8, status: String },
    #[error("replica {replica}: {message}")]
    Replica { replica: u8, message: String },
    #[error("no progress for {seconds} s, the replication is incomplete")]
    Stalled { seconds: u64 },
    #[error("the copy of replica {replica} differs from the original")]
    Differs { replica: u8 },
    #[error("{impostor} was not turned away as it must be: {what}")]
    Impostor { impostor: &'static str, what: String },
    #[error("whoever records the links of replica 0 reads {seen}")]
    Plaintext { seen: String },
    #[error("the recording of replica 0's links has {bytes} bytes, which is not all")]
    NotRecorded { bytes: u64 },
}

impl DemoError {
    fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}

pub(crate) fn run(options: &DemoOptions) -> ExitCode {
    match demonstrate(options) {
        Ok(()) => output::report("all of it held", ExitCode::SUCCESS),
        Err(error) => fail(format_args!("demo failed: {error}")),
    }
}

fn demonstrate(options: &DemoOptions) -> Result<(), DemoError> {
    let executable = std::env::current_exe().map_err(DemoError::io("can't find this executable"))?;
    let input = options.input.clone().unwrap_or_else(|| executable.clone());
    let size = std::fs::metadata(&input).map_err(DemoError::io(format!("{}", input.display())))?.len();
    let original = hash_file(&input)?;

    let recording = Recording::new(NAME, &input).map_err(DemoError::io(format!("{}", input.display())))?;
    let mut cluster = Cluster::prepare(&executable, options, recording)?;
    say(&format!(
        "replicating {} ({size} bytes) from replica 0 to {} others, each a process of its own",
        input.display(),
        options.replicas - 1
    ))?;
    cluster.start(&input, options.frame_size)?;
    progress::watch(&mut cluster, size)?;

    for (replica, copy) in cluster.copies() {
        let hash = hash_file(&copy)?;
        if hash != original {
            return Err(DemoError::Differs { replica });
        }
        say(&format!("replica {replica} holds an identical copy: blake3 {}", hex::encode(&hash)))?;
    }
    for turned_away in impostors::try_all(&cluster)? {
        say(&turned_away)?;
    }
    let recording = cluster.stop()?;
    say(&recording.verdict(size * u64::from(options.replicas - 1))?)
}

/// Writes a line for the person who looks.
fn say(line: &str) -> Result<(), DemoError> {
    output::print_line(line).map_err(DemoError::io("can't write what is seen"))
}

fn hash_file(path: &Path) -> Result<[u8; 32], DemoError> {
    let mut hasher = blake3::Hasher::new();
    let mut file = open_file(path).map_err(DemoError::io(format!("{}", path.display())))?;
    io::copy(&mut file, &mut hasher).map_err(DemoError::io(format!("{}", path.display())))?;
    Ok(hasher.finalize().into())
}

/// Where the copy of `replica` goes.
fn copy_path(directory: &Path, replica: u8) -> PathBuf {
    directory.join(format!("copy-{replica}"))
}
