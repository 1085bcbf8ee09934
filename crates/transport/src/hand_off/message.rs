//! What goes over the Unix socket besides the state of links. Integers are little-endian.

use super::{HandOffError, NodeState, RefusalCode};

/// Of the whole format, tickets' apart. The first one carried seals, and is refused.
pub(super) const VERSION: u8 = 2;

const MAGIC: &[u8; 8] = b"replhand";

pub(super) const GREETING_LEN: usize = 48;
pub(super) const HEAD_LEN: usize = 16;
pub(super) const NODE_LEN: usize = 16;
pub(super) const ANSWER_LEN: usize = 8;

/// The successor's first bytes: magic, version, 7 zeros, nonce.
pub(super) fn greeting(nonce: &[u8; 32]) -> [u8; GREETING_LEN] {
    let mut bytes = [0; GREETING_LEN];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8] = VERSION;
    bytes[16..].copy_from_slice(nonce);
    bytes
}

/// The nonce.
pub(super) fn read_greeting(bytes: &[u8; GREETING_LEN]) -> Result<[u8; 32], HandOffError> {
    let (head, nonce) = bytes.split_at(16);
    if head[..8] != MAGIC[..] {
        return Err(HandOffError::Format { what: "it does not begin as a hand-off does" });
    }
    if head[8] != VERSION {
        return Err(HandOffError::Version { found: head[8] });
    }
    match nonce.try_into() {
        Ok(nonce) if head[9..] == [0; 7] && nonce != [0; 32] => Ok(nonce),
        _ => Err(HandOffError::Format { what: "the greeting has no nonce, or unused bytes that are set" }),
    }
}

/// What the predecessor sends next.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Node = 1,
    Listener = 2,
    Link = 3,
    End = 4,
}

/// Kind, 7 zeros, and the bytes that follow.
pub(super) fn head(kind: Kind, len: u64) -> [u8; HEAD_LEN] {
    let mut bytes = [0; HEAD_LEN];
    bytes[0] = kind as u8;
    bytes[8..].copy_from_slice(&len.to_le_bytes());
    bytes
}

pub(super) fn read_head(bytes: [u8; HEAD_LEN]) -> Result<(Kind, u64), HandOffError> {
    let [kind, unused @ .., l0, l1, l2, l3, l4, l5, l6, l7] = bytes;
    if unused != [0; 7] {
        return Err(HandOffError::Format { what: "unused bytes of a message are set" });
    }
    let len = u64::from_le_bytes([l0, l1, l2, l3, l4, l5, l6, l7]);
    let (kind, len_is_right) = match kind {
        1 => (Kind::Node, len == NODE_LEN as u64),
        2 => (Kind::Listener, len == 0),
        3 => (Kind::Link, true), // bounded where it is read
        4 => (Kind::End, len == 0),
        _ => return Err(HandOffError::Format { what: "a message of unknown kind" }),
    };
    if len_is_right {
        Ok((kind, len))
    } else {
        Err(HandOffError::Format { what: "a message of wrong length" })
    }
}

/// Incarnation, release, 4 zeros.
pub(super) fn node(node: NodeState) -> [u8; NODE_LEN] {
    let mut bytes = [0; NODE_LEN];
    bytes[..8].copy_from_slice(&node.incarnation.to_le_bytes());
    bytes[8..12].copy_from_slice(&node.release.to_le_bytes());
    bytes
}

pub(super) fn read_node(bytes: [u8; NODE_LEN]) -> Result<NodeState, HandOffError> {
    let [i0, i1, i2, i3, i4, i5, i6, i7, r0, r1, r2, r3, unused @ ..] = bytes;
    if unused != [0; 4] {
        return Err(HandOffError::Format { what: "unused bytes of the node are set" });
    }
    Ok(NodeState {
        incarnation: u64::from_le_bytes([i0, i1, i2, i3, i4, i5, i6, i7]),
        release: u32::from_le_bytes([r0, r1, r2, r3]),
    })
}

/// The successor's answer to each message: 0 and 7 zeros when it is taken, else 1, the reason, 6 zeros.
pub(super) fn answer(refusal: Option<RefusalCode>) -> [u8; ANSWER_LEN] {
    match refusal {
        None => [0; ANSWER_LEN],
        Some(RefusalCode(reason)) => [1, reason, 0, 0, 0, 0, 0, 0],
    }
}

pub(super) fn read_answer(bytes: [u8; ANSWER_LEN]) -> Result<(), HandOffError> {
    match bytes {
        [0, 0, 0, 0, 0, 0, 0, 0] => Ok(()),
        [1, reason, 0, 0, 0, 0, 0, 0] => Err(HandOffError::Refused(RefusalCode(reason))),
        _ => Err(HandOffError::Format { what: "an answer that is none" }),
    }
}
