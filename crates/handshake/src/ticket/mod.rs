//! A session on its way to the next process of the same replica (`docs/hand-off.md`).

mod error;
mod layout;
mod session;

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use replink_frame::{Flags, Version};
use zeroize::Zeroizing;

use crate::authenticated::{Authentication, Side};
use crate::key_bytes::wiping;
use crate::mac::{disabled_hand_off_key, ticket_mac};
use crate::secret::Pair;
use crate::{App, KeyRing, Local, Nonce, Receiving, Roster, Sending};

pub use error::{IssueError, TicketError};
use layout::Sealed;
pub use layout::TICKET_LEN;
use session::Carried;

/// Both halves of a session as [`TICKET_LEN`] bytes that another process can redeem, once.
///
/// It holds the session's keys: whoever reads it can sign the link's control frames. Wiped when
/// dropped, silent in `Debug`.
pub struct Ticket(Zeroizing<Vec<u8>>);

impl Ticket {
    /// What to send to the process that redeems it, and to nobody else.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ticket(redacted)")
    }
}

/// What a ticket belongs to, as each end finds it by itself.
#[derive(Clone, Copy)]
#[expect(clippy::exhaustive_structs, reason = "the two are what a ticket's MAC covers")]
pub struct TicketBinding<'a> {
    /// Names the link's socket and no other: the redeemer computes it from the socket that it was given.
    pub socket: &'a [u8],
    /// What travels along; the concatenation of the parts is covered by the MAC.
    pub payload: &'a [&'a [u8]],
}

impl fmt::Debug for TicketBinding<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TicketBinding(redacted)")
    }
}

/// What a process asks of the links that it takes over.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TicketTerms {
    /// Who this process is. Cluster, replica and incarnation must be those of the process before it.
    pub local: Local,
    /// The keys that a link may have been made with.
    pub ring: Arc<KeyRing>,
    /// Who may be at the other end.
    pub roster: Roster,
    /// The lowest version of a link.
    pub min_version: Version,
    /// The features that a link must have.
    pub required: Flags,
}

impl TicketTerms {
    /// Links of version 2, with whatever features they have.
    pub fn new(local: Local, ring: Arc<KeyRing>, roster: Roster) -> Self {
        Self { local, ring, roster, min_version: Version::V2, required: Flags::NONE }
    }

    /// The same with this lowest version.
    pub fn min_version(self, min_version: Version) -> Self {
        Self { min_version, ..self }
    }

    /// The same for links that have these features.
    pub fn required(self, required: Flags) -> Self {
        Self { required, ..self }
    }
}

/// Issues the tickets of one transfer, in order.
#[derive(Debug)]
pub struct TicketIssuer {
    nonce: [u8; 32],
    next_index: u64,
}

impl TicketIssuer {
    /// For the transfer to the process that drew `nonce`.
    pub fn new(nonce: [u8; 32]) -> Self {
        Self { nonce, next_index: 0 }
    }

    /// Turns both halves of a session into the next ticket of this transfer.
    ///
    /// What it takes to recognize a late reject (H-9) does not travel: on the link taken over, a
    /// `ReplicaChallenge` is a protocol violation, whatever its status.
    ///
    /// # Errors
    ///
    /// [`IssueError`]; the halves are gone, and the link with them. The next ticket has the index that
    /// this one would have had.
    pub fn issue(
        &mut self,
        halves: (Receiving, Sending),
        local: &Local,
        ring: &KeyRing,
        binding: &TicketBinding<'_>,
    ) -> Result<Ticket, IssueError> {
        let carried = Carried::of(halves, local)?;
        let Authentication::PreSharedKey(id) = carried.peer.authentication else {
            return Err(IssueError::Authentication);
        };
        let pair = Pair::new(local.replica, carried.peer.replica);
        let key = ring.find(id, pair).ok_or(IssueError::UnknownKey(id))?;
        Ok(self.seal(&carried, &local.app, key.hand_off(), binding))
    }

    fn seal(&mut self, carried: &Carried, app: &App, key: &[u8; 32], binding: &TicketBinding<'_>) -> Ticket {
        let index = self.next_index;
        self.next_index += 1; // one for each link: never near the end
        let mut bytes = layout::write(carried);
        let mac =
            wiping(|| ticket_mac(app, key, &self.nonce, index, binding.socket, &bytes, binding.payload));
        bytes.extend_from_slice(&mac.into_bytes());
        debug_assert_eq!(bytes.len(), TICKET_LEN);
        Ticket(bytes)
    }
}

