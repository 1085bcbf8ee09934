//! A process that is out of file descriptors.

use std::fs::File;

use replink_frame::ReplicaId;
use replink_tests::alone::alone;
use replink_tests::links::AUTH;
use replink_tests::nodes::{Ground, QUICK, Replica, connect_from, poll_until, poll_while};
use replink_tests::watchdog::watched;
use replink_transport::node::{NodeOptions, Warning};

#[test]
fn a_node_without_file_descriptors_waits_and_recovers() {
    alone("short_of_files::a_node_without_file_descriptors_waits_and_recovers", Some(128), || {
        watched(|| {
            let ground = Ground::new(2, "");
            let options = NodeOptions::new(ReplicaId(1));
            let mut node = [Replica::start(&ground, ground.config(AUTH, QUICK), options, 1)];
            let endpoint = ground.endpoint(0, 3);
            let _link = poll_while(&mut node, || ground.dial(&endpoint, 1, 1).unwrap());
            poll_until(&mut node, "it is up", |node| node[0].links() == 1);
            // The rest is used up, all but the one that the client needs.
            let mut filling: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
            assert!(!filling.is_empty());
            filling.pop();
            let _waiting = connect_from(2, ground.address(1));

            let errors = |node: &Replica| node.handle().stats().accept_errors;
            let mut polls = 0;
            let started = std::time::Instant::now();
            poll_until(&mut node, "it has tried five times", |node| {
                polls += 1;
                errors(&node[0]) >= 5
            });
            let waited = started.elapsed();
            // 10 + 20 + 40 + 80 ms lie between them: it does not spin.
            assert!(waited.as_millis() >= 150, "{waited:?}");
            assert_eq!(errors(&node[0]), 5);
            let warnings: Vec<_> = node[0].warnings().collect();
            assert_eq!(warnings.len(), 5, "{warnings:?}");
            for warning in warnings {
                assert!(matches!(warning, Warning::Accept { .. }), "{warning:?}");
                assert!(warning.to_string().contains("raise the limit of open files"), "{warning}");
            }
            assert_eq!(node[0].links(), 1, "what is up stays up");
            // What ends the operations that accept goes to the system with the next wait.
            poll_while(&mut node, || ());
            assert_eq!(
                node[0].shards[0].timeout().map(|due| due.is_zero()),
                Some(false),
                "nothing to do now"
            );

            // There are some again: nobody has to tell the node.
            drop(filling);
            poll_until(&mut node, "the one that waited is in", |node| node[0].handle().stats().pending == 1);
            let endpoint = ground.endpoint(0, 3);
            let _newer = poll_while(&mut node, || ground.dial(&endpoint, 1, 1).unwrap());
            poll_until(&mut node, "a replica is served", |node| node[0].ups().count() == 2);
            assert!(errors(&node[0]) <= 7 && polls > 0);
        });
    });
}
