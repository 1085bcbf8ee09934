//! What is measured, section by section.

mod broadcast;
mod busy_poll;
mod figures;
mod handshakes;
mod lanes;
mod round_trip;
mod sealed;
mod shards;
mod strangers;
mod throughput;

use replink_bench::Failure;

use super::field::Field;
use super::report::Table;
use super::rounds::Plan;

/// A kind of figures.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Section {
    Throughput,
    RoundTrip,
    BusyPoll,
    Handshakes,
    Broadcast,
    Links,
    Shards,
    Strangers,
    Sealed,
}

impl Section {
    pub(crate) const ALL: [Self; 9] = [
        Self::Throughput,
        Self::RoundTrip,
        Self::BusyPoll,
        Self::Handshakes,
        Self::Broadcast,
        Self::Links,
        Self::Shards,
        Self::Strangers,
        Self::Sealed,
    ];

    /// Its name on the command line.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Throughput => "throughput",
            Self::RoundTrip => "roundtrip",
            Self::BusyPoll => "busypoll",
            Self::Handshakes => "handshakes",
            Self::Broadcast => "broadcast",
            Self::Links => "links",
            Self::Shards => "shards",
            Self::Strangers => "strangers",
            Self::Sealed => "sealed",
        }
    }

    pub(crate) fn named(name: &str) -> Result<Self, Failure> {
        let found = Self::ALL.into_iter().find(|section| section.name() == name);
        let names = || Self::ALL.map(Self::name).join(", ");
        found.ok_or_else(|| format!("{name:?} is no section; there are {}", names()).into())
    }

    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Throughput => "Throughput",
            Self::RoundTrip => "Round trips",
            Self::BusyPoll => "Busy poll",
            Self::Handshakes => "Handshakes",
            Self::Broadcast => "Broadcast",
            Self::Links => "Number of links",
            Self::Shards => "Number of shards",
            Self::Strangers => "Unauthenticated connections",
            Self::Sealed => "What seals cost",
        }
    }

    /// How to read its tables.
    pub(crate) const fn note(self) -> &'static str {
        match self {
            Self::Throughput => throughput::NOTE,
            Self::RoundTrip => round_trip::NOTE,
            Self::BusyPoll => busy_poll::NOTE,
            Self::Handshakes => handshakes::NOTE,
            Self::Broadcast => broadcast::NOTE,
            Self::Links => lanes::NOTE,
            Self::Shards => shards::NOTE,
            Self::Strangers => strangers::NOTE,
            Self::Sealed => sealed::NOTE,
        }
    }

    pub(crate) fn measure(self, field: &Field, plan: Plan) -> Result<Vec<Table>, Failure> {
        match self {
            Self::Throughput => throughput::measure(field, plan),
            Self::RoundTrip => round_trip::measure(field, plan),
            Self::BusyPoll => busy_poll::measure(field, plan),
            Self::Handshakes => handshakes::measure(field, plan),
            Self::Broadcast => broadcast::measure(field, plan),
            Self::Links => lanes::measure(field, plan),
            Self::Shards => shards::measure(field, plan),
            Self::Strangers => strangers::measure(field, plan),
            Self::Sealed => sealed::measure(field, plan),
        }
    }
}
