//! The demo's processes: a cluster on loopback with a fresh key, in a folder of its own.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use replink_transport::config::Config;
use serde_json::Value;
use tempfile::TempDir;

use super::recording::{Recording, Relay};
use super::{DemoError, copy_path};
use crate::arguments::{DemoOptions, Driver, Sealed};
use crate::keygen;

/// The name of the demo's cluster.
pub(super) const NAME: &str = "demo";

/// How long a replica gets to stop on its own.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

pub(super) struct Cluster {
    executable: PathBuf,
    directory: TempDir,
    addresses: Vec<SocketAddr>,
    recording: Arc<Recording>,
    shards: u16,
    driver: Driver,
    sealed: Option<Sealed>,
    children: BTreeMap<u8, Child>,
    reports: Receiver<(u8, Report)>,
    reporter: Sender<(u8, Report)>,
}

/// What comes from a replica's process.
pub(super) enum Report {
    /// One line of its stdout.
    Event(Value),
    /// Its stdout is closed: it is gone, or about to be.
    Ended,
}

impl Cluster {
    /// Chooses addresses and writes key and configuration; nothing runs yet but the recording of what is going to be
    /// replicated.
    pub(super) fn prepare(
        executable: &Path,
        options: &DemoOptions,
        recording: Recording,
    ) -> Result<Self, DemoError> {
        let directory = TempDir::new().map_err(DemoError::io("can't make a temporary folder"))?;
        let addresses = free_addresses(options.replicas).map_err(DemoError::io("can't find free ports"))?;
        let secret = keygen::generate()?;
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(directory.path().join("cluster.key"))
            .and_then(|mut file| file.write_all(secret.as_bytes()))
            .map_err(DemoError::io("can't write the key"))?;
        let (reporter, reports) = channel();
        let executable = executable.to_owned();
        let children = BTreeMap::new();
        let (recording, sealed) = (Arc::new(recording), options.sealed);
        let (shards, driver) = (options.shards, options.driver);
        let cluster = Self {
            executable,
            directory,
            addresses,
            recording,
            shards,
            driver,
            sealed,
            children,
            reports,
            reporter,
        };
        let reached = cluster.record().map_err(DemoError::io("can't record the links"))?;
        let auth = "shared_secret_file = \"cluster.key\"";
        let first = cluster.toml_with(NAME, auth, &reached);
        for (replica, toml) in [(0, first), (1, cluster.toml(NAME, auth))] {
            std::fs::write(cluster.config_path(replica), toml)
                .map_err(DemoError::io("can't write cluster.toml"))?;
        }
        // Said here once, and not by every replica.
        let driver = driver.as_str();
        Config::load(cluster.config_path(0)).map_err(|problem| DemoError::Driver { driver, problem })?;
        Ok(cluster)
    }

    /// Where replica 0, which dials all others (H-1), reaches them: through the recording.
    fn record(&self) -> std::io::Result<Vec<SocketAddr>> {
        let mut reached = self.addresses.clone();
        for address in &mut reached[1..] {
            let relay = Relay::bind()?;
            let target = std::mem::replace(address, relay.address);
            relay.start(target, Arc::clone(&self.recording))?;
        }
        Ok(reached)
    }

    /// A configuration of these replicas.
    pub(super) fn toml(&self, name: &str, auth: &str) -> String {
        self.toml_with(name, auth, &self.addresses)
    }

    fn toml_with(&self, name: &str, auth: &str, addresses: &[SocketAddr]) -> String {
        let driver = self.driver.as_str();
        let mut toml = format!(
            "[cluster]\nname = \"{name}\"\n[cluster.auth]\n{auth}\n[cluster.link]\ndriver = \"{driver}\"\n"
        );
        if let Some(sealed) = self.sealed {
            let _ = writeln!(toml, "sealed = \"{}\"", sealed.as_str());
        }
        for (id, address) in addresses.iter().enumerate() {
            let _ = write!(toml, "[[cluster.nodes]]\nid = {id}\naddress = \"{address}\"\n");
        }
        toml
    }

    pub(super) fn directory(&self) -> &Path {
        self.directory.path()
    }

    fn config_path(&self, replica: u8) -> PathBuf {
        self.directory.path().join(if replica == 0 { "replica-0.toml" } else { "cluster.toml" })
    }

