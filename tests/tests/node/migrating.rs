//! From no authentication to a key, and from one shared key to pair secrets, while the cluster works (H-12, K-3).

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use bytes::Bytes;
use replink_frame::{Command, GenericHeader, ReplicaId};
use replink_handshake::{App, Authentication, Secret};
use replink_tests::links::AUTH;
use replink_tests::nodes::{Ground, QUICK, Replica, Seen, poll_until, prepare};
use replink_tests::watchdog::watched;
use replink_transport::config::Config;
use replink_transport::node::{NodeOptions, Warning};

/// What replicas have told each other: as a consensus does, each sends a number again until it is acknowledged.
#[derive(Default)]
struct Work {
    /// The number that is under way, by sender and receiver.
    under_way: BTreeMap<(u8, u8), u32>,
    /// What came last, by receiver and sender.
    came: BTreeMap<(u8, u8), u32>,
    /// Events looked at already, by replica.
    looked: [usize; 3],
    turns: u32,
}

impl Work {
    fn go_on(&mut self, replicas: &mut [Replica]) {
        self.turns += 1;
        for replica in replicas.iter() {
            let me = replica.id.0;
            let seen = &replica.seen[self.looked[usize::from(me)].min(replica.seen.len())..];
            self.looked[usize::from(me)] = replica.seen.len();
            for seen in seen {
                let Seen::Frame(_, from, _, frame) = seen else { continue };
                let number = frame.header.view.get();
                if frame.header.command == Command::PREPARE {
                    let last = self.came.entry((me, from.0)).or_default();
                    // Again what was not acknowledged, or the next: none was left out.
                    assert!(number == *last || number == *last + 1, "{number} after {last}");
                    *last = number;
                    let mut acknowledgement = prepare(number, 0);
                    acknowledgement.command = Command::PREPARE_OK;
                    let _again = replica.handle().send(*from, &acknowledgement, Bytes::new());
                } else if self.under_way.get(&(me, from.0)) == Some(&number) {
                    self.under_way.insert((me, from.0), number + 1);
                }
            }
            for to in (0..3).filter(|&to| to != me) {
                let number = *self.under_way.entry((me, to)).or_insert(1);
                let header: GenericHeader = prepare(number, 0);
                let _again = replica.handle().send(ReplicaId(to), &header, Bytes::new());
            }
        }
        // A quorum of links: two replicas that are linked are a majority of three.
        assert!(replicas.iter().any(|replica| replica.links() > 0), "in turn {}", self.turns);
    }

    fn least(&self) -> u32 {
        self.came.values().copied().min().unwrap_or(0)
    }
}

/// All have all their links, and all of these are as `right` says.
fn settled(replicas: &[Replica], right: impl Fn(Authentication) -> bool) -> bool {
    replicas.iter().all(|replica| {
        let links = replica.handle().stats().links;
        links.len() == 2 && links.iter().all(|link| right(link.peer.authentication))
    })
}

fn keyed(authentication: Authentication) -> bool {
    authentication != Authentication::Disabled
}

fn start(ground: &Ground, id: u8, auth: &str) -> Replica {
    Replica::start(ground, ground.config(auth, QUICK), NodeOptions::new(ReplicaId(id)), 1)
}

