use std::io;
use std::os::fd::RawFd;

use crate::driver::Token;
use crate::sys::ring::{OperationId, Work};

/// What a driver knows of one stream.
pub(super) struct Watched {
    pub(super) token: Token,
    pub(super) reading: Operation,
    pub(super) sending: Operation,
    pub(super) connecting: Operation,
    /// Waits for room to write.
    pub(super) writable: Option<OperationId>,
    /// Whether the last receive has left something in the socket.
    pub(super) more_to_receive: bool,
    /// Whether the network copies what is sent without a copy: then it is better sent as usual.
    pub(super) copies: bool,
    /// Operations that failed in a row for want of memory or by being interrupted.
    pub(super) failures: u32,
}

/// One direction of a stream.
#[derive(Default)]
pub(super) enum Operation {
    #[default]
    None,
    UnderWay(OperationId),
    Ended(Work, io::Result<u32>),
}

impl Watched {
    pub(super) fn new(token: Token) -> Self {
        Self {
            token,
            reading: Operation::None,
            sending: Operation::None,
            connecting: Operation::None,
            writable: None,
            more_to_receive: false,
            copies: false,
            failures: 0,
        }
    }
}

impl Operation {
    pub(super) fn id(&self) -> Option<OperationId> {
        match self {
            Self::UnderWay(id) => Some(*id),
            Self::None | Self::Ended(..) => None,
        }
    }

    /// Whether `id` is the one that was under way, which has ended then.
    pub(super) fn end(&mut self, id: OperationId, work: Work, result: io::Result<u32>) -> bool {
        let mine = self.id() == Some(id);
        if mine {
            *self = Self::Ended(work, result);
        }
        mine
    }
}

/// All streams that are watched, by their descriptors: these are small numbers, and as long as a stream
/// is watched its own is no other's.
#[derive(Default)]
pub(super) struct Streams(Vec<Option<Box<Watched>>>);

impl Streams {
    pub(super) fn get(&mut self, descriptor: RawFd) -> Option<&mut Watched> {
        let index = usize::try_from(descriptor).ok()?;
        self.0.get_mut(index)?.as_deref_mut()
    }

    pub(super) fn insert(&mut self, descriptor: RawFd, watched: Watched) -> Option<Box<Watched>> {
        let index = usize::try_from(descriptor).ok()?;
        if self.0.len() <= index {
            self.0.resize_with(index + 1, || None);
        }
        self.0[index].replace(Box::new(watched))
    }

    pub(super) fn remove(&mut self, descriptor: RawFd) -> Option<Box<Watched>> {
        self.0.get_mut(usize::try_from(descriptor).ok()?)?.take()
    }
}
