//! Nodes, keys and randomness for tests. Nothing here is random: a failure repeats itself.

use std::sync::Arc;

use replink_frame::{Challenge, Finish, Flags, Hello, ReplicaId, Version};
use replink_handshake::{
    AcceptFailed, Acceptor, AcceptorConfig, App, Authenticated, Availability, AwaitChallenge, AwaitFinish,
    ChannelBinding, DialTarget, Dialer, DialerConfig, EphemeralSecret, FlagPolicy, Fresh, Key, KeyRing,
    Local, Nonce, PeerReject, Rejected, Secret, Verified, cluster_id,
};

/// The secret of every test cluster.
pub const SECRET: &[u8] = b"a secret for tests, 32 bytes or more";
/// Another cluster's secret.
pub const OTHER_SECRET: &[u8] = b"another secret, which is as long as it must be";

/// The key of `secret` for the default app.
pub fn key(secret: &[u8]) -> Key {
    Key::derive(&App::default(), &Secret::new(secret.to_vec()).unwrap())
}

/// A ring that offers the first secret and accepts the others.
pub fn ring(secrets: &[&[u8]]) -> Arc<KeyRing> {
    let (first, rest) = secrets.split_first().unwrap();
    Arc::new(KeyRing::new(key(first), rest.iter().map(|secret| key(secret))))
}

/// A replica of the cluster `orders`.
pub fn local(replica: u8) -> Local {
    Local::new(App::default(), cluster_id("orders"), ReplicaId(replica))
        .release(1)
        .incarnation(0x1000 + u64::from(replica))
}

/// Randomness made of `seed`.
pub fn fresh(seed: u8) -> Fresh {
    Fresh::new(Nonce::new([seed.max(1); 32]).unwrap(), EphemeralSecret::new([seed.wrapping_add(100); 32]))
}

/// A version 2 dialer for `replica` without flags.
pub fn dialer_config(replica: u8) -> DialerConfig {
    DialerConfig::new(local(replica), ring(&[SECRET]))
}

/// An acceptor for `replica` of a cluster of three that takes version 2 only.
pub fn acceptor_config(replica: u8) -> AcceptorConfig {
    AcceptorConfig::new(local(replica), ring(&[SECRET]), (0..3).map(ReplicaId).collect())
}

/// A policy that supports `flags` and requires none.
pub fn supports(flags: Flags) -> FlagPolicy {
    FlagPolicy::new(flags, Flags::NONE)
}

/// What the two sides of one handshake need: replica 0 dials replica 2.
#[derive(Clone, Debug)]
pub struct Sides {
    /// Replica 0.
    pub dialer: DialerConfig,
    /// Replica 2.
    pub acceptor: AcceptorConfig,
    /// What the dialer's end runs inside of.
    pub dialer_binding: ChannelBinding,
    /// What the acceptor's end runs inside of.
    pub acceptor_binding: ChannelBinding,
}

impl Sides {
    /// Two sides that agree on `version` and nothing else, on a bare socket. The acceptor takes
    /// no lower version.
    pub fn new(version: Version) -> Self {
        let mut sides = Self {
            dialer: dialer_config(0),
            acceptor: acceptor_config(2),
            dialer_binding: ChannelBinding::None,
            acceptor_binding: ChannelBinding::None,
        };
        sides.dialer.version = version;
        sides.acceptor.min_version = version;
        sides
    }

    /// Version 2, both sides with `flags` as an option.
    pub fn with_flags(flags: Flags) -> Self {
        let mut sides = Self::new(Version::V2);
        sides.dialer.flags = supports(flags);
        sides.acceptor.flags = supports(flags);
        sides
    }

    /// The dialer's first step, with the randomness of seed 1.
    pub fn dial(&self) -> (AwaitChallenge<()>, Hello) {
        self.dial_with(fresh(1))
    }

    /// The dialer's first step.
    pub fn dial_with(&self, fresh: Fresh) -> (AwaitChallenge<()>, Hello) {
        let target = DialTarget::new(self.acceptor.local.replica);
        Dialer::new(self.dialer.clone()).begin((), target, self.dialer_binding, fresh).unwrap()
    }

    /// The acceptor's answer to any first frame, with the randomness of seed 2.
    ///
    /// # Errors
    ///
    /// [`Rejected`], as the acceptor refuses it.
    pub fn answer(&self, hello: &[u8; 256]) -> Result<(AwaitFinish<()>, Challenge), Box<Rejected<()>>> {
        self.answer_with(hello, Availability::Open, fresh(2))
    }

    /// The acceptor's answer to any first frame.
    ///
    /// # Errors
    ///
    /// [`Rejected`], as the acceptor refuses it.
    pub fn answer_with(
        &self,
        hello: &[u8; 256],
        availability: Availability,
        fresh: Fresh,
    ) -> Result<(AwaitFinish<()>, Challenge), Box<Rejected<()>>> {
        let waiting = Acceptor::new(self.acceptor.clone()).begin((), self.acceptor_binding);
        waiting.receive(hello, availability, fresh).map_err(Box::new)
    }

    /// The whole handshake.
    pub fn run(&self) -> Run {
        let (waiting, hello) = self.dial();
        let (accepting, challenge) = self.answer(hello.bytes()).unwrap();
        let (dialed, finish) = waiting.receive(challenge.bytes()).unwrap();
        let verified = accepting.receive(finish.bytes()).unwrap();
        Run { hello, challenge, finish, dialed, verified }
    }
}

/// A handshake that succeeded: its frames, and what both ends hold. The acceptor can still
/// admit or refuse.
#[derive(Debug)]
#[allow(missing_docs, reason = "the names are the protocol's")]
pub struct Run {
    pub hello: Hello,
    pub challenge: Challenge,
    pub finish: Finish,
    pub dialed: Authenticated<()>,
    pub verified: Verified<()>,
}

/// The two authenticated ends of a handshake over no link at all.
pub fn handshake(dialer: DialerConfig, acceptor: AcceptorConfig) -> (Authenticated<()>, Authenticated<()>) {
    let bare = ChannelBinding::None;
    let run = Sides { dialer, acceptor, dialer_binding: bare, acceptor_binding: bare }.run();
    (run.dialed, run.verified.admit())
}

/// What the acceptor itself refuses with.
///
/// # Panics
///
/// If it was the dialer that refused (D-12).
pub fn rejected<L>(failed: impl Into<AcceptFailed<L>>) -> Rejected<L> {
    match failed.into() {
        AcceptFailed::Rejected(rejected) => rejected,
        AcceptFailed::RejectedByPeer { reject, .. } => panic!("{reject}"),
    }
}

/// What the dialer refused with (D-12).
///
/// # Panics
///
/// If it was the acceptor that refused.
pub fn rejected_by_peer<T>(received: Result<T, AcceptFailed<()>>) -> PeerReject {
    match received.map(drop).unwrap_err() {
        AcceptFailed::RejectedByPeer { reject, .. } => reject,
        AcceptFailed::Rejected(rejected) => panic!("{}", rejected.rejection()),
    }
}

/// What the dialer of an established link makes of a frame that comes first on it (H-9).
pub fn late_reject(dialed: Authenticated<()>, frame: &[u8; 256]) -> Option<PeerReject> {
    dialed.into_parts().1.split().0.into_parts().0.late_reject(frame)
}
