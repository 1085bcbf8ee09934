//! The configuration of replicas that are measured.

use std::fmt::Write as _;
use std::io;
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use replink_transport::config::{Config, SecretFileError, Sources};
use replink_transport::frame::ReplicaId;
use replink_transport::{Endpoint, incarnation};
use zeroize::Zeroizing;

use super::ReplicaLink;
use crate::Failure;
use crate::loopback::listener;

/// Replicas on loopback with a fresh key, and their ports.
#[derive(Debug)]
pub struct Cluster {
    config: Config,
    listeners: Vec<TcpListener>,
}

impl Cluster {
    /// `replicas` replicas with `lanes` links for each pair, set as `link` says. `auth` goes into
    /// `[cluster.auth]`.
    ///
    /// # Errors
    ///
    /// [`Failure`]; among others where the configuration asks for what is not available.
    pub fn new(replicas: u8, link: &ReplicaLink, lanes: u16, auth: &str) -> Result<Self, Failure> {
        let listeners = (0..replicas).map(|_| listener()).collect::<io::Result<Vec<_>>>()?;
        let config = Config::parse(
            &toml(link, lanes, auth, &listeners)?,
            Path::new("the measured cluster.toml"),
            &Nothing,
        )?;
        Ok(Self { config, listeners })
    }

    /// What all replicas have.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// How many replicas there are.
    pub fn replicas(&self) -> u8 {
        u8::try_from(self.listeners.len()).unwrap_or(u8::MAX)
    }

    /// The port of `replica`: a second handle to it.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn listener(&self, replica: u8) -> io::Result<TcpListener> {
        let port = self.listeners.get(usize::from(replica));
        port.ok_or(io::ErrorKind::NotFound)?.try_clone()
    }

    /// `replica`, for handshakes without a node.
    ///
    /// # Errors
    ///
    /// [`Failure`].
    pub fn endpoint(&self, replica: u8) -> Result<Endpoint, Failure> {
        Ok(self.config.endpoint(ReplicaId(replica), 0, incarnation()?)?)
    }
}

fn toml(
    link: &ReplicaLink,
    lanes: u16,
    auth: &str,
    listeners: &[TcpListener],
) -> Result<Zeroizing<String>, Failure> {
    let sealed = if link.sealed { "required" } else { "off" };
    let forward_secrecy = if link.forward_secrecy { "required" } else { "off" };
    let mut text = Zeroizing::new(String::new());
    write!(text, "[cluster]\nname = \"bench\"\n[cluster.auth]\nshared_secret = \"")?;
    for _ in 0..4 {
        write!(text, "{:016x}", incarnation()?)?; // 64 random bits each
    }
    write!(text, "\"\n{auth}\n[cluster.link]\nsealed = \"{sealed}\"\nlanes = {lanes}\n")?;
    // Half a MiB of the smallest frames, twice what is the default: the fewer the writes, the more seldom is
    // a receiver woken that has caught up.
    writeln!(text, "send_queue_frames = 2048")?;
    writeln!(text, "forward_secrecy = \"{forward_secrecy}\"")?;
    writeln!(text, "driver = \"{}\"", link.driver.in_config().as_str())?;
    if link.busy_poll > Duration::ZERO {
        writeln!(text, "busy_poll = \"{}us\"", link.busy_poll.as_micros())?;
    }
    for (id, port) in listeners.iter().enumerate() {
        write!(text, "[[cluster.nodes]]\nid = {id}\naddress = \"{}\"\n", port.local_addr()?)?;
    }
    Ok(text)
}

/// No environment and no files: nothing of the machine's own clusters is read.
struct Nothing;

impl Sources for Nothing {
    fn environment(&self, _name: &str) -> Option<Zeroizing<Vec<u8>>> {
        None
    }

    fn secret_file(&self, _path: &Path) -> Result<Zeroizing<Vec<u8>>, SecretFileError> {
        Err(io::Error::from(io::ErrorKind::NotFound).into())
    }
}
