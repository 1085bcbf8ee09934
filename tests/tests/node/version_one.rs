//! Rings of keys on links of version 1 (K-2, D-6).

use std::sync::Arc;
use std::thread;

use replink_frame::{ReplicaId, Version};
use replink_handshake::Availability;
use replink_tests::links::AUTH;
use replink_tests::nodes::{Ground, QUICK, Replica, poll_until};
use replink_tests::watchdog::{soon, watched};
use replink_transport::node::NodeOptions;
use replink_transport::{Link, blocking};

const OLD: &str = AUTH;
const BOTH: &str = "shared_secret = \"the new secret, which is long enough\"\n\
                    accept_secrets = [\"a secret for tests, 32 bytes or more\"]";
const NEW: &str = "shared_secret = \"the new secret, which is long enough\"";

/// The dialer's version, and that of the whole cluster otherwise: a mixed one takes both.
fn start(ground: &Ground, id: u8, auth: &str, version: u8) -> Replica {
    let auth = format!("{auth}\nmin_version = 1\nversion = {version}");
    Replica::start(ground, ground.config(&auth, QUICK), NodeOptions::new(ReplicaId(id)), 1)
}

/// From the old key to the new one, one replica after the other, in every order of the four steps.
#[test]
fn a_cluster_with_links_of_version_1_can_rotate() {
    watched(|| {
        for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
            let ground = Ground::new(3, "");
            // Replica 1 dials with version 2, so there are links of both.
            let versions = [1, 2, 1];
            let mut replicas: Vec<_> =
                (0..3).map(|id| start(&ground, id, OLD, versions[usize::from(id)])).collect();
            let connected = |all: &mut [Replica]| all.iter().all(|one| one.links() == 2);
            poll_until(&mut replicas, "they are connected", connected);
            for auth in [BOTH, NEW] {
                for id in order {
                    // A new process: it has no link that would stay.
                    drop(replicas.remove(id));
                    poll_until(&mut replicas, "it is missed", |all| all.iter().all(|one| one.links() == 1));
                    replicas.insert(id, start(&ground, u8::try_from(id).unwrap(), auth, versions[id]));
                    poll_until(&mut replicas, "they are connected again", connected);
                }
            }
            let peers = replicas.iter().flat_map(|one| one.ups().map(|up| up.peer));
            assert!(peers.filter(|peer| peer.version == Version::V1).count() >= 4, "links of version 1");
        }
    });
}

/// Who accepts with threads of its own can have the same.
#[test]
fn a_blocking_acceptor_can_try_its_keys() {
    watched(|| {
        let ground = Ground::new(2, "");
        let endpoint = |auth: &str, id| {
            let auth = format!("{auth}\nmin_version = 1\nversion = 1");
            ground.config(&auth, "").endpoint(ReplicaId(id), 7, 5).unwrap()
        };
        let (dialer, acceptor, keys) = (endpoint(OLD, 0), endpoint(BOTH, 1), Arc::default());
        let attempts: Vec<bool> = (0..3)
            .map(|_| {
                thread::scope(|scope| {
                    let dialing = scope.spawn(|| ground.dial(&dialer, 1, 1).is_ok());
                    let link = Link::new(ground.listener(1).accept().unwrap().0).unwrap();
                    let accepted =
                        blocking::accept_trying_keys(link, &acceptor, Availability::Open, &keys, soon());
                    assert_eq!(accepted.is_ok(), dialing.join().unwrap());
                    accepted.is_ok()
                })
            })
            .collect();
        assert_eq!(attempts, [false, true, true]);
    });
}
