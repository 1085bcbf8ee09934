//! Who is compared.

use std::time::Duration;

use replink_bench::{Contender, Driver, Failure, Raw, ReplicaLink};
use replink_transport::config;

use super::peers;
use super::report::Kind;
use super::rounds::Plan;

/// How long a polling contender looks for bytes before it sleeps.
const BUSY_POLL: Duration = Duration::from_micros(50);

pub(crate) const POLL: Driver = Driver::Node(config::DriverChoice::Poll);
pub(crate) const IO_URING: Driver = Driver::Node(config::DriverChoice::IoUring);

/// A contender among others.
pub(crate) struct Entrant {
    pub(crate) contender: Box<dyn Contender>,
    pub(crate) kind: Kind,
    /// The name of the contender that its ratios are to.
    base: String,
}

impl Entrant {
    /// What tables call it: the name of a link says what is special about it only.
    pub(crate) fn name(&self) -> String {
        let name = self.contender.name();
        if self.kind == Kind::Link { format!("replink {name}") } else { name }
    }

    /// Where its base is in a list; the first one where the base is not in it.
    pub(crate) fn base_in(&self, entrants: &[&Self]) -> usize {
        entrants.iter().position(|other| other.contender.name() == self.base).unwrap_or(0)
    }
}

/// Everyone who can be measured on this machine.
pub(crate) struct Field {
    /// Raw TCP with one connection.
    pub(crate) raw: Raw,
    /// Drivers that links have here.
    pub(crate) drivers: Vec<Driver>,
    /// What is not available, and why.
    pub(crate) missing: Vec<String>,
}

impl Field {
    pub(crate) fn new(plan: Plan) -> Result<Self, Failure> {
        let raw = Raw::at_its_best(1, false, plan.window.length / 2)?;
        let (mut drivers, mut missing) = (Vec::new(), Vec::new());
        for driver in [Driver::Blocking, POLL, IO_URING] {
            match ReplicaLink::new(driver, false).check() {
                Ok(()) => drivers.push(driver),
                Err(failure) => missing.push(format!("driver {driver}: {failure}")),
            }
        }
        Ok(Self { raw, drivers, missing })
    }

    /// Raw TCP, links sealed and not, and peers.
    pub(crate) fn all(&self) -> Result<Vec<Entrant>, Failure> {
        let mut all = vec![raw(self.raw)];
        all.extend(self.links(&[false, true]).into_iter().map(|one| link(one, &self.raw)));
        all.extend(peers::all()?.into_iter().map(|one| peer(one, &self.raw)));
        Ok(all)
    }

    /// Nodes with two shards, and two connections of raw TCP to hold them against.
    pub(crate) fn two_shards(&self) -> Vec<Entrant> {
        let two = Raw { connections: 2, ..self.raw };
        let mut all = vec![raw(two)];
        for one in self.links(&[false]).into_iter().filter(|one| one.driver != Driver::Blocking) {
            all.push(link(ReplicaLink { shards: 2, ..one }, &two));
        }
        all
    }

    /// Nodes that look for bytes before they sleep, and raw TCP that always looks.
    pub(crate) fn busy(&self) -> Vec<Entrant> {
        let spinning = Raw { spins: true, ..self.raw };
        let mut all = vec![raw(spinning)];
        for one in self.links(&[false]).into_iter().filter(|one| one.driver != Driver::Blocking) {
            all.push(link(ReplicaLink { busy_poll: BUSY_POLL, ..one }, &spinning));
        }
        all
    }

    /// Those who shake hands, and raw TCP that exchanges as many messages.
    pub(crate) fn with_handshakes(&self) -> Result<Vec<Entrant>, Failure> {
        let mut all = vec![raw(self.raw)];
        for forward_secrecy in [false, true] {
            let links = self.links(&[false]).into_iter();
            all.extend(links.map(|one| link(ReplicaLink { forward_secrecy, ..one }, &self.raw)));
        }
        all.extend(peers::with_handshakes()?.into_iter().map(|one| peer(one, &self.raw)));
        Ok(all)
    }

    /// A link of each driver, one shard, for each of `sealed`.
    pub(crate) fn links(&self, sealed: &[bool]) -> Vec<ReplicaLink> {
        let of_driver = |&driver| sealed.iter().map(move |&sealed| ReplicaLink::new(driver, sealed));
        self.drivers.iter().flat_map(of_driver).collect()
    }
}

pub(crate) fn raw(raw: Raw) -> Entrant {
    Entrant { contender: Box::new(raw), kind: Kind::Raw, base: raw.name() }
}

pub(crate) fn link(link: ReplicaLink, base: &dyn Contender) -> Entrant {
    Entrant { contender: Box::new(link), kind: Kind::Link, base: base.name() }
}

pub(crate) fn peer(contender: Box<dyn Contender>, base: &dyn Contender) -> Entrant {
    Entrant { contender, kind: Kind::Peer, base: base.name() }
}
