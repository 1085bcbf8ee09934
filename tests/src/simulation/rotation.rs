//! A key takes over from another one: in two steps, on one replica after the other.

use super::cluster::Cluster;
use super::faults::ROTATION_GAP;
use super::network::{HostId, MILLISECOND};
use super::plan::REPLICAS;

/// How far the rotation has come.
#[derive(Debug)]
pub(super) struct Rotation {
    /// Who is next, in both steps.
    order: Vec<HostId>,
    done: usize,
    pub(super) next_at: u64,
}

impl Cluster {
    /// A new key is offered with the old one accepted, then the old one is dropped.
    pub(super) fn begin_rotation(&mut self) {
        if self.rotation.is_some() {
            return;
        }
        let mut order = Vec::new();
        for _ in 0..2 {
            let first = self.random.below(REPLICAS.into());
            let steps = if self.random.once_in(2) { 1 } else { usize::from(REPLICAS) - 1 };
            let host = |index| HostId(u8::try_from((first + index * steps) % usize::from(REPLICAS)).unwrap());
            order.extend((0..usize::from(REPLICAS)).map(host));
        }
        self.ledger.new_rotation();
        self.key += 1;
        self.network.lock().trace.count("rotation begins");
        self.rotation = Some(Rotation { order, done: 0, next_at: self.now() });
    }

    /// The next replica takes its step.
    pub(super) fn rotate(&mut self) {
        let key = self.key;
        let Some(rotation) = &mut self.rotation else { return };
        let Some(&host) = rotation.order.get(rotation.done) else {
            self.rotation = None;
            return;
        };
        let offers_new = rotation.done >= usize::from(REPLICAS);
        rotation.done += 1;
        let wait = match rotation.done {
            step if step == usize::from(REPLICAS) || step == rotation.order.len() => ROTATION_GAP,
            _ => self.random.between(0, 700) as u64 * MILLISECOND,
        };
        let mut state = self.network.lock();
        rotation.next_at = state.now() + wait;
        let step = if offers_new { "drops the old key" } else { "offers the new key" };
        state.note(format_args!("rotation: {host:?} {step}"));
        state.trace.count(if offers_new { "old key dropped" } else { "new key offered" });
        drop(state);
        let settings = &mut self.replica(host).settings;
        settings.accepts = if offers_new { None } else { Some(settings.offers) };
        settings.offers = key;
        self.reload(host);
    }
}
