//! What seals cost, and what TLS costs instead.

use replink_bench::{Driver, Failure, Flow, ReplicaLink};

use super::figures::{FLOW, flows, median, size_name, table};
use super::{handshakes, round_trip};
use crate::side_by_side::field::{Entrant, Field, IO_URING, link, peer};
use crate::side_by_side::peers;
use crate::side_by_side::report::Table;
use crate::side_by_side::rounds::{Entry, Plan, in_rounds, rows};

pub(super) const NOTE: &str = "Sealed links beside the same links without seals, and sealed links beside TLS 1.3 \
    of rustls at its best, with AWS-LC and AES-128-GCM; it encrypts as well, and proves the server alone. What \
    sealing costs is the processor time for 10⁹ bytes, of both ends, less that of the link without seals in the same \
    round: the median of the rounds. What broadcasts cost is in their own section.";

const SIZES: [usize; 4] = [256, 4 << 10, 64 << 10, 1 << 20];

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
        tables.push(flows_with_cost((format!("sealed-throughput-{size}"), title), &entries, plan)?);
    }
    tables.extend(round_trip::of("sealed-round-trip", "Seals, round trips", &all, plan)?);
    Ok(tables)
}

/// Throughput, and for each entry that is held against another one how much more processor time it takes.
fn flows_with_cost(
    (id, title): (String, String),
    entries: &[Entry<'_, Flow>],
    plan: Plan,
) -> Result<Table, Failure> {
    let found = in_rounds(&title, entries, plan)?;
    let mut rows = rows(entries, &found, &FLOW, |_| Vec::new());
    for (index, (row, entry)) in rows.iter_mut().zip(entries).enumerate() {
        let cost = |(own, base): (&Flow, &Flow)| {
            (entry.base != index).then(|| own.cpu_seconds_per_gigabyte() - base.cpu_seconds_per_gigabyte())
        };
        row.further = vec![median(found[index].iter().zip(&found[entry.base]).filter_map(cost))];
    }
    Ok(table((id, title), &FLOW, &["sealing, CPU s/GB"], rows))
}

fn beside_tls(field: &Field, plan: Plan) -> Result<Vec<Table>, Failure> {
    let (fastest, ring) = (peers::best_tls()?, peers::tls()?);
    let beside = |forward_secrecy| -> Vec<Entrant> {
        let mut all = vec![peer(Box::new(fastest.clone()), &fastest), peer(Box::new(ring.clone()), &fastest)];
        let links = drivers(field).map(|driver| ReplicaLink::new(driver, true));
        all.extend(links.map(|one| link(ReplicaLink { forward_secrecy, ..one }, &fastest)));
        all
    };
    let (all, forward_secret) = (beside(false), beside(true));
    let entrants: Vec<&Entrant> = all.iter().collect();
    let mut tables = Vec::new();
    for size in SIZES {
        let entries = Entry::of_all(&entrants, move |one, window| one.throughput(size, window));
        let title = format!("Seals and TLS, throughput, frames of {}", size_name(size));
        tables.push(flows((format!("sealed-and-tls-{size}"), title), &entries, false, plan)?);
    }
    // TLS has forward secrecy always.
    let (id, title) = ("sealed-and-tls-handshakes", "Seals and TLS, handshakes with forward secrecy");
    let entrants: Vec<&Entrant> = forward_secret.iter().collect();
    tables.push(handshakes::of(id, title, &entrants, plan)?);
    Ok(tables)
}

/// The plainest driver, and the fastest one where there is one.
fn drivers(field: &Field) -> impl Iterator<Item = Driver> {
    field.drivers.iter().copied().filter(|&driver| driver == Driver::Blocking || driver == IO_URING)
}
