//! How long a frame and its answer take.

use replink_bench::Failure;

use super::figures::{size_name, trips};
use crate::side_by_side::field::{Entrant, Field};
use crate::side_by_side::report::Table;
use crate::side_by_side::rounds::{Entry, Plan};

pub(super) const NOTE: &str = "A frame there and one of the same size back, one after the other. The ends sleep \
    until something comes, but for the rows with busy poll: these look for 50 us before they sleep, and are held \
    against raw TCP that never sleeps.";

const SIZES: [usize; 2] = [256, 4 << 10];

pub(super) fn measure(field: &Field, plan: Plan) -> Result<Vec<Table>, Failure> {
    let (all, busy) = (field.all()?, field.busy());
    let entrants: Vec<&Entrant> = all.iter().chain(&busy).collect();
    let of_size = |size| {
        let entries = Entry::of_all(&entrants, move |one, window| one.round_trip(size, window));
        let title = format!("Round trips, frames of {}", size_name(size));
        trips((format!("round-trip-{size}"), title), &entries, plan)
    };
    SIZES.into_iter().map(of_size).collect()
}
