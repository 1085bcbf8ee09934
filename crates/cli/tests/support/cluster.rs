//! A folder with a cluster.toml and keys.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use replink_tests::fixtures::SECRET;

/// The cluster `orders` of three replicas on free ports of loopback.
pub struct Cluster {
    directory: tempfile::TempDir,
    pub addresses: [SocketAddr; 3],
}

impl Cluster {
    /// With `auth` and `link` as further lines of those sections; the secret is in `cluster.key`.
    pub fn new(auth: &str, link: &str) -> Self {
        Self::at(Ipv4Addr::LOCALHOST, auth, link)
    }

    /// The same on another address of loopback. Connections come from 127.0.0.1, so that none of them
    /// has the port of a replica that is yet to start.
    pub fn at(address: Ipv4Addr, auth: &str, link: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let listeners = [0; 3].map(|_| TcpListener::bind((address, 0)).unwrap());
        let addresses = [0, 1, 2].map(|i| listeners[i].local_addr().unwrap());
        let cluster = Self { directory, addresses };
        cluster.write_secret("cluster.key", SECRET);
        cluster.write_config(&format!("shared_secret_file = \"cluster.key\"\n{auth}"), link);
        cluster
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn config(&self) -> PathBuf {
        self.path("cluster.toml")
    }

    pub fn write_config(&self, auth: &str, link: &str) {
        write_private(&self.config(), self.toml("orders", auth, link).as_bytes());
    }

    /// A configuration of its own for one replica.
    pub fn write_config_of(&self, replica: u8, auth: &str, link: &str) -> PathBuf {
        let path = self.path(&format!("replica-{replica}.toml"));
        write_private(&path, self.toml("orders", auth, link).as_bytes());
        path
    }

    pub fn toml(&self, name: &str, auth: &str, link: &str) -> String {
        let node =
            |id: usize| format!("[[cluster.nodes]]\nid = {id}\naddress = \"{}\"\n", self.addresses[id]);
        let nodes = [0, 1, 2].map(node).concat();
        format!("[cluster]\nname = \"{name}\"\n[cluster.auth]\n{auth}\n[cluster.link]\n{link}\n{nodes}")
    }

    pub fn write_secret(&self, name: &str, secret: &[u8]) {
        write_private(&self.path(name), secret);
    }
}

fn write_private(path: &Path, bytes: &[u8]) {
    let _ = fs::remove_file(path);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).unwrap();
    file.write_all(bytes).unwrap();
}