/// See [`crate::disabled::issue`].
pub(crate) fn issue_disabled(
    issuer: &mut TicketIssuer,
    halves: (Receiving, Sending),
    local: &Local,
    binding: &TicketBinding<'_>,
) -> Result<Ticket, IssueError> {
    let carried = Carried::of(halves, local)?;
    if carried.peer.authentication != Authentication::Disabled {
        return Err(IssueError::Authentication);
    }
    Ok(issuer.seal(&carried, &local.app, &disabled_hand_off_key(&local.app), binding))
}

/// Redeems the tickets of one transfer: each place in it once, in order.
#[derive(Debug)]
pub struct TicketRedeemer {
    nonce: [u8; 32],
    next_index: u64,
}

impl TicketRedeemer {
    /// For one transfer. No ticket of another one fits its nonce.
    pub fn new(nonce: Nonce) -> Self {
        Self { nonce: nonce.into_bytes(), next_index: 0 }
    }

    /// What the issuer needs. It is no secret.
    pub fn nonce(&self) -> &[u8; 32] {
        &self.nonce
    }

    /// The right to redeem the next ticket. The place in the transfer is used up, whatever comes of it.
    pub fn advance(&mut self) -> Redemption {
        let index = self.next_index;
        self.next_index += 1; // one for each link: never near the end
        Redemption { nonce: self.nonce, index }
    }
}

/// The right to redeem one ticket: the one at this place of this transfer. Neither `Clone` nor `Copy`.
#[derive(Debug)]
pub struct Redemption {
    nonce: [u8; 32],
    index: u64,
}

impl Redemption {
    /// Proves a ticket, and makes of it the two halves that [`TicketIssuer::issue`] took.
    ///
    /// # Errors
    ///
    /// [`TicketError`]. Only what comes after [`TicketError::Mac`] in its order is proved to be what the
    /// issuer said.
    pub fn redeem(
        self,
        ticket: &[u8],
        terms: &TicketTerms,
        binding: &TicketBinding<'_>,
    ) -> Result<(Receiving, Sending), TicketError> {
        let sealed = Sealed::read(ticket)?;
        let Authentication::PreSharedKey(id) = sealed.carried.peer.authentication else {
            return Err(TicketError::Authentication);
        };
        let pair = Pair::new(sealed.carried.local, sealed.carried.peer.replica);
        let key = terms.ring.find(id, pair).ok_or(TicketError::UnknownKey(id))?;
        self.prove(&sealed, &terms.local.app, key.hand_off(), binding)?;
        let peer = &sealed.carried.peer;
        if peer.version < terms.min_version || !peer.flags.contains(terms.required) {
            return Err(TicketError::Terms);
        }
        sealed.carried.open(&terms.local, &terms.roster)
    }

    fn prove(
        self,
        sealed: &Sealed<'_>,
        app: &App,
        key: &[u8; 32],
        binding: &TicketBinding<'_>,
    ) -> Result<(), TicketError> {
        let mac = wiping(|| {
            ticket_mac(app, key, &self.nonce, self.index, binding.socket, sealed.state, binding.payload)
        });
        if mac.matches(sealed.mac) { Ok(()) } else { Err(TicketError::Mac) }
    }
}

/// See [`crate::disabled::redeem`].
pub(crate) fn redeem_disabled(
    redemption: Redemption,
    ticket: &[u8],
    local: &Local,
    roster: &Roster,
    binding: &TicketBinding<'_>,
) -> Result<(Receiving, Sending), TicketError> {
    let sealed = Sealed::read(ticket)?;
    if sealed.carried.peer.authentication != Authentication::Disabled {
        return Err(TicketError::Authentication);
    }
    redemption.prove(&sealed, &local.app, &disabled_hand_off_key(&local.app), binding)?;
    sealed.carried.open(local, roster)
}

/// H-1: who dials has the lower id.
fn side_of(local: &Local, peer: replink_frame::ReplicaId) -> Side {
    if local.replica < peer { Side::Dialer } else { Side::Acceptor }
}
