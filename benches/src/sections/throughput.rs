//! How much goes one way.

use replink_bench::{Connections, Failure};

use super::figures::{flows, size_name};
use crate::side_by_side::field::{Entrant, Field};
use crate::side_by_side::report::Table;
use crate::side_by_side::rounds::{Entry, Plan};

pub(super) const NOTE: &str = "Frames of one size, header included, one way over one connection, as many as \
    go; a thread for each end. Raw TCP writes and reads in the pieces that were the fastest for it when it tried \
    them, whatever the size of a frame, and looks at nothing. CPU is of both ends. Reads and writes are counted \
    where the node counts them.";

const SIZES: [usize; 4] = [256, 4 << 10, 64 << 10, 1 << 20];

pub(super) fn measure(field: &Field, plan: Plan) -> Result<Vec<Table>, Failure> {
    let of_size = |size| {
        let all = field.all(&field.raw(size, Connections::ONE)?)?;
        let two_shards = field.two_shards(&field.raw(size, Connections::Threads(2))?);
        let entrants: Vec<&Entrant> = all.iter().chain(&two_shards).collect();
        let entries = Entry::of_all(&entrants, move |one, window| one.throughput(size, window));
        let title = format!("Throughput, frames of {}", size_name(size));
        flows((format!("throughput-{size}"), title), &entries, true, plan)
    };
    SIZES.into_iter().map(of_size).collect()
}
