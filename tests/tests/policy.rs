//! What both ends want of a link, in every combination: what it has then, or who refuses it.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use replink_frame::{Flags, ReplicaId, Status, Version};
use replink_handshake::{DialError, FlagPolicy};
use replink_tests::fixtures::SECRET;
use replink_tests::links::{ACCEPTOR, AUTH, config_with, endpoint_with, shake_hands};
use replink_tests::nodes::{Ground, QUICK, Replica, poll_until};
use replink_tests::raw_peer::{RawPeer, at, put};
use replink_tests::watchdog::watched;
use replink_transport::config::Policy::{self, Off, Optional, Required};
use replink_transport::exchange::{AcceptFailure, DialFailure};
use replink_transport::mesh::MeshWarning;
use replink_transport::node::{NodeOptions, RejectedBy, Warning};
use replink_transport::{Endpoint, EndpointError, EndpointSettings};

const POLICIES: [Policy; 3] = [Off, Optional, Required];

/// What a link has, or how it comes to nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Outcome {
    With,
    Without,
    /// The acceptor says so, with a MAC.
    RefusedByAcceptor,
    /// The dialer finds out from the challenge, and says so, with a MAC (D-12).
    RefusedByDialer,
}
use Outcome::{RefusedByAcceptor, RefusedByDialer, With, Without};

/// Dialer by dialer, acceptor by acceptor: `off`, `optional`, `required`.
const TABLE: [[Outcome; 3]; 3] = [
    [Without, Without, RefusedByAcceptor], //
    [Without, With, With],
    [RefusedByDialer, With, With],
];

const SETTINGS: [(&str, Flags); 2] = [("sealed", Flags::SEALED), ("forward_secrecy", Flags::EPHEMERAL)];

/// Every combination of both settings.
fn combinations() -> impl Iterator<Item = [usize; 2]> {
    (0..POLICIES.len()).flat_map(|one| (0..POLICIES.len()).map(move |other| [one, other]))
}

fn link_settings(policies: [usize; 2]) -> String {
    let line = |index: usize| {
        let (setting, _) = SETTINGS[index];
        format!("{setting} = \"{}\"\n", POLICIES[policies[index]].as_str())
    };
    line(0) + &line(1)
}

#[test]
fn every_combination_has_what_both_want_or_is_refused() {
    watched(|| {
        for (dialer, acceptor) in combinations().flat_map(|one| combinations().map(move |other| (one, other)))
        {
            let what = format!("dialer {dialer:?}, acceptor {acceptor:?}");
            let dialing = endpoint_with(0, AUTH, &link_settings(dialer));
            let answering = endpoint_with(ACCEPTOR, AUTH, &link_settings(acceptor));
            let outcomes = [0, 1].map(|index| TABLE[dialer[index]][acceptor[index]]);
            let (dialed, accepted) = shake_hands(&dialing, &answering);
            if outcomes.contains(&RefusedByAcceptor) {
                let Err(AcceptFailure::Rejected(rejection)) = accepted else {
                    panic!("{what}: {accepted:?}")
                };
                assert_eq!(
                    (rejection.status, rejection.authenticated),
                    (Status::POLICY_MISMATCH, true),
                    "{what}"
                );
                let Err(DialFailure::Handshake(DialError::Rejected(reject))) = dialed else {
                    panic!("{what}: {dialed:?}")
                };
                assert_eq!((reject.status, reject.authenticated), (Status::POLICY_MISMATCH, true), "{what}");
            } else if outcomes.contains(&RefusedByDialer) {
                let Err(DialFailure::Handshake(error @ DialError::Policy { .. })) = dialed else {
                    panic!("{what}: {dialed:?}")
                };
                assert_eq!(
                    (error.status(), error.is_proved()),
                    (Some(Status::POLICY_MISMATCH), true),
                    "{what}"
                );
                let Err(AcceptFailure::RejectedByPeer(reject)) = accepted else {
                    panic!("{what}: {accepted:?}")
                };
                let found = (reject.from, reject.status, reject.authenticated);
                assert_eq!(found, (ReplicaId(0), Status::POLICY_MISMATCH, true), "{what}");
            } else {
                let expected = SETTINGS.iter().zip(outcomes).filter(|(_, outcome)| *outcome == With);
                let expected = expected.fold(Flags::NONE, |all, ((_, flag), _)| all | *flag);
                for end in [dialed.unwrap(), accepted.unwrap()] {
                    assert_eq!(end.peer().flags, expected, "{what}");
                }
            }
        }
    });
}

