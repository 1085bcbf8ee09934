//! A driver of one mesh, for a test that plays all its peers.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use replink_transport::frame::{KeyId, ReplicaId, Status, Version};
use replink_transport::handshake::{Authentication, DialError, Peer, PeerReject, Side};
use replink_transport::mesh::Role as ReplicaRole;
use replink_transport::mesh::{Action, LinkId, Mesh, MeshSettings};

pub(crate) const KEY: KeyId = KeyId([1; 8]);
pub(crate) const OTHER_KEY: KeyId = KeyId([2; 8]);

pub(crate) fn settings(replicas: u8) -> MeshSettings {
    let members = (0..replicas).map(|id| (ReplicaId(id), ReplicaRole::Voter)).collect();
    MeshSettings::new(members, Some(vec![KEY]))
}

/// The same with something changed.
pub(crate) fn changed<T>(mut value: T, change: impl FnOnce(&mut T)) -> T {
    change(&mut value);
    value
}

/// `replica` as a mesh sees it that dialed it, or was dialed by it.
pub(crate) fn peer(replica: u8, side: Side) -> Peer {
    let proved = Authentication::PreSharedKey(KEY);
    changed(Peer::new(ReplicaId(replica), side, Version::V2, proved), |peer| {
        peer.release = 1;
        peer.incarnation = 7;
    })
}

pub(crate) fn address(last: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, last], 7400))
}

pub(crate) fn reject(from: u8, status: Status, authenticated: bool, retry_after_ms: u32) -> PeerReject {
    PeerReject::new(ReplicaId(from), status, retry_after_ms, authenticated)
}

/// A mesh, its clock, and randomness that always asks for the longest wait.
pub(crate) struct One {
    pub(crate) mesh: Mesh,
    pub(crate) random: u64,
    start: Instant,
    pub(crate) now: Instant,
    links: u64,
}

impl One {
    pub(crate) fn new(local: u8, settings: MeshSettings) -> Self {
        let start = Instant::now();
        let mesh = Mesh::new(ReplicaId(local), settings, start);
        Self { mesh, random: u64::MAX, start, now: start, links: 0 }
    }

    /// All that the mesh wants done now.
    pub(crate) fn actions(&mut self) -> Vec<Action> {
        self.mesh.handle_timeout(self.now, self.random);
        std::iter::from_fn(|| self.mesh.next_action()).collect()
    }

    /// Lets time go by and does nothing: what the mesh wanted, and after how many milliseconds
    /// since the beginning.
    pub(crate) fn wait(&mut self, duration: Duration) -> Vec<(u128, Action)> {
        let end = self.now + duration;
        let mut wanted = Vec::new();
        loop {
            let at = (self.now - self.start).as_millis();
            wanted.extend(self.actions().into_iter().map(|action| (at, action)));
            match self.mesh.next_timeout() {
                Some(next) if next <= end => self.now = next.max(self.now),
                _ => break,
            }
        }
        self.now = end;
        wanted
    }

    pub(crate) fn wait_ms(&mut self, millis: u64) -> Vec<(u128, Action)> {
        self.wait(Duration::from_millis(millis))
    }

    /// A new link, with what the mesh makes of it.
    pub(crate) fn establish(&mut self, peer: &Peer, from: u8) -> (LinkId, Vec<Action>) {
        self.links += 1;
        let link = LinkId(self.links);
        self.mesh.established(link, peer, address(from), self.now, self.random);
        (link, self.actions())
    }

    pub(crate) fn fail(&mut self, peer: u8, error: Option<&DialError>) -> Vec<Action> {
        self.mesh.dial_failed(ReplicaId(peer), 0, error, self.now, self.random);
        self.actions()
    }

    /// How long until the mesh dials, if it has nothing else to do.
    pub(crate) fn until_next(&self) -> Duration {
        self.mesh.next_timeout().expect("something to wait for").saturating_duration_since(self.now)
    }
}
