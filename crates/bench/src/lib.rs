//! Measures replica links beside raw TCP: on this machine, in one run, doing the same work.
//!
//! A [`Contender`] carries frames from one end to the other in a [`Window`] of time, both ends in this
//! process, on loopback, one thread for each end of a connection, on the cores that [`Placement`] says. [`Raw`] is
//! TCP at its best, which moves the same bytes and looks at none of them. [`ReplicaLink`] is a link with any
//! driver. Windows of all contenders alternate, and only ratios within one round count ([`Ratio`]): a machine
//! that is slower for a while is slower for all of them.
//!
//! [`compare`] is what the command `replink bench` shows.

mod compare;
mod contender;
mod counter;
mod course;
mod cpu_time;
mod frames;
pub mod link;
mod loopback;
mod placement;
mod ratio;
mod raw;
mod threads;

pub use compare::{Comparison, MEASURES, Plan, ROUNDS, compare};
pub use contender::{Calls, Contender, Failure, Flow, Handshakes, RoundTrips};
pub use counter::{Counted, Counter};
pub use course::{Course, Window};
pub use cpu_time::thread_cpu_time;
pub use frames::{Frames, Order};
pub use link::{Driver, ReplicaLink};
pub use loopback::{Knock, STALL_MAX, connected_pair, listener, set_up};
pub use placement::{End, Placement};
pub use ratio::Ratio;
pub use raw::{Connections, Pieces, Raw, Trial, calibrate};
pub use threads::{Task, on_threads};
