//! Connections that have not proved themselves, or are on their way out.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;

use crate::driver::{Driver, Registration, Socket, Token};
use crate::exchange::{Accepting, Dialing, Exchange, Leaving, Want};
use crate::gate::Slot;
use crate::memory::{BLOCK_SIZE, ReceiveMemory};

/// One connection, or the attempt to make one.
pub(super) struct Handshake<S> {
    pub(super) stage: Stage<S>,
    /// What the driver knows the connection by. Dropped with it, which ends what is under way.
    pub(super) registration: Option<Registration>,
    /// When it began.
    pub(super) began: Instant,
}

/// What it is about.
pub(super) enum Stage<S> {
    /// A peer has connected.
    Accepting { exchange: Accepting<S>, caller: Caller },
    /// It is turned away.
    Leaving { exchange: Leaving<S>, caller: Caller },
    /// We connect.
    Dialing(Dialing<S>),
}

/// Who has connected, and the slot that this takes.
pub(super) struct Caller {
    pub(super) slot: Slot,
    pub(super) address: SocketAddr,
}

/// What a handshake waits for.
pub(super) enum Next {
    /// The end of an operation.
    Completion,
    /// To be asked for a connection to this address.
    Connection(SocketAddr),
    /// An answer to the Hello that is there.
    Answer,
    /// Nothing: it is over.
    Nothing,
}

impl<S: Socket> Stage<S> {
    pub(super) fn exchange(&mut self) -> &mut dyn Exchange<Link = S> {
        match self {
            Self::Accepting { exchange, .. } => exchange,
            Self::Leaving { exchange, .. } => exchange,
            Self::Dialing(exchange) => exchange,
        }
    }

    /// Begins what is wanted, as an operation of `driver`.
    pub(super) fn begin<D: Driver<Socket = S>>(&mut self, token: Token, driver: &mut D) -> Next {
        let exchange = self.exchange();
        loop {
            match exchange.want() {
                Want::Write { bytes, .. } => {
                    driver.send(token, Bytes::copy_from_slice(bytes).into());
                    return Next::Completion;
                }
                Want::Read { at_most, .. } => {
                    driver.receive(token, Some(ReceiveMemory::with_len(at_most)), at_most);
                    return Next::Completion;
                }
                Want::Discard { at_most, .. } => {
                    driver.receive(token, None, at_most.min(BLOCK_SIZE));
                    return Next::Completion;
                }
                Want::EndSending { link } => {
                    link.finish();
                    exchange.sending_ended();
                }
                Want::Connect { address } => return Next::Connection(address),
                Want::Answer => return Next::Answer,
                Want::Done => return Next::Nothing,
            }
        }
    }
}

/// All of them, and when the first has had its time.
pub(super) struct Handshakes<S> {
    by_token: HashMap<Token, (Instant, Handshake<S>)>,
    due: BTreeSet<(Instant, Token)>,
}

impl<S: Socket> Handshakes<S> {
    pub(super) fn new() -> Self {
        Self { by_token: HashMap::new(), due: BTreeSet::new() }
    }

    pub(super) fn put(&mut self, token: Token, mut handshake: Handshake<S>) {
        let due = handshake.stage.exchange().until();
        self.due.insert((due, token));
        self.by_token.insert(token, (due, handshake));
    }

    pub(super) fn take(&mut self, token: Token) -> Option<Handshake<S>> {
        let (due, handshake) = self.by_token.remove(&token)?;
        self.due.remove(&(due, token));
        Some(handshake)
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|&(due, _)| due)
    }

    /// One that has had its time.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<(Token, Handshake<S>)> {
        let &(due, token) = self.due.first()?;
        if due > now {
            return None;
        }
        self.take(token).map(|handshake| (token, handshake))
    }

    /// Those for which `goes` holds, in the order in which they began.
    pub(super) fn take_all(&mut self, goes: impl Fn(&Stage<S>) -> bool) -> Vec<Handshake<S>> {
        let going = self.by_token.iter().filter(|(_, (_, handshake))| goes(&handshake.stage));
        let mut tokens: Vec<Token> = going.map(|(&token, _)| token).collect();
        tokens.sort_unstable();
        tokens.into_iter().filter_map(|token| self.take(token)).collect()
    }
}
