//! What seals cost, and what TLS costs instead.

use replink_bench::{Driver, Failure, ReplicaLink};

use super::figures::{flows, size_name, trips};
use super::handshakes;
use crate::side_by_side::field::{Entrant, Field, IO_URING, link, peer};
use crate::side_by_side::peers;
use crate::side_by_side::report::Table;
use crate::side_by_side::rounds::{Entry, Plan};

pub(super) const NOTE: &str = "Sealed links beside the same links without seals, and sealed links beside TLS 1.3 \
    of rustls at its best, with AWS-LC and AES-128-GCM; it encrypts as well, and proves the server alone.";

const SIZES: [usize; 4] = [256, 4 << 10, 64 << 10, 1 << 20];
const BESIDE_TLS: usize = 64 << 10;

pub(super) fn measure(field: &Field, plan: Plan) -> Result<Vec<Table>, Failure> {
    let mut tables = beside_unsealed(field, plan)?;
    tables.extend(beside_tls(field, plan)?);
    Ok(tables)
}

fn beside_unsealed(field: &Field, plan: Plan) -> Result<Vec<Table>, Failure> {
    let mut all = Vec::new();
    for driver in drivers(field) {
        let unsealed = ReplicaLink::new(driver, false);
        all.push(link(unsealed, &unsealed));
        all.push(link(ReplicaLink::new(driver, true), &unsealed));
    }
    let entrants: Vec<&Entrant> = all.iter().collect();
    let mut tables = Vec::new();
    for size in SIZES {
        let entries = Entry::of_all(&entrants, move |one, window| one.throughput(size, window));
        let title = format!("Seals, throughput, frames of {}", size_name(size));
        tables.push(flows((format!("sealed-throughput-{size}"), title), &entries, false, plan)?);
    }
    let entries = Entry::of_all(&entrants, |one, window| one.round_trip(SIZES[0], window));
    let title = format!("Seals, round trips, frames of {}", size_name(SIZES[0]));
    tables.push(trips(("sealed-round-trip".to_owned(), title), &entries, plan)?);
    Ok(tables)
}

fn beside_tls(field: &Field, plan: Plan) -> Result<Vec<Table>, Failure> {
    let (fastest, with_ring) = (peers::best_tls()?, peers::tls()?);
    let beside = |forward_secrecy| -> Vec<Entrant> {
        let mut all =
            vec![peer(Box::new(fastest.clone()), &fastest), peer(Box::new(with_ring.clone()), &fastest)];
        let links = drivers(field).map(|driver| ReplicaLink::new(driver, true));
        all.extend(links.map(|one| link(ReplicaLink { forward_secrecy, ..one }, &fastest)));
        all
    };
    let (all, forward_secret) = (beside(false), beside(true));
    let entrants: Vec<&Entrant> = all.iter().collect();
    let entries = Entry::of_all(&entrants, |one, window| one.throughput(BESIDE_TLS, window));
    let title = format!("Seals and TLS, throughput, frames of {}", size_name(BESIDE_TLS));
    let throughput = flows(("sealed-and-tls".to_owned(), title), &entries, false, plan)?;
    // TLS has forward secrecy always.
    let (id, title) = ("sealed-and-tls-handshakes", "Seals and TLS, handshakes with forward secrecy");
    let entrants: Vec<&Entrant> = forward_secret.iter().collect();
    Ok(vec![throughput, handshakes::of(id, title, &entrants, plan)?])
}

/// The plainest driver, and the fastest one where there is one.
fn drivers(field: &Field) -> impl Iterator<Item = Driver> {
    field.drivers.iter().copied().filter(|&driver| driver == Driver::Blocking || driver == IO_URING)
}
