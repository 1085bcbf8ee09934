//! Nodes, keys and randomness for tests. Nothing here is random: a failure repeats itself.

use std::sync::Arc;

use replink_frame::{Flags, ReplicaId, Version};
use replink_handshake::{
    Acceptor, AcceptorConfig, App, Authenticated, Availability, ChannelBinding, DialTarget, Dialer,
    DialerConfig, EphemeralSecret, FlagPolicy, Fresh, Key, KeyRing, Local, Nonce, Secret, cluster_id,
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
    Local {
        app: App::default(),
        cluster: cluster_id("orders"),
        replica: ReplicaId(replica),
        release: 1,
        incarnation: 0x1000 + u64::from(replica),
    }
}

/// Randomness made of `seed`.
pub fn fresh(seed: u8) -> Fresh {
    Fresh {
        nonce: Nonce::new([seed.max(1); 32]).unwrap(),
        ephemeral: EphemeralSecret::new([seed.wrapping_add(100); 32]),
    }
}

/// A version 2 dialer for `replica` without flags.
pub fn dialer_config(replica: u8) -> DialerConfig {
    DialerConfig {
        local: local(replica),
        ring: ring(&[SECRET]),
        version: Version::V2,
        flags: FlagPolicy::default(),
        releases: 0..=u32::MAX,
    }
}

/// An acceptor for `replica` of a cluster of three that takes version 2 only.
pub fn acceptor_config(replica: u8) -> AcceptorConfig {
    AcceptorConfig {
        local: local(replica),
        ring: ring(&[SECRET]),
        roster: (0..3).map(ReplicaId).collect(),
        min_version: Version::V2,
        flags: FlagPolicy::default(),
        releases: 0..=u32::MAX,
    }
}

/// A policy that supports `flags` and requires none.
pub fn supports(flags: Flags) -> FlagPolicy {
    FlagPolicy { supported: flags, required: Flags::NONE }
}

/// The two authenticated ends of a handshake over no link at all.
pub fn handshake(dialer: DialerConfig, acceptor: AcceptorConfig) -> (Authenticated<()>, Authenticated<()>) {
    let target = DialTarget::new(acceptor.local.replica);
    let (waiting, hello) = Dialer::new(dialer).begin((), target, ChannelBinding::None, fresh(1)).unwrap();
    let (accepting, challenge) = Acceptor::new(acceptor)
        .begin((), ChannelBinding::None)
        .receive(hello.bytes(), Availability::Open, fresh(2))
        .unwrap();
    let (dialed, finish) = waiting.receive(challenge.bytes()).unwrap();
    let accepted = accepting.receive(finish.bytes()).unwrap().admit();
    (dialed, accepted)
}
