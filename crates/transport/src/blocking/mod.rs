//! Links driven by threads: one call does one handshake, sends one frame, or waits for one.
//!
//! A handshake has one deadline for all of it, so a peer that drips bytes gains nothing. Nothing
//! is allocated for a peer that has not authenticated but the 32 bytes of an ephemeral secret: its
//! handshake lives on the stack.

mod accept;
mod dial;
mod receiver;
mod sender;
mod shaking_hands;

pub use accept::{accept, accept_trying_keys};
pub use dial::{connect, dial};
pub use receiver::{LinkEnd, Receiver};
pub use sender::{SendFailure, Sender};

use std::io;

use replink_handshake::Authenticated;

use crate::unanswered::LOOK_EVERY;
use crate::{Inbound, Link, Outbound, OutboundLimits};

/// Opens an authenticated link for sending and receiving; the two halves may live in two threads.
///
/// # Errors
///
/// When the process is out of file descriptors: each half has a handle of its own; or what the socket says.
pub fn open(link: Authenticated<Link>, limits: OutboundLimits) -> io::Result<(Sender, Receiver)> {
    let (link, session) = link.into_parts();
    let (receiving, sending) = session.split();
    resume(link, Inbound::new(receiving, limits.frame_size), Outbound::new(sending, limits))
}

/// Goes on with a link that another driver had, or another process. What waits in `outbound` goes out
/// with the first frame sent, or with [`Sender::flush`].
///
/// # Errors
///
/// When the process is out of file descriptors: each half has a handle of its own; or what the socket says.
pub fn resume(link: Link, inbound: Inbound, outbound: Outbound) -> io::Result<(Sender, Receiver)> {
    let link = link.waiting()?;
    // Nobody sends pings here but the caller, if at all: a peer whose machine vanishes is found out all the same.
    link.keep_alive()?;
    link.stream().set_read_timeout(Some(LOOK_EVERY))?;
    link.stream().set_write_timeout(Some(LOOK_EVERY))?;
    Ok((Sender::new(link.try_clone()?, outbound), Receiver::new(link, inbound)))
}
