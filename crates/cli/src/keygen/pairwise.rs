//! `replink keygen --pairwise`: a file of pair secrets for each replica (K-3).

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use replink_transport::config::{Outline, pair_file};
use replink_transport::frame::ReplicaId;
use replink_transport::handshake::{Key, Secret};
use replink_transport::{EntropyError, secret_bytes};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::{fail, output};

#[derive(Error, Debug)]
enum PairwiseError {
    #[error("a cluster of one replica has no pairs")]
    OneReplica,
    #[error(transparent)]
    Randomness(#[from] EntropyError),
    #[error("{} is there already, and is not overwritten; nothing was written", .0.display())]
    Exists(PathBuf),
    #[error("can't write {}: {source}; what had been written was removed", path.display())]
    Write { path: PathBuf, source: io::Error },
}

pub(super) fn run(config: &Path, out: &Path) -> ExitCode {
    let outline = match Outline::load(config) {
        Ok(outline) => outline,
        Err(errors) => return fail(errors),
    };
    let report = match draw(&outline, out) {
        Ok(report) => report,
        Err(error) => return fail(error),
    };
    match output::print_line(&report) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(format_args!("the files are written; can't tell their key ids: {error}")),
    }
}

/// Writes a file for each replica, or none. The root is gone when this returns. What comes back
/// names the files and key ids.
fn draw(outline: &Outline, out: &Path) -> Result<String, PairwiseError> {
    let mut replicas: Vec<_> = outline.nodes.iter().map(|node| node.id).collect();
    replicas.sort_unstable();
    if replicas.len() < 2 {
        return Err(PairwiseError::OneReplica);
    }
    let path = |replica: ReplicaId| out.join(format!("replica-{replica}.keys"));
    if let Some(path) = replicas.iter().map(|&replica| path(replica)).find(|path| path.exists()) {
        return Err(PairwiseError::Exists(path));
    }
    let create = DirBuilder::new().recursive(true).mode(0o700).create(out);
    create.map_err(|source| PairwiseError::Write { path: out.to_owned(), source })?;

    let root = draw_root()?;
    let (mut report, mut written) = (Vec::new(), Vec::new());
    for &replica in &replicas {
        let peers = replicas.iter().filter(|&&peer| peer != replica);
        let secrets: Vec<_> =
            peers.map(|&peer| (peer, Secret::pair_bytes(&outline.app, &root, replica, peer))).collect();
        let path = path(replica);
        if let Err(source) = write_new(&path, &pair_file(&outline.app, replica, &secrets), &mut written) {
            // A part of a set is of no use: nobody has the root any more.
            for path in &written {
                let _ = fs::remove_file(path);
            }
            return Err(PairwiseError::Write { path, source });
        }
        report.push(path.display().to_string());
        for &peer in replicas.iter().filter(|&&peer| peer != replica) {
            let secret = Secret::for_pair(&outline.app, &root, replica, peer);
            let key = Key::derive(&outline.app, &secret).id();
            report.push(format!("  with replica {peer}: key {key}"));
        }
    }
    Ok(report.join("\n"))
}

/// 256 bits from the operating system, which live as long as this command.
fn draw_root() -> Result<Secret, EntropyError> {
    let bytes = Zeroizing::new(secret_bytes()?.to_vec());
    Ok(Secret::new(bytes).expect("256 bits are as long as a secret has to be"))
}

/// Never overwrites; a file that is there at all is in `written`.
fn write_new(path: &Path, text: &str, written: &mut Vec<PathBuf>) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    written.push(path.to_owned());
    file.write_all(text.as_bytes()).and_then(|()| File::sync_all(&file))
}
