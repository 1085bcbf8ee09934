//! How long a frame and its answer take.

use replink_bench::{Failure, Raw};

use super::figures::{size_name, trips};
use crate::side_by_side::field::{Entrant, Field};
use crate::side_by_side::report::Table;
use crate::side_by_side::rounds::{Entry, Plan};

pub(super) const NOTE: &str = "A frame there and one of the same size back, one after the other. The ends sleep \
    until something comes.";

const SIZES: [usize; 2] = [256, 4 << 10];

pub(super) fn measure(field: &Field, plan: Plan) -> Result<Vec<Table>, Failure> {
    of("round-trip", "Round trips", &field.all(&Raw::untried(false))?, plan)
}

/// Round trips of these, a table for each size.
pub(super) fn of(id: &str, title: &str, all: &[Entrant], plan: Plan) -> Result<Vec<Table>, Failure> {
    let entrants: Vec<&Entrant> = all.iter().collect();
    let of_size = |size| {
        let entries = Entry::of_all(&entrants, move |one, window| one.round_trip(size, window));
        trips((format!("{id}-{size}"), format!("{title}, frames of {}", size_name(size))), &entries, plan)
    };
    SIZES.into_iter().map(of_size).collect()
}
