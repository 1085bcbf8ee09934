//! Three who have no business on the link, and what they are told.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use replink_transport::blocking;
use replink_transport::config::Config;
use replink_transport::exchange::DialFailure;
use replink_transport::frame::{Challenge, Command, GenericHeader, HEADER_SIZE, ReplicaId, Status};
use replink_transport::handshake::{DialError, DialTarget, cluster_id};
use replink_transport::incarnation;

use super::DemoError;
use super::RELEASE;
use super::cluster::{Cluster, NAME};
use crate::keygen;

const PATIENCE: Duration = Duration::from_secs(5);

/// Tries each at replica 1; gives a line for each that was turned away, and an error for one that
/// was not.
pub(super) fn try_all(cluster: &Cluster) -> Result<Vec<String>, DemoError> {
    let other_key = keygen::generate()?;
    let without_key = cluster.toml(NAME, &format!("shared_secret = \"{}\"", *other_key));
    let other_name = cluster.toml("another-cluster", "shared_secret_file = \"cluster.key\"");
    Ok(vec![
        handshake("an impostor without the key", cluster, &without_key, Status::UNKNOWN_KEY)?,
        handshake("a replica of another cluster", cluster, &other_name, Status::CLUSTER_MISMATCH)?,
        prepare_without_handshake(cluster)?,
    ])
}

/// Replica 0 as `toml` has it shakes hands with replica 1.
fn handshake(
    impostor: &'static str,
    cluster: &Cluster,
    toml: &str,
    expected: Status,
) -> Result<String, DemoError> {
    let wrong = |what: String| DemoError::Impostor { impostor, what };
    let path = cluster.directory().join("impostor.toml");
    let config =
        Config::parse(toml, &path, &WithoutEnvironment).map_err(|errors| wrong(errors.to_string()))?;
    let incarnation = incarnation().map_err(|error| wrong(error.to_string()))?;
    let endpoint =
        config.endpoint(ReplicaId(0), RELEASE, incarnation).map_err(|error| wrong(error.to_string()))?;
    let target = DialTarget::new(ReplicaId(1));
    let deadline = Instant::now() + PATIENCE;
    match blocking::connect(&endpoint, target, &[cluster.address(1)], deadline) {
        Err(DialFailure::Handshake(DialError::Rejected(reject))) if reject.status == expected => {
            Ok(format!("{impostor} was turned away: {}", reject.status))
        }
        Err(error) => Err(wrong(error.to_string())),
        Ok(_) => Err(wrong("it was let in".to_owned())),
    }
}

/// Someone who knows the cluster id and sends a Prepare as if that were enough.
fn prepare_without_handshake(cluster: &Cluster) -> Result<String, DemoError> {
    let impostor = "a Prepare without a handshake";
    let wrong = |what: String| DemoError::Impostor { impostor, what };
    let body = b"not from a replica";
    let prepare = GenericHeader::new(cluster_id(NAME), Command::PREPARE, body.len());
    let answer = exchange(cluster.address(1), &[&prepare.bytes()[..], body].concat())
        .map_err(|error| wrong(error.to_string()))?;
    match Challenge::parse(&answer) {
        Ok(reject) if reject.fields().status == Status::UNKNOWN_COMMAND => {
            Ok(format!("{impostor} was turned away: {}", reject.fields().status))
        }
        Ok(other) => Err(wrong(format!("it was answered with {}", other.fields().status))),
        Err(error) => Err(wrong(error.to_string())),
    }
}

/// Sends `bytes`, and reads one frame and then the end of the stream.
fn exchange(address: SocketAddr, bytes: &[u8]) -> std::io::Result<[u8; HEADER_SIZE]> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(bytes)?;
    let mut answer = [0; HEADER_SIZE];
    stream.read_exact(&mut answer)?;
    match stream.read(&mut [0])? {
        0 => Ok(answer),
        _ => Err(std::io::Error::other("more than a reject was answered")),
    }
}

/// Secret files as they are, but no environment: it may hold the cluster's real secret.
struct WithoutEnvironment;

impl replink_transport::config::Sources for WithoutEnvironment {
    fn environment(&self, _: &str) -> Option<zeroize::Zeroizing<Vec<u8>>> {
        None
    }

    fn secret_file(
        &self,
        path: &Path,
    ) -> Result<zeroize::Zeroizing<Vec<u8>>, replink_transport::config::SecretFileError> {
        replink_transport::config::SystemSources.secret_file(path)
    }
}
