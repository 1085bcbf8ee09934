//! Whose frames are delivered: of links of one peer and lane, one after the other (C-3).

use std::collections::{BTreeMap, VecDeque};

use replink_frame::ReplicaId;

use crate::mesh::LinkId;

/// The links of each peer and lane that may have something to deliver, in the order in which they came up. The first
/// one delivers, and the others wait until it has.
#[derive(Debug, Default)]
pub(super) struct Turns(BTreeMap<(ReplicaId, u16), VecDeque<LinkId>>);

impl Turns {
    /// A link comes up. Whether it is its turn.
    pub(super) fn begin(&mut self, link: LinkId, peer: ReplicaId, lane: u16) -> bool {
        let links = self.0.entry((peer, lane)).or_default();
        links.push_back(link);
        links.len() == 1
    }

    /// A link delivers nothing any more. The link whose turn it is now, if it was not before.
    pub(super) fn end(&mut self, link: LinkId) -> Option<LinkId> {
        let (&key, links) = self.0.iter_mut().find(|(_, links)| links.contains(&link))?;
        let had_its_turn = links.front() == Some(&link);
        links.retain(|&other| other != link);
        let next = links.front().copied();
        if next.is_none() {
            self.0.remove(&key);
        }
        next.filter(|_| had_its_turn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: ReplicaId = ReplicaId(3);

    #[test]
    fn one_has_its_turn_after_the_other() {
        let mut turns = Turns::default();
        assert!(turns.begin(LinkId(1), PEER, 0));
        assert!(!turns.begin(LinkId(2), PEER, 0) && !turns.begin(LinkId(3), PEER, 0));
        assert!(turns.begin(LinkId(4), PEER, 1), "another lane");
        assert_eq!(turns.end(LinkId(2)), None, "it never had its turn");
        assert_eq!(turns.end(LinkId(1)), Some(LinkId(3)));
        assert_eq!(turns.end(LinkId(1)), None);
        assert_eq!((turns.end(LinkId(3)), turns.end(LinkId(4))), (None, None));
        assert!(turns.0.is_empty());
    }
}
