//! What is measured, section by section.

mod figures;
mod round_trip;
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
}

impl Section {
    pub(crate) const ALL: [Self; 2] = [Self::Throughput, Self::RoundTrip];

    /// Its name on the command line.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Throughput => "throughput",
            Self::RoundTrip => "roundtrip",
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
        }
    }

    /// How to read its tables.
    pub(crate) const fn note(self) -> &'static str {
        match self {
            Self::Throughput => throughput::NOTE,
            Self::RoundTrip => round_trip::NOTE,
        }
    }

    pub(crate) fn measure(self, field: &Field, plan: Plan) -> Result<Vec<Table>, Failure> {
        match self {
            Self::Throughput => throughput::measure(field, plan),
            Self::RoundTrip => round_trip::measure(field, plan),
        }
    }
}
