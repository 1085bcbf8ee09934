//! The operations of drivers, as the system below has them: begun, carried out once that is possible, and told of
//! when they have ended. Late and in any order, where the seed says so.
//!
//! What a shard may not do is found here: every rule that it breaks ends the run.

mod account;
mod blocks;
mod carrying_out;
mod ending;
mod registering;
mod releasing;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::net::SocketAddr;

use replink_transport::driver::{SHORT_RECEIVE_MAX, Token};
use replink_transport::memory::{Block, ReceiveMemory, SendBatch};

pub(in crate::simulation::network) use self::blocks::Blocks;
pub(in crate::simulation) use self::ending::Found;

use self::account::Account;
use super::{DriverId, EndId, HostId, ProcessId};
use crate::random::Random;

/// What one driver has registered, and what is under way for it.
#[derive(Debug)]
pub(in crate::simulation) struct Table {
    process: ProcessId,
    habits: Habits,
    registered: BTreeMap<Token, Registered>,
    /// What the next wait begins with.
    to_try: BTreeSet<OperationId>,
    /// Long receives that have become possible, and are carried out when somebody asks for what they bring.
    to_receive: BTreeSet<OperationId>,
    /// What has ended and was not taken.
    ended: Vec<OperationId>,
    /// Where something has come since the last wait.
    arrived: BTreeSet<Token>,
    woken: bool,
    /// What was dropped and is still registered.
    departed: Vec<Token>,
    /// Blocks that nobody has.
    blocks: Vec<Block>,
    account: Account,
}

/// One operation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(in crate::simulation) struct OperationId {
    driver: DriverId,
    token: Token,
    /// Which of those that had this token.
    registration: u64,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Kind {
    Accept,
    Connect,
    Receive,
    Send,
}

/// How one driver goes about its work, where each way is as good as the other. 0 is never, and `n` once in `n` times.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::simulation) struct Habits {
    /// Tries an operation as it is begun, as one does that asks the system. Else the next wait does.
    pub(in crate::simulation) tries_at_once: usize,
    /// Operations that have become possible are carried out by the system, whatever the shard does. Else the next
    /// wait does.
    pub(in crate::simulation) carried_out_alone: usize,
    /// Receives only when somebody asks for it, where that is not for a handshake.
    pub(in crate::simulation) receives_when_asked: usize,
    /// Says that there is nothing more although there is.
    pub(in crate::simulation) pauses: usize,
    /// Sees what comes where nothing is being received.
    pub(in crate::simulation) sees_unread: bool,
}

impl Habits {
    pub(in crate::simulation) fn draw(random: &mut Random) -> Self {
        Self {
            tries_at_once: random.pick(&[0, 1, 2]),
            carried_out_alone: random.pick(&[0, 1, 2]),
            receives_when_asked: random.pick(&[0, 1, 2]),
            pauses: random.pick(&[0, 4, 20]),
            sees_unread: random.once_in(2),
        }
    }
}

#[derive(Debug)]
struct Registered {
    /// Never given twice.
    number: u64,
    what: What,
}

#[derive(Debug)]
enum What {
    Listener(Listening),
    /// Until the shard has taken the result. An attempt that has failed stays here.
    Connecting {
        end: EndId,
        result: Option<io::Result<()>>,
        told: bool,
    },
    Connection {
        end: EndId,
        receive: Option<Receive>,
        send: Option<Send>,
    },
}

#[derive(Debug)]
struct Listening {
    host: HostId,
    number: u64,
    /// How many the shard has asked for, and how many of them have come.
    wanted: usize,
    accepted: usize,
    results: VecDeque<io::Result<(EndId, SocketAddr)>>,
}

/// A receive that is under way, or has ended and was not taken.
#[derive(Debug)]
struct Receive {
    memory: Option<ReceiveMemory>,
    /// Whether the memory is a block of the driver's.
    provided: bool,
    at_most: usize,
    result: Option<io::Result<usize>>,
}

/// A send that is under way, or has ended and was not taken.
#[derive(Debug)]
struct Send {
    batch: SendBatch,
    /// Of the batch, as it was given.
    hash: u64,
    result: Option<io::Result<usize>>,
}

impl Table {
    fn new(process: ProcessId, habits: Habits) -> Self {
        Self {
            process,
            habits,
            registered: BTreeMap::new(),
            to_try: BTreeSet::new(),
            to_receive: BTreeSet::new(),
            ended: Vec::new(),
            arrived: BTreeSet::new(),
            woken: false,
            departed: Vec::new(),
            blocks: Vec::new(),
            account: Account::default(),
        }
    }

    pub(super) fn wake(&mut self) {
        self.woken = true;
    }

    /// Whether there is something that a wait would not wait for.
    pub(super) fn is_busy(&self) -> bool {
        !(self.to_try.is_empty()
            && self.to_receive.is_empty()
            && self.ended.is_empty()
            && self.departed.is_empty())
    }

    /// Whether a wait would end at once.
    pub(super) fn is_due(&self) -> bool {
        self.woken || self.is_busy()
    }

    /// What the shard calls `token`.
    fn find(&mut self, token: Token) -> &mut Registered {
        let found = self.registered.get_mut(&token);
        found.unwrap_or_else(|| panic!("an operation on {token:?}, which is not registered"))
    }

    /// What an operation is on, if it is still registered.
    fn on(&mut self, operation: OperationId) -> Option<&mut What> {
        let registered = self.registered.get_mut(&operation.token)?;
        (registered.number == operation.registration).then_some(&mut registered.what)
    }

    /// Whether it is a receive of so many bytes that it has a turn of its own.
    fn is_long(&mut self, operation: OperationId) -> bool {
        match self.on(operation) {
            Some(What::Connection { receive: Some(receive), .. }) if operation.kind == Kind::Receive => {
                receive.at_most > SHORT_RECEIVE_MAX
            }
            _ => false,
        }
    }

    /// Receives and sends that are under way, or have ended and were not taken.
    fn under_way(&self) -> usize {
        let of = |registered: &Registered| match &registered.what {
            What::Connection { receive, send, .. } => {
                usize::from(receive.is_some()) + usize::from(send.is_some())
            }
            What::Listener(_) | What::Connecting { .. } => 0,
        };
        self.registered.values().map(of).sum()
    }
}

impl Registered {
    /// The operation of a kind that is under way and has not ended.
    fn waits_for(&self, kind: Kind) -> bool {
        match (&self.what, kind) {
            (What::Listener(listening), Kind::Accept) => listening.accepted < listening.wanted,
            (What::Connecting { result, told, .. }, Kind::Connect) => result.is_none() && !told,
            (What::Connection { receive, .. }, Kind::Receive) => {
                receive.as_ref().is_some_and(|receive| receive.result.is_none())
            }
            (What::Connection { send, .. }, Kind::Send) => {
                send.as_ref().is_some_and(|send| send.result.is_none())
            }
            _ => false,
        }
    }
}

/// Whether something happens this time that happens once in `times`, or never.
fn happens(random: &mut Random, times: usize) -> bool {
    times > 0 && random.once_in(times)
}
