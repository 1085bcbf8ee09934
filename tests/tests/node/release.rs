//! Which releases of peers get in.

use std::ops::RangeInclusive;

use replink_frame::{ReplicaId, Status};
use replink_tests::links::AUTH;
use replink_tests::nodes::{Ground, QUICK, Replica, Seen, poll_until};
use replink_tests::watchdog::watched;
use replink_transport::config::Config;
use replink_transport::node::{NodeOptions, RejectedBy, ReloadError};

fn config(ground: &Ground, release: u32, releases: RangeInclusive<u32>) -> Config {
    let mut config = ground.config(AUTH, QUICK);
    (config.release, config.releases) = (release, releases);
    config
}

/// Two replicas: their releases, and which they let in.
fn start(ground: &Ground, settings: [(u32, RangeInclusive<u32>); 2]) -> Vec<Replica> {
    let numbered = (0u8..).zip(settings);
    let replicas = numbered.map(|(id, (release, releases))| {
        Replica::start(ground, config(ground, release, releases), NodeOptions::new(ReplicaId(id)), 1)
    });
    replicas.collect()
}

fn reload(replicas: &mut [Replica], at: usize, config: Config) {
    let before = replicas[at].count(|seen| matches!(seen, Seen::Reloaded));
    replicas[at].handle().reload(config).unwrap();
    poll_until(replicas, "it is in force", |all| {
        all[at].count(|seen| matches!(seen, Seen::Reloaded)) > before
    });
}

/// Each end that lets the other one out is told, and tells it; then a reload lets it in.
#[test]
fn a_release_that_does_not_fit_is_told_on_both_sides_until_a_reload_lets_it_in() {
    watched(|| {
        // Who refuses: the acceptor on the Hello, or the dialer on the Challenge (D-12).
        for (refuses, settings) in
            [(1, [(4, 0..=u32::MAX), (3, 3..=3)]), (0, [(4, 4..=u32::MAX), (3, 0..=u32::MAX)])]
        {
            let ground = Ground::new(2, "");
            let mut replicas = start(&ground, settings);
            poll_until(&mut replicas, "both are told", |all| {
                all.iter().all(|one| one.refusals().count() > 0)
            });
            for (at, replica) in replicas.iter().enumerate() {
                let by = if at == refuses { RejectedBy::Us } else { RejectedBy::Peer };
                for refusal in replica.refusals() {
                    let found = (refusal.status, refusal.by, refusal.authenticated, refusal.peer);
                    let peer = ReplicaId(u8::try_from(1 - at).unwrap());
                    assert_eq!(found, (Status::RELEASE_MISMATCH, by, true, Some(peer)), "{refusal:?}");
                }
                assert_eq!(replica.ups().count(), 0);
            }
            let release = if refuses == 0 { 4 } else { 3 };
            reload(&mut replicas, refuses, config(&ground, release, 3..=4));
            poll_until(&mut replicas, "they are linked", |all| all.iter().all(|one| one.links() == 1));
            assert_eq!(replicas[0].ups().next().unwrap().peer.release, 3);
            assert_eq!(replicas[1].ups().next().unwrap().peer.release, 4);
            // A link that is up stays.
            reload(&mut replicas, refuses, config(&ground, release, release..=release));
            assert!(replicas.iter().all(|one| one.downs().count() == 0 && one.links() == 1));
        }
    });
}

/// A file's release can't change while running, and one of the embedder's never does.
#[test]
fn the_release_is_the_files_unless_the_embedder_says_another() {
    watched(|| {
        let ground = Ground::new(1, "");
        let start = |options| Replica::start(&ground, config(&ground, 4, 0..=9), options, 1);
        let mut replicas = [start(NodeOptions::new(ReplicaId(0)))];
        assert_eq!(replicas[0].handle().release(), 4);
        let error = replicas[0].handle().reload(config(&ground, 5, 0..=9)).unwrap_err();
        assert_eq!(error, ReloadError::Fixed("cluster.release"));

        replicas = [start(NodeOptions::new(ReplicaId(0)).release(7))];
        assert_eq!(replicas[0].handle().release(), 7);
        reload(&mut replicas, 0, config(&ground, 5, 0..=9));
        assert_eq!(replicas[0].handle().release(), 7);
    });
}
