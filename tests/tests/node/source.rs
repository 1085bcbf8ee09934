//! The address that a replica dials from.

use std::net::IpAddr;
use std::time::Duration;

use replink_frame::ReplicaId;
use replink_handshake::DialTarget;
use replink_tests::links::AUTH;
use replink_tests::nodes::{Ground, QUICK, Replica, poll_until, poll_while};
use replink_tests::watchdog::{soon, watched};
use replink_transport::blocking;
use replink_transport::config::Config;
use replink_transport::node::NodeOptions;

const SOURCE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 2));

fn config(ground: &Ground, source: Option<IpAddr>) -> Config {
    // Nobody else gets in.
    let auth = format!("{AUTH}\nallow = [\"{SOURCE}\"]");
    let mut config = ground.config(&auth, QUICK);
    config.source = source;
    config
}

#[test]
fn a_replica_dials_from_its_source_and_from_another_after_a_reload() {
    watched(|| {
        let ground = Ground::new(2, "");
        let start =
            |id, source| Replica::start(&ground, config(&ground, source), NodeOptions::new(ReplicaId(id)), 1);
        let mut replicas = [start(0, None), start(1, None)];
        for _ in 0..10 {
            for replica in &mut replicas {
                replica.poll(Duration::from_millis(1));
            }
        }
        assert_eq!(replicas[1].ups().count(), 0, "only 127.0.0.2 is allowed");
        replicas[0].handle().reload(config(&ground, Some(SOURCE))).unwrap();
        poll_until(&mut replicas, "they are linked", |all| all.iter().all(|one| one.links() == 1));
        assert_eq!(replicas[1].ups().next().unwrap().address.ip(), SOURCE);
    });
}

#[test]
fn the_blocking_driver_and_so_a_probe_dials_from_its_source() {
    watched(|| {
        let ground = Ground::new(2, "");
        let options = NodeOptions::new(ReplicaId(1));
        let mut replicas = [Replica::start(&ground, config(&ground, None), options, 1)];
        let endpoint = config(&ground, Some(SOURCE)).endpoint(ReplicaId(0), None, 5).unwrap();
        let address = ground.address(1);
        let dialed = poll_while(&mut replicas, || {
            blocking::connect(&endpoint, DialTarget::new(ReplicaId(1)), &[address], soon()).unwrap()
        });
        assert_eq!(dialed.link().stream().local_addr().unwrap().ip(), SOURCE);
        poll_until(&mut replicas, "it is up", |all| all[0].links() == 1);
        assert_eq!(replicas[0].ups().next().unwrap().address.ip(), SOURCE);
    });
}
