//! What a link loses to connections that never authenticate.

use std::io::{self, ErrorKind};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use replink_bench::link::{Cluster, Replicas, round_trip_between, throughput_between};
use replink_bench::{Connections, Contender, Failure, Flow, Raw, ReplicaLink, RoundTrips, Window};
use replink_transport::frame::ClusterId;

use super::figures::{flows, size_name, trips};
use crate::side_by_side::field::Field;
use crate::side_by_side::report::{Kind, Table};
use crate::side_by_side::rounds::{Entry, Plan};

pub(super) const NOTE: &str = "A link that is up, while connections to the receiving node are open that say \
    nothing. `max_pending` has room for all of them; the defaults would turn most of them away.";

const SIZES: (usize, usize) = (4 << 10, 256);
const CROWDS: [usize; 3] = [0, 64, 256];

/// More than there are strangers, so that none is turned away.
const PENDING_MAX: u32 = 1024;

pub(super) fn measure(field: &Field, plan: Plan) -> Result<Vec<Table>, Failure> {
    let (throughput_size, trip_size) = SIZES;
    let (raw, trips_raw) = (field.raw(throughput_size, Connections::ONE)?, Raw::untried(false));
    let mut throughput = vec![Entry {
        name: raw.name(),
        kind: Kind::Raw,
        base: 0,
        measure: Box::new(|window| raw.throughput(throughput_size, window)),
    }];
    let mut round_trips = vec![Entry {
        name: trips_raw.name(),
        kind: Kind::Raw,
        base: 0,
        measure: Box::new(|window| trips_raw.round_trip(trip_size, window)),
    }];
    for link in field.nodes() {
        for strangers in CROWDS {
            let name = format!("replink {}, {strangers} strangers", link.name());
            let flow = move |window| -> Result<Flow, Failure> {
                crowded(&link, strangers, window, |replicas, id| {
                    throughput_between(replicas, id, throughput_size, window)
                })
            };
            let trips = move |window| -> Result<RoundTrips, Failure> {
                crowded(&link, strangers, window, |replicas, id| {
                    round_trip_between(replicas, id, trip_size, window)
                })
            };
            throughput.push(Entry { name: name.clone(), kind: Kind::Link, base: 0, measure: Box::new(flow) });
            round_trips.push(Entry { name, kind: Kind::Link, base: 0, measure: Box::new(trips) });
        }
    }
    let flow_title = format!("Strangers, throughput, frames of {}", size_name(throughput_size));
    let trip_title = format!("Strangers, round trips, frames of {}", size_name(trip_size));
    Ok(vec![
        flows(("strangers-throughput".to_owned(), flow_title), &throughput, false, plan)?,
        trips(("strangers-round-trip".to_owned(), trip_title), &round_trips, plan)?,
    ])
}

/// Measures while strangers are there, and fails when one of them was turned away.
fn crowded<T>(
    link: &ReplicaLink,
    strangers: usize,
    window: Window,
    measure: impl FnOnce(&mut Replicas, ClusterId) -> Result<T, Failure>,
) -> Result<T, Failure> {
    // A window is over before the first of them has had its time.
    let patience = Duration::from_secs(10) + window.whole() * 3;
    let cluster = Cluster::new(2, link, 1, |config| {
        config.max_pending(PENDING_MAX).max_pending_per_address(PENDING_MAX).handshake_timeout(patience)
    })?;
    let address = cluster.listener(1)?.local_addr()?;
    let mut replicas = Replicas::start(&cluster, 1)?;
    thread::scope(|scope| {
        // They come while the node is polled: it has to take them off the system's queue.
        let arriving = scope.spawn(move || -> io::Result<Vec<_>> {
            (0..strangers).map(|_| TcpStream::connect(address)).collect()
        });
        let figure = measure(&mut replicas, cluster.config().cluster)?;
        let arrived = arriving.join().map_err(|_| "a stranger panicked")??;
        let turned_away = arrived.iter().filter(|stranger| !is_open(stranger)).count();
        if turned_away > 0 {
            Err(format!("{turned_away} strangers were turned away").into())
        } else {
            Ok(figure)
        }
    })
}

fn is_open(stranger: &TcpStream) -> bool {
    let peeked = stranger.set_nonblocking(true).and_then(|()| stranger.peek(&mut [0]));
    peeked.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}
