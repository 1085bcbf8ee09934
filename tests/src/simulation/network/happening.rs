//! What comes to pass at some time.

use super::operations::OperationId;
use super::{DriverId, EndId, RESEND, State};

/// What comes to pass at some time.
#[derive(Clone, Copy, Debug)]
pub(super) enum Happening {
    /// Something gets to where it is on its way to, if the weather lets it through.
    Comes(News),
    /// This end may have to ask whether the other machine is there.
    Wonders { end: EndId },
    /// An operation that has become possible is carried out.
    CarriesOut(OperationId),
    /// A driver learns that an operation has ended.
    IsTold(OperationId),
    /// The wait of a driver ends, for no reason.
    Wakes(DriverId),
}

/// What is on its way.
#[derive(Clone, Copy, Debug)]
pub(super) enum News {
    /// What `from` sent gets to the other end.
    Arrives { from: EndId },
    /// The sender learns that there is room.
    HasRoom { end: EndId },
    /// The attempt to connect gets to the listener.
    Knocks { connection: u64 },
    /// The one who connects gets the answer.
    Answered { connection: u64, refused: bool },
    /// The other end of `from` learns of its reset.
    Resets { from: EndId },
    /// The sender learns what has got to the other end.
    Acknowledges { end: EndId, up_to: u64 },
    /// The machine at the other end of `from` is asked whether it is there.
    Asks { from: EndId },
    /// The one who asked learns that it is.
    Replies { end: EndId },
}

impl From<News> for Happening {
    fn from(news: News) -> Self {
        Self::Comes(news)
    }
}

impl State {
    pub(super) fn schedule(&mut self, at: u64, happening: impl Into<Happening>) {
        self.happenings += 1;
        self.timeline.insert((at, self.happenings), happening.into());
    }

    pub(super) fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Comes(news) => self.come(news),
            Happening::Wonders { end } => self.wonder(end),
            Happening::CarriesOut(operation) => self.carry_out(operation),
            Happening::IsTold(operation) => self.tell(operation),
            Happening::Wakes(driver) => self.wake(driver),
        }
    }

    fn come(&mut self, news: News) {
        let (connection, sender) = match news {
            News::Arrives { from } | News::Resets { from } | News::Asks { from } => {
                (from.connection, from.side)
            }
            // News of what the peer has read, and answers, come from there.
            News::HasRoom { end } | News::Acknowledges { end, .. } | News::Replies { end } => {
                (end.connection, 1 - end.side)
            }
            News::Knocks { connection } => (connection, 0),
            News::Answered { connection, .. } => (connection, 1),
        };
        let Some(known) = self.connections.get(&connection) else { return };
        let (from, to) = (known.ends[sender].host, known.ends[1 - sender].host);
        if !self.weather.passes(from, to) {
            let again = self.now + RESEND;
            return self.schedule(again, news);
        }
        match news {
            News::Arrives { from } => self.arrive(from),
            News::HasRoom { end } => self.report(end, false, true),
            News::Knocks { connection } => self.knock(connection),
            News::Answered { connection, refused } => self.answer(connection, refused),
            News::Resets { from } => self.suffer_reset(from.peer()),
            News::Acknowledges { end, up_to } => self.hear_acknowledgement(end, up_to),
            News::Asks { from } => self.be_asked(from),
            News::Replies { end } => self.hear_answer(end),
        }
    }
}
