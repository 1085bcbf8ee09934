//! Who is compared.

use std::cell::RefCell;
use std::time::Duration;

use replink_bench::{Connections, Contender, Driver, Failure, Raw, ReplicaLink, Window};
use replink_transport::config;

use super::peers;
use super::report::{Kind, progress};
use super::rounds::Plan;

/// How long a polling contender looks for bytes before it sleeps.
const BUSY_POLL: Duration = Duration::from_micros(50);

/// How much shorter than others the windows are in which raw TCP tries its pieces.
const TRIAL: u32 = 5;

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

    /// The same, held against another one.
    pub(crate) fn beside(self, base: &dyn Contender) -> Self {
        Self { base: base.name(), ..self }
    }

    /// Where its base is in a list; the first one where the base is not in it.
    pub(crate) fn base_in(&self, entrants: &[&Self]) -> usize {
        entrants.iter().position(|other| other.contender.name() == self.base).unwrap_or(0)
    }
}

/// Everyone who can be measured on this machine.
pub(crate) struct Field {
    /// Drivers that links have here.
    pub(crate) drivers: Vec<Driver>,
    /// What is not available, and why.
    pub(crate) missing: Vec<String>,
    trial: Window,
    /// Raw TCP at its best, where it was asked for already.
    tried: RefCell<Vec<(Connections, usize, Raw)>>,
}

impl Field {
    pub(crate) fn new(plan: Plan) -> Self {
        let (mut drivers, mut missing) = (Vec::new(), Vec::new());
        for driver in [Driver::Blocking, POLL, IO_URING] {
            match ReplicaLink::new(driver, false).check() {
                Ok(()) => drivers.push(driver),
                Err(failure) => missing.push(format!("driver {driver}: {failure}")),
            }
        }
        if let Err(failure) = peers::check_completions() {
            missing.push(format!("the plain loop on io_uring: {failure}"));
        }
        let trial = Window::new(plan.window.length / TRIAL, plan.window.placement);
        Self { drivers, missing, trial, tried: RefCell::default() }
    }

    /// Raw TCP with the pieces that are the best for frames of this size, found out when they are first asked for.
    pub(crate) fn raw(&self, size: usize, connections: Connections) -> Result<Raw, Failure> {
        let known = self.tried.borrow().iter().find(|one| (one.0, one.1) == (connections, size)).cloned();
        if let Some((_, _, raw)) = known {
            return Ok(raw);
        }
        let raw = Raw::at_its_best(&[size], connections, self.trial)?;
        let pieces = raw.pieces(size);
        progress(format_args!("  {} at its best, frames of {size} bytes: {pieces}", raw.name()));
        self.tried.borrow_mut().push((connections, size, raw.clone()));
        Ok(raw)
    }

    /// What raw TCP has found to be the best.
    pub(crate) fn found(&self) -> Vec<String> {
        let name = |(_, size, raw): &(Connections, usize, Raw)| {
            format!("{}, frames of {size} bytes: {}", raw.name(), raw.pieces(*size))
        };
        self.tried.borrow().iter().map(name).collect()
    }

    /// Raw TCP as it is given, links sealed and not, and peers.
    pub(crate) fn all(&self, base: &Raw) -> Result<Vec<Entrant>, Failure> {
        let mut all = vec![raw(base)];
        all.extend(self.links(&[false, true]).into_iter().map(|one| link(one, base)));
        all.extend(peers::all()?.into_iter().map(|one| peer(one, base)));
        Ok(all)
    }

    /// Nodes with two shards, and two connections of raw TCP to hold them against.
    pub(crate) fn two_shards(&self, base: &Raw) -> Vec<Entrant> {
        let mut all = vec![raw(base)];
        all.extend(self.nodes().map(|one| link(ReplicaLink { shards: 2, ..one }, base)));
        all
    }

    /// Nodes that look for bytes before they sleep, and raw TCP that always looks.
    pub(crate) fn busy(&self) -> Vec<Entrant> {
        let spinning = Raw::untried(true);
        let mut all = vec![raw(&spinning)];
        all.extend(self.nodes().map(|one| link(ReplicaLink { busy_poll: BUSY_POLL, ..one }, &spinning)));
        all
    }

    /// Those who shake hands, and raw TCP that exchanges as many messages. Sealed links are forward-secret, as by
    /// default.
    pub(crate) fn with_handshakes(&self) -> Result<Vec<Entrant>, Failure> {
        let base = Raw::untried(false);
        let mut all = vec![raw(&base)];
        for sealed in [false, true] {
            let links = self.links(&[sealed]).into_iter();
            all.extend(links.map(|one| link(ReplicaLink { forward_secrecy: sealed, ..one }, &base)));
        }
        all.extend(peers::with_handshakes()?.into_iter().map(|one| peer(one, &base)));
        Ok(all)
    }

    /// A link of each driver, one shard, for each of `sealed`.
    pub(crate) fn links(&self, sealed: &[bool]) -> Vec<ReplicaLink> {
        let of_driver = |&driver| sealed.iter().map(move |&sealed| ReplicaLink::new(driver, sealed));
        self.drivers.iter().flat_map(of_driver).collect()
    }

    /// An unsealed link of each driver that has shards, one of them.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = ReplicaLink> {
        self.links(&[false]).into_iter().filter(|one| one.driver != Driver::Blocking)
    }
}

pub(crate) fn raw(raw: &Raw) -> Entrant {
    Entrant { contender: Box::new(raw.clone()), kind: Kind::Raw, base: raw.name() }
}

pub(crate) fn link(link: ReplicaLink, base: &dyn Contender) -> Entrant {
    Entrant { contender: Box::new(link), kind: Kind::Link, base: base.name() }
}

pub(crate) fn peer(contender: Box<dyn Contender>, base: &dyn Contender) -> Entrant {
    Entrant { contender, kind: Kind::Peer, base: base.name() }
}