#[test]
fn three_nodes_get_a_key_without_an_outage() {
    watched(|| {
        let ground = Ground::new(3, "");
        let mut replicas: Vec<_> = (0..3).map(|id| start(&ground, id, "enabled = false")).collect();
        poll_until(&mut replicas, "all are connected", |all| settled(all, |one| !keyed(one)));
        let mut work = Work::default();
        let migrating = format!("{AUTH}\nmigrating = true");
        for id in [1, 0, 2] {
            // `enabled` takes a restart.
            drop(replicas.remove(id));
            replicas.insert(id, start(&ground, u8::try_from(id).unwrap(), &migrating));
            work.looked[id] = 0;
            let before = work.least();
            poll_until(&mut replicas, "all are connected, and work goes on", |all| {
                work.go_on(all);
                settled(all, |_| true) && work.least() > before + 5
            });
        }
        poll_until(&mut replicas, "all have authenticated links", |all| {
            work.go_on(all);
            settled(all, keyed)
        });
        let unauthenticated = |one: &Replica| {
            one.warnings().filter(|warning| matches!(warning, Warning::Unauthenticated { .. })).count()
        };
        assert!(replicas[..2].iter().all(|one| unauthenticated(one) > 0), "each such link is warned of");
        let before: Vec<usize> = replicas.iter().map(|one| one.downs().count()).collect();
        for id in 0..3 {
            let reloads = |all: &[Replica]| all[id].count(|seen| matches!(seen, Seen::Reloaded));
            replicas[id].handle().reload(ground.config(AUTH, QUICK)).unwrap();
            poll_until(&mut replicas, "it is in force", |all| {
                work.go_on(all);
                reloads(all) == 1
            });
        }
        let least = work.least();
        poll_until(&mut replicas, "work goes on", |all| {
            work.go_on(all);
            work.least() > least + 20
        });
        assert!(settled(&replicas, keyed));
        let after: Vec<usize> = replicas.iter().map(|one| one.downs().count()).collect();
        assert_eq!(before, after, "the last step touches no link");
        assert!(replicas.iter().all(|one| one.handle().stats().unauthenticated_links() == 0));
    });
}

const SHARED: &str = "a secret for tests, 32 bytes or more";

/// The configuration of replica `id`, with pair secrets in a file of its own.
fn pairwise(ground: &Ground, directory: &Path, id: u8, accepted: &str) -> Config {
    let root = Secret::new(b"a root that stays offline, 32 bytes and more".to_vec()).unwrap();
    let lines = (0..3).filter(|&peer| peer != id).map(|peer| {
        let secret = Secret::pair_bytes(&App::default(), &root, ReplicaId(id), ReplicaId(peer));
        format!("{peer} {}", blake3::Hash::from_bytes(*secret).to_hex())
    });
    let secrets: Vec<String> =
        std::iter::once(format!("pair secrets of replica {id}, app replink")).chain(lines).collect();
    let file = directory.join(format!("replica-{id}.keys"));
    fs::write(&file, secrets.join("\n")).unwrap();
    fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
    let auth = format!("pairwise = \"{}\"\n{accepted}", file.display());
    let nodes = (0..3).map(|id| {
        let address = ground.address(id);
        format!("[[cluster.nodes]]\nid = {id}\naddress = \"{address}\"\n")
    });
    let nodes: String = nodes.collect();
    let text =
        format!("[cluster]\nname = \"orders\"\n[cluster.auth]\n{auth}\n[cluster.link]\n{QUICK}\n{nodes}");
    let config = directory.join(format!("cluster-{id}.toml"));
    fs::write(&config, text).unwrap();
    fs::set_permissions(&config, PermissionsExt::from_mode(0o600)).unwrap();
    Config::load(&config).unwrap()
}

#[test]
fn three_nodes_go_from_a_shared_key_to_pair_secrets() {
    watched(|| {
        let ground = Ground::new(3, "");
        let directory = tempfile::tempdir().unwrap();
        let mut replicas: Vec<_> = (0..3).map(|id| start(&ground, id, AUTH)).collect();
        poll_until(&mut replicas, "all are connected", |all| settled(all, keyed));
        let shared = replicas[0].ups().next().unwrap().peer.authentication;
        let mut work = Work::default();
        for accepted in [format!("accept_secrets = [\"{SHARED}\"]"), String::new()] {
            for id in [2, 0, 1] {
                let config = pairwise(&ground, directory.path(), id, &accepted);
                let replica = usize::from(id);
                let before = replicas[replica].count(|seen| matches!(seen, Seen::Reloaded));
                replicas[replica].handle().reload(config).unwrap();
                let least = work.least();
                poll_until(&mut replicas, "it is in force, and work goes on", |all| {
                    work.go_on(all);
                    all[replica].count(|seen| matches!(seen, Seen::Reloaded)) > before
                        && settled(all, keyed)
                        && work.least() > least + 5
                });
            }
        }
        poll_until(&mut replicas, "all links are of pairs", |all| {
            work.go_on(all);
            settled(all, |one| keyed(one) && one != shared)
        });
        // C-3: links of a key that is not accepted any more leave, and lose nothing.
        assert!(replicas.iter().flat_map(Replica::downs).all(|down| down.undelivered == 0));
    });
}
