//! Links without authentication (H-12): never by default, and never by accident.
//!
//! Both ends must say so in their configuration. The dialer sends a version 1 Hello with a
//! zero nonce and nothing else; an end that authenticates refuses it with `auth_required`, and
//! [`AwaitHello`] here refuses a Hello that carries a nonce with `policy_mismatch`. So both
//! learn of a mismatch at once.

use core::fmt;

use replink_frame::{Flags, Hello, ReplicaId, Status, Version};

use crate::acceptor::check_dialer;
use crate::authenticated::{Authentication, Peer, Side};
use crate::late_reject::{LateRejectVerifier, RejectContext};
use crate::reject_frame::{RejectReason, reject};
use crate::ticket::{self, IssueError, Redemption, Ticket, TicketBinding, TicketError, TicketIssuer};
use crate::{
    Authenticated, ChannelBinding, DialError, DialFailed, Local, Receiving, Rejected, Roster, Sending,
    Session,
};

/// Dials without proving anything: the link is up at once, once the Hello is sent. A refusal
/// comes as a late reject (H-9).
///
/// # Errors
///
/// [`DialError::Direction`] when `peer` is not higher than this node (H-1).
pub fn dial<L>(link: L, local: &Local, peer: ReplicaId) -> Result<(Authenticated<L>, Hello), DialFailed<L>> {
    if local.replica >= peer {
        return Err(DialFailed::silent(link, DialError::Direction { local: local.replica, peer })); // H-1
    }
    let hello = Hello::new(local.cluster, local.replica, Version::V1);
    let (app, binding) = (local.app.clone(), ChannelBinding::None);
    let late_reject = LateRejectVerifier::new(RejectContext { app, key: None, hello, binding }, None);
    let session = Session::new(local, unproved(peer, Side::Dialer), None, Some(late_reject));
    Ok((Authenticated::new(link, session), hello))
}

/// Whether a first frame is a Hello that offers no proof: for a node that takes both kinds.
pub fn is_hello(frame: &[u8; 256]) -> bool {
    let hello = Hello::parse(frame);
    hello.is_ok_and(|hello| hello.version() == Version::V1 && hello.fields().nonce == [0; 32])
}

/// Waits for a Hello without proof.
pub struct AwaitHello<L> {
    link: L,
    local: Local,
    roster: Roster,
}

/// Accepts without asking for proof.
pub fn accept<L>(link: L, local: &Local, roster: Roster) -> AwaitHello<L> {
    AwaitHello { link, local: local.clone(), roster }
}

impl<L> AwaitHello<L> {
    /// Takes the first 256 bytes; nothing is answered to a good Hello (D-9).
    ///
    /// # Errors
    ///
    /// [`Rejected`] with the first check of H-11 that failed, or `policy_mismatch` for a Hello
    /// that carries a nonce (H-12).
    pub fn receive(self, frame: &[u8; 256]) -> Result<Authenticated<L>, Rejected<L>> {
        match self.check(frame) {
            Ok(hello) => {
                let peer = unproved(hello.sender(), Side::Acceptor);
                let session = Session::new(&self.local, peer, None, None);
                Ok(Authenticated::new(self.link, session))
            }
            Err(refusal) => {
                let (reply, rejection) = reject(&self.local, frame, &refusal, |_, _| None);
                Err(Rejected::new(self.link, reply, rejection))
            }
        }
    }

    fn check(&self, frame: &[u8; 256]) -> Result<Hello, RejectReason> {
        let hello = Hello::parse(frame)?;
        if hello.cluster() != self.local.cluster {
            return Err(Status::CLUSTER_MISMATCH.into());
        }
        check_dialer(hello.sender(), self.local.replica, &self.roster)?;
        // H-12, D-9: a version 2 Hello asks for proof whatever its nonce.
        let proves = hello.fields().nonce != [0; 32] || hello.version() == Version::V2;
        if proves { Err(Status::POLICY_MISMATCH.into()) } else { Ok(hello) }
    }

    /// The link, to read the Hello from. No frame of it is the embedder's.
    pub fn link_mut(&mut self) -> &mut L {
        &mut self.link
    }

    /// Gives the handshake up, for instance when its time is over.
    pub fn abandon(self) -> L {
        self.link
    }
}

impl<L> fmt::Debug for AwaitHello<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("disabled::AwaitHello").field("local", &self.local.replica).finish_non_exhaustive()
    }
}

/// Makes a ticket of a session that proved nothing; [`redeem`] alone takes it. Its MAC finds mistakes, not
/// attackers.
///
/// # Errors
///
/// As [`TicketIssuer::issue`]; [`IssueError::Authentication`] for a session that proved something.
pub fn issue(
    issuer: &mut TicketIssuer,
    halves: (Receiving, Sending),
    local: &Local,
    binding: &TicketBinding<'_>,
) -> Result<Ticket, IssueError> {
    ticket::issue_disabled(issuer, halves, local, binding)
}

/// Takes a ticket of [`issue`]. The caller says with this call that its configuration asks for no proof.
///
/// # Errors
///
/// As [`Redemption::redeem`]; [`TicketError::Authentication`] for a ticket of a session that proved
/// something.
pub fn redeem(
    redemption: Redemption,
    ticket: &[u8],
    local: &Local,
    roster: &Roster,
    binding: &TicketBinding<'_>,
) -> Result<(Receiving, Sending), TicketError> {
    ticket::redeem_disabled(redemption, ticket, local, roster, binding)
}

fn unproved(replica: ReplicaId, side: Side) -> Peer {
    Peer {
        replica,
        side,
        version: Version::V1,
        authentication: Authentication::Disabled,
        flags: Flags::NONE,
        release: 0,
        incarnation: 0,
        lane: 0,
    }
}
