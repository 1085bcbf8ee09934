//! How long a frame and its answer take where nobody sleeps.

use replink_bench::Failure;

use super::round_trip;
use crate::side_by_side::field::Field;
use crate::side_by_side::report::Table;
use crate::side_by_side::rounds::Plan;

pub(super) const NOTE: &str = "A frame there and one of the same size back, one after the other. Nodes look for \
    50 us before they sleep. Raw TCP reads without blocking, again and again, and never sleeps.";

pub(super) fn measure(field: &Field, plan: Plan) -> Result<Vec<Table>, Failure> {
    round_trip::of("busy-poll", "Busy poll, round trips", &field.busy(), plan)
}
