//! What a second shard gives.

use replink_bench::{Connections, Failure, ReplicaLink};

use super::figures::{flows, size_name};
use crate::side_by_side::field::{Entrant, Field, link, raw};
use crate::side_by_side::report::Table;
use crate::side_by_side::rounds::{Entry, Plan};

pub(super) const NOTE: &str = "Two shards at each end and two lanes, each lane on a shard of its own at both ends, \
    beside the same node with one shard and one lane. Raw TCP has as many connections and threads. Each end of \
    two shards is two threads: where the machine has fewer cores than that, little more than 1 is to be expected.";

const SIZE: usize = 256;

pub(super) fn measure(field: &Field, plan: Plan) -> Result<Vec<Table>, Failure> {
    let one = field.raw(SIZE, Connections::ONE)?;
    let two = field.raw(SIZE, Connections::Threads(2))?;
    let mut all = vec![raw(&one), raw(&two).beside(&one)];
    for node in field.nodes() {
        all.push(link(node, &node));
        all.push(link(ReplicaLink { shards: 2, ..node }, &node));
    }
    let entrants: Vec<&Entrant> = all.iter().collect();
    let entries = Entry::of_all(&entrants, |one, window| one.throughput(SIZE, window));
    let title = format!("Two shards beside one, frames of {}", size_name(SIZE));
    Ok(vec![flows(("shards".to_owned(), title), &entries, true, plan)?])
}