/// H-12, H-13: there are no flags; whoever requires one has no such link.
#[test]
fn where_there_are_no_flags_none_is_required_in_vain() {
    watched(|| {
        let version_1 = format!("{AUTH}\nversion = 1\nmin_version = 1");
        for auth in [&version_1[..], "enabled = false"] {
            for policies in combinations().filter(|policies| !policies.contains(&2)) {
                let [dialing, answering] =
                    [0, ACCEPTOR].map(|replica| endpoint_with(replica, auth, &link_settings(policies)));
                let (dialed, accepted) = shake_hands(&dialing, &answering);
                for end in [dialed.unwrap(), accepted.unwrap()] {
                    assert_eq!(end.peer().flags, Flags::NONE, "{policies:?}");
                }
            }
        }
        // One that takes both versions, as a program can make it: no configuration may ask for this.
        for (setting, flag) in SETTINGS {
            let config = config_with(AUTH, "");
            let local = config.endpoint(ReplicaId(ACCEPTOR), 7, 1).unwrap().local().clone();
            let mut settings = EndpointSettings::new(local, config.auth.keys.clone(), config.roster());
            settings.flags = FlagPolicy::new(Flags::NONE, flag);
            settings.min_version = Version::V1;
            let answering = Endpoint::new(settings.clone()).unwrap();
            let dialing = endpoint_with(0, &version_1, "sealed = \"optional\"");
            let (dialed, accepted) = shake_hands(&dialing, &answering);
            let Err(AcceptFailure::Rejected(rejection)) = accepted else { panic!("{accepted:?}") };
            assert_eq!(rejection.status, Status::POLICY_MISMATCH, "{setting}");
            assert!(matches!(dialed, Err(DialFailure::Handshake(DialError::Rejected(_)))), "{dialed:?}");

            settings.version = Version::V1;
            let error = Endpoint::new(settings).unwrap_err();
            assert_eq!(error, EndpointError::Unavailable { flags: flag }, "{setting}");
        }
    });
}

/// Replica 0 dials replica 1; each with its own settings of the link.
fn two(dialer: &str, acceptor: &str) -> (Ground, [Replica; 2]) {
    let ground = Ground::new(2, "");
    let start = |id, link: &str| {
        let config = ground.config(AUTH, &format!("{QUICK}{link}"));
        Replica::start(&ground, config, NodeOptions::new(ReplicaId(id)), 1)
    };
    let replicas = [start(0, dialer), start(1, acceptor)];
    (ground, replicas)
}

#[test]
fn nodes_tell_of_it_on_both_sides() {
    watched(|| {
        for (setting, flag) in SETTINGS {
            let others = if flag == Flags::SEALED { "" } else { "sealed = \"off\"\n" };
            let [required, off] =
                ["required", "off"].map(|policy| format!("{others}{setting} = \"{policy}\"\n"));

            // Whichever end requires it refuses with a MAC, and both have proof.
            for (dialer, acceptor, by) in [
                (&off, &required, [RejectedBy::Peer, RejectedBy::Us]),
                (&required, &off, [RejectedBy::Us, RejectedBy::Peer]),
            ] {
                let (_ground, mut replicas) = two(dialer, acceptor);
                poll_until(&mut replicas, "both know", |replicas| {
                    replicas.iter().all(|replica| replica.refusals().count() > 0)
                });
                for ((replica, by), peer) in replicas.iter().zip(by).zip([1, 0]) {
                    let refusal = replica.refusals().next().unwrap();
                    assert_eq!((refusal.status, refusal.authenticated), (Status::POLICY_MISMATCH, true));
                    assert_eq!((refusal.by, refusal.peer), (by, Some(ReplicaId(peer))));
                    let named = format!("cluster.link.{setting}");
                    assert!(refusal.explanation.contains(&named), "{}", refusal.explanation);
                    let counted = replica.handle().stats().handshakes;
                    assert!(counted.iter().any(|&(status, who, count)| {
                        (status, who) == (Status::POLICY_MISMATCH, by) && count > 0
                    }));
                    let declined = |warning: &&Warning| matches!(warning, Warning::Declined { .. });
                    assert_eq!(replica.warnings().filter(declined).count(), 0, "nothing is guessed");
                    assert_eq!(replica.ups().count(), 0, "no link without it");
                }
            }
        }
    });
}

