//! `PrepareOk`: what it says, and where it waits while its link takes no more.

use std::collections::VecDeque;
use std::collections::hash_map::{Entry, HashMap};

use bytes::Bytes;
use replink_transport::SendCause;
use replink_transport::frame::{Command, GenericHeader, ReplicaId};
use replink_transport::mesh::LinkId;
use replink_transport::node::Handle;

/// Most acknowledgements that wait for one link, 256 bytes each: a peer that sends and never reads
/// must not fill memory.
const WAITING_MAX: usize = 65_536;

/// The acknowledgement of a Prepare: same view, no body, and the hash of the Prepare's body.
fn prepare_ok(prepare: &GenericHeader, body: &[u8], handle: &Handle) -> GenericHeader {
    let mut ok = GenericHeader::new(prepare.cluster, Command::PREPARE_OK, 0);
    ok.view = prepare.view;
    ok.release = handle.release().into();
    ok.replica = handle.replica();
    ok.reserved_command[..32].copy_from_slice(blake3::hash(body).as_bytes());
    ok
}

/// Acknowledges what comes on the links of one shard, and never waits: what a link's queue has no
/// room for goes out when it is drained, in order.
pub(crate) struct Acknowledgements {
    handle: Handle,
    waiting: HashMap<LinkId, Waiting>,
}

impl Acknowledgements {
    pub(crate) fn new(handle: Handle) -> Self {
        Self { handle, waiting: HashMap::new() }
    }

    /// Acknowledges a Prepare that came on `link`. Gives what an operator should know if that could
    /// not be done.
    pub(crate) fn acknowledge(
        &mut self,
        link: LinkId,
        (peer, lane): (ReplicaId, u16),
        prepare: &GenericHeader,
        body: &[u8],
    ) -> Option<String> {
        let ok = prepare_ok(prepare, body, &self.handle);
        let waiting = match self.waiting.entry(link) {
            Entry::Occupied(waiting) => waiting.into_mut(),
            Entry::Vacant(_) if has_taken(&self.handle, link, (peer, lane), &ok) => return None,
            Entry::Vacant(vacant) => vacant.insert(Waiting::default()),
        };
        waiting.push(ok).then(|| {
            format!(
                "replica {peer} sends Prepares, and reads no acknowledgements: {WAITING_MAX} wait for lane \
                 {lane}; further ones are dropped until it reads"
            )
        })
    }

    /// The queue of `link` has room again. Gives what an operator should know of what was dropped.
    pub(crate) fn drained(&mut self, link: LinkId, (peer, lane): (ReplicaId, u16)) -> Option<String> {
        let waiting = self.waiting.get_mut(&link)?;
        let handle = &self.handle;
        if !waiting.send_all(|ok| has_taken(handle, link, (peer, lane), ok)) {
            return None;
        }
        let dropped = self.waiting.remove(&link)?.dropped;
        (dropped > 0).then(|| format!("replica {peer} reads again: {dropped} acknowledgements were dropped"))
    }

    /// Another link has the place of `link`. Gives what an operator should know of what was dropped.
    pub(crate) fn renewed(
        &mut self,
        link: LinkId,
        by: LinkId,
        (peer, lane): (ReplicaId, u16),
    ) -> Option<String> {
        // Nothing has come on the other one so far, so nothing waits for it.
        let waiting = self.waiting.remove(&link)?;
        self.waiting.insert(by, waiting);
        self.drained(by, (peer, lane))
    }

    /// A link is over.
    pub(crate) fn forget(&mut self, link: LinkId) {
        self.waiting.remove(&link);
    }
}

/// Whether `ok` needs to wait no longer. A link that is over has no one to answer to.
fn has_taken(handle: &Handle, link: LinkId, (peer, lane): (ReplicaId, u16), ok: &GenericHeader) -> bool {
    let sent = handle.send_back(link, peer, lane, ok, Bytes::new());
    !matches!(sent.map_err(|error| error.cause()), Err(SendCause::Backpressure { .. }))
}

/// What waits for one link.
#[derive(Default)]
struct Waiting {
    acknowledgements: VecDeque<GenericHeader>,
    dropped: u64,
}

impl Waiting {
    /// Adds one, or drops it where there are too many. Says whether it is the first to be dropped.
    fn push(&mut self, ok: GenericHeader) -> bool {
        if self.acknowledgements.len() < WAITING_MAX {
            self.acknowledgements.push_back(ok);
            return false;
        }
        self.dropped += 1;
        self.dropped == 1
    }

    /// Sends what waits, in order, until `takes` takes no more. Whether all is gone.
    fn send_all(&mut self, takes: impl Fn(&GenericHeader) -> bool) -> bool {
        while let Some(ok) = self.acknowledgements.front() {
            if !takes(ok) {
                return false;
            }
            self.acknowledgements.pop_front();
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use replink_transport::handshake::cluster_id;

    use super::*;

    #[test]
    fn what_waits_keeps_its_order_and_its_bound() {
        let ok = |view: usize| {
            let mut ok = GenericHeader::new(cluster_id("orders"), Command::PREPARE_OK, 0);
            ok.view = u32::try_from(view).unwrap().into();
            ok
        };
        let mut waiting = Waiting::default();
        assert!((0..WAITING_MAX).all(|view| !waiting.push(ok(view))), "there is room");
        assert!(waiting.push(ok(0)), "the first that is dropped is told of");
        assert!(!waiting.push(ok(0)), "and no other one");
        assert_eq!((waiting.dropped, waiting.acknowledgements.len()), (2, WAITING_MAX));

        let sent = RefCell::new(Vec::new());
        let takes = |most: usize| {
            let sent = &sent;
            move |ok: &GenericHeader| {
                let room = sent.borrow().len() < most;
                if room {
                    sent.borrow_mut().push(ok.view.get() as usize);
                }
                room
            }
        };
        assert!(!waiting.send_all(takes(10)));
        assert!(waiting.send_all(takes(usize::MAX)));
        assert_eq!(sent.into_inner(), (0..WAITING_MAX).collect::<Vec<_>>());
    }
}
