//! What the secrets of one replica are good for in the hands of another (K-3).
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::sync::Arc;

use replink_frame::{KeyId, ReplicaId, Status, Version};
use replink_handshake::{
    Acceptor, App, Availability, ChannelBinding, DialError, DialTarget, Dialer, Key, KeyRing, Secret,
};
use replink_tests::fixtures::{acceptor_config, dialer_config, fresh, rejected};
use replink_tests::raw_peer::{Frame, RawPeer, at, put};
use zeroize::Zeroizing;

const REPLICAS: u8 = 4;

/// Whose file was stolen.
const STOLEN: u8 = 2;

const VERSIONS: [(Version, u8); 2] = [(Version::V1, 1), (Version::V2, 2)];

fn root() -> Secret {
    Secret::new(b"a root that stays offline, 32 bytes and more".to_vec()).unwrap()
}

fn pair_bytes(a: u8, b: u8) -> Zeroizing<[u8; 32]> {
    Secret::pair_bytes(&App::default(), &root(), ReplicaId(a), ReplicaId(b))
}

fn pair_key(a: u8, b: u8) -> Key {
    let secret = Secret::for_pair(&App::default(), &root(), ReplicaId(a), ReplicaId(b));
    Key::derive(&App::default(), &secret)
}

fn peers(replica: u8) -> impl Iterator<Item = u8> {
    (0..REPLICAS).filter(move |&peer| peer != replica)
}

/// What an honest replica holds.
fn ring(replica: u8) -> Arc<KeyRing> {
    let mut keys = peers(replica).map(|peer| pair_key(replica, peer));
    Arc::new(KeyRing::new(keys.next().unwrap(), keys))
}

/// The frame with the id of the key that an honest replica would have.
fn named_as(mut frame: Frame, key: KeyId, version: u8) -> Frame {
    if version == 2 {
        put(&mut frame, at::KEY_ID, &key.0);
    }
    frame
}

/// Dials `peer` as `claimed`; names the key of these two where `guess`, which is no secret.
fn dial(secret: &[u8; 32], claimed: u8, peer: u8, version: u8, guess: bool) -> Result<(), Status> {
    let raw = RawPeer { version, ..RawPeer::new(claimed, secret) };
    let named = if guess { pair_key(claimed, peer).id() } else { raw.forge.key_id() };
    let hello = named_as(raw.hello(), named, version);
    let mut config = acceptor_config(peer);
    config.ring = ring(peer);
    config.roster = (0..REPLICAS).map(ReplicaId).collect();
    config.min_version = Version::V1;
    let acceptor = Acceptor::new(config).begin((), ChannelBinding::None);
    let (waiting, challenge) = acceptor
        .receive(&hello, Availability::Open, fresh(2))
        .map_err(|rejected| rejected.rejection().status)?;
    let finish = named_as(raw.finish(&hello, challenge.bytes()), named, version);
    let finish = raw.sign_finish(&hello, challenge.bytes(), finish);
    waiting.receive(&finish).map(drop).map_err(|failed| rejected(failed).rejection().status)
}

/// Answers `peer`, which wants to reach `claimed`.
fn answer(secret: &[u8; 32], claimed: u8, peer: u8, version: (Version, u8)) -> Result<(), DialError> {
    let raw = RawPeer { version: version.1, ..RawPeer::new(claimed, secret) };
    let mut config = dialer_config(peer);
    config.ring = ring(peer);
    config.version = version.0;
    let target = DialTarget::new(ReplicaId(claimed));
    let begun = Dialer::new(config).begin((), target, ChannelBinding::None, fresh(1));
    let (waiting, hello) = begun.map_err(|failed| failed.error)?;
    let challenge = named_as(raw.challenge(hello.bytes()), pair_key(claimed, peer).id(), version.1);
    let challenge = raw.sign_challenge(hello.bytes(), challenge);
    waiting.receive(&challenge).map(drop).map_err(|failed| failed.error)
}

#[test]
fn a_stolen_file_speaks_as_nobody_else_to_nobody_else() {
    let (mut refused, mut let_in) = (0, 0);
    for of in peers(STOLEN) {
        let secret = pair_bytes(STOLEN, of);
        for claimed in 0..REPLICAS {
            for peer in peers(claimed) {
                // A secret that two hold is good for either one of them, to the other.
                let pair = (claimed, peer) == (STOLEN, of) || (claimed, peer) == (of, STOLEN);
                assert!(!pair || claimed == STOLEN || peer == STOLEN);
                for version in VERSIONS {
                    let context = format!("the secret of {of}, as {claimed} to {peer}, {version:?}");
                    if claimed > peer {
                        match answer(&secret, claimed, peer, version) {
                            Ok(()) => assert!(pair, "{context}"),
                            Err(error) => assert!(!pair && error == DialError::Mac, "{context}: {error}"),
                        }
                        continue;
                    }
                    for guess in [false, true] {
                        let expected = match (pair, version.0, guess) {
                            (true, _, _) => Ok(()),
                            (false, Version::V2, false) => Err(Status::UNKNOWN_KEY),
                            (false, _, _) => Err(Status::MAC_MISMATCH),
                        };
                        let outcome = dial(&secret, claimed, peer, version.1, guess);
                        assert_eq!(outcome, expected, "{context}, guess {guess}");
                        *(if outcome.is_ok() { &mut let_in } else { &mut refused }) += 1;
                    }
                }
            }
        }
    }
    // Six pairs of which one is the secret's, for three secrets, two versions and two names.
    assert_eq!((refused, let_in), (5 * 3 * 2 * 2, 3 * 2 * 2));
}

/// Without the ids in its derivation one pair's key would be another's.
#[test]
fn no_two_pairs_share_a_key() {
    let mut ids: Vec<_> = (0..REPLICAS).flat_map(|a| (0..a).map(move |b| pair_key(a, b).id().0)).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 6);
    for (a, b) in [(0, 1), (3, 2)] {
        assert_eq!(pair_bytes(a, b), pair_bytes(b, a));
    }
}