/// Whoever would have had a link better is told so: once, however many links there are, while all are counted.
#[test]
fn nodes_tell_of_links_that_are_weaker_than_they_could_be() {
    watched(|| {
        for (setting, flag) in SETTINGS {
            let lanes = "lanes = 2\n";
            let (optional, off) = (lanes.to_owned(), format!("{lanes}{setting} = \"off\"\n"));
            for (files, loser) in [([&optional, &off], 0), ([&off, &optional], 1)] {
                let (_ground, mut replicas) = two(files[0], files[1]);
                let up = |replicas: &mut [Replica]| replicas.iter().all(|replica| replica.ups().count() == 2);
                poll_until(&mut replicas, "all is up", up);
                poll_until(&mut replicas, "it is told", |replicas| replicas[loser].warnings().count() > 0);
                let other = ReplicaId(u8::from(loser == 0));
                let told: Vec<_> = replicas[loser].warnings().collect();
                let Warning::Mesh(MeshWarning::Weaker { peer, missing, .. }) = told[0] else {
                    panic!("{told:?}")
                };
                assert_eq!((told.len(), *peer, *missing), (1, other, flag), "{told:?}");
                assert_eq!(replicas[loser].handle().stats().weaker_links, [(other, 2)]);
                let winner = &replicas[1 - loser];
                assert_eq!((winner.warnings().count(), winner.handle().stats().weaker_links), (0, vec![]));
            }
        }
    });
}

/// Nodes with the least that a file can say have all of it.
#[test]
fn links_are_sealed_and_forward_secret_by_default() {
    watched(|| {
        let (_ground, mut replicas) = two("", "");
        poll_until(&mut replicas, "it is up", |replicas| {
            replicas.iter().all(|replica| replica.ups().count() == 1)
        });
        for replica in &replicas {
            let up = replica.ups().next().unwrap();
            assert_eq!(up.peer.flags, Flags::SEALED | Flags::EPHEMERAL);
            assert_eq!(replica.warnings().count(), 0);
        }
    });
}

/// A dialer that does not know D-12 leaves without a word. What the acceptor declined is then likely
/// to be why.
#[test]
fn who_leaves_without_a_word_has_likely_been_declined() {
    watched(|| {
        for (setting, flag) in SETTINGS {
            let ground = Ground::new(2, "");
            let config = ground.config(AUTH, &format!("{QUICK}{setting} = \"off\"\n"));
            let mut replicas = [Replica::start(&ground, config, NodeOptions::new(ReplicaId(1)), 1)];
            let mut older = ground.raw(1, 1);
            let mut hello = RawPeer::new(0, SECRET).hello();
            put(&mut hello, at::FLAGS, &flag.0.to_le_bytes());
            older.send(&hello);
            older.stop_sending();
            poll_until(&mut replicas, "it is told", |replicas| replicas[0].warnings().count() > 0);
            let warning = replicas[0].warnings().next().unwrap();
            let Warning::Declined { peer, flags, .. } = warning else { panic!("{warning}") };
            assert_eq!((*peer, *flags), (ReplicaId(0), flag));
            let text = warning.to_string();
            assert!(text.contains("policy_mismatch") && text.contains(&flag.to_string()), "{text}");
            assert_eq!(replicas[0].refusals().count(), 0);
        }
    });
}

/// A peer that merely goes away after our challenge, when nothing was declined, is no news.
#[test]
fn who_leaves_for_another_reason_is_not_taken_for_one() {
    watched(|| {
        let ground = Ground::new(2, "");
        let config = ground.config(AUTH, QUICK);
        let mut replicas = [Replica::start(&ground, config, NodeOptions::new(ReplicaId(1)), 1)];
        let mut stranger = ground.raw(1, 1);
        stranger.send(&RawPeer::new(0, SECRET).hello());
        drop(stranger);
        poll_until(&mut replicas, "it is counted", |replicas| replicas[0].handle().stats().broken > 0);
        assert_eq!(replicas[0].warnings().count(), 0);
    });
}