    /// The receiving replicas and their copies.
    pub(super) fn copies(&self) -> impl Iterator<Item = (u8, PathBuf)> {
        (1u8..).take(self.addresses.len() - 1).map(|replica| (replica, copy_path(self.directory(), replica)))
    }

    /// Starts all processes, the sender last.
    pub(super) fn start(&mut self, input: &Path, frame_size: u32) -> Result<(), DemoError> {
        for (replica, copy) in self.copies().collect::<Vec<_>>() {
            self.spawn(replica, &["--output".as_ref(), copy.as_os_str()])?;
        }
        let frame_size = format!("{frame_size}B");
        self.spawn(0, &["--input".as_ref(), input.as_os_str(), "--frame-size".as_ref(), frame_size.as_ref()])
    }

    fn spawn(&mut self, replica: u8, arguments: &[&std::ffi::OsStr]) -> Result<(), DemoError> {
        let failed = |what: &str| DemoError::io(format!("can't {what} replica {replica}"));
        let mut child = Command::new(&self.executable)
            .args(["demo-replica", "--replica-id", &replica.to_string(), "--config"])
            .arg(self.config_path(replica))
            .args(["--shards", &self.shards.to_string()])
            .args(arguments)
            .env("REPLINK_LOG", std::env::var("REPLINK_LOG").unwrap_or_else(|_| "error".to_owned()))
            .env_remove(replink_transport::config::SECRET_VARIABLE)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed("start"))?;
        let stdout = child.stdout.take();
        self.children.insert(replica, child);
        let Some(stdout) = stdout else { return Ok(()) };
        let reporter = self.reporter.clone();
        thread::Builder::new()
            .spawn(move || {
                let lines = BufReader::new(stdout).lines().map_while(Result::ok);
                for event in lines.filter_map(|line| serde_json::from_str(&line).ok()) {
                    let _ = reporter.send((replica, Report::Event(event)));
                }
                let _ = reporter.send((replica, Report::Ended));
            })
            .map(drop)
            .map_err(failed("watch"))
    }

    /// The next report of any replica, or `None` if there is none within `patience`.
    pub(super) fn next_report(&self, patience: Duration) -> Option<(u8, Report)> {
        self.reports.recv_timeout(patience).ok()
    }

    /// How `replica` ended, in words.
    pub(super) fn exit_status(&mut self, replica: u8) -> String {
        match self.children.get_mut(&replica).map(Child::wait) {
            Some(Ok(status)) => status.to_string(),
            Some(Err(error)) => error.to_string(),
            None => "it was never started".to_owned(),
        }
    }

    /// Where `replica` listens.
    pub(super) fn address(&self, replica: u8) -> SocketAddr {
        self.addresses[usize::from(replica)]
    }

    /// Asks all processes to stop, and checks that they do so in peace. Gives the recording of their links.
    pub(super) fn stop(mut self) -> Result<Arc<Recording>, DemoError> {
        let deadline = Instant::now() + STOP_PATIENCE;
        for child in self.children.values() {
            terminate(child);
        }
        for (&replica, child) in &mut self.children {
            let status = loop {
                match child.try_wait() {
                    Ok(Some(status)) => break status,
                    Ok(None) if Instant::now() < deadline => thread::sleep(Duration::from_millis(5)),
                    Ok(None) => {
                        return Err(DemoError::Replica {
                            replica,
                            message: "did not stop when asked to".into(),
                        });
                    }
                    Err(source) => return Err(DemoError::io("can't wait for a replica")(source)),
                }
            };
            if !status.success() {
                return Err(DemoError::Died { replica, status: status.to_string() });
            }
        }
        Ok(Arc::clone(&self.recording))
    }
}

/// Whatever happens, no process stays behind.
impl Drop for Cluster {
    fn drop(&mut self) {
        for child in self.children.values_mut() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn terminate(child: &Child) {
    // The replica's own handler says goodbye. `kill` on a child that is gone fails, which is fine.
    let _ = Command::new("kill").args(["-TERM", &child.id().to_string()]).stderr(Stdio::null()).status();
}

/// Ports that were free a moment ago; all are held until the last one is found.
fn free_addresses(count: u8) -> std::io::Result<Vec<SocketAddr>> {
    let listeners: Vec<_> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<Result<_, _>>()?;
    listeners.iter().map(TcpListener::local_addr).collect()
}
