//! What is registered goes elsewhere, with what was under way for it.

use replink_transport::driver::{Released, Token};

use super::account::hash;
use super::{Receive, Send, What};
use crate::simulation::network::{DriverId, EndId, State};

impl State {
    /// Ends what is under way for `token`, and unregisters it.
    pub(in crate::simulation) fn release(&mut self, driver: DriverId, token: Token) -> Released {
        self.table(driver).find(token);
        let is_connection = matches!(self.table(driver).find(token).what, What::Connection { .. });
        if !is_connection {
            // Nothing is there yet that could go elsewhere.
            self.unregister(driver, token);
            return Released::default();
        }
        let Some(What::Connection { end, receive, send }) = self.leave(driver, token) else {
            return Released::default();
        };
        if receive.is_some() || send.is_some() {
            self.trace.count("released with operations under way");
        }
        self.table(driver).account.released += u64::from(receive.is_some()) + u64::from(send.is_some());
        let received = receive.map(|receive| self.end_receive(driver, end, receive));
        let sent = send.map(|send| self.end_send(token, end, send));
        self.close_if_dropped(end);
        let received = received.and_then(|receive| {
            let len = receive.result.and_then(Result::ok).unwrap_or(0);
            if receive.provided {
                let process = self.table(driver).process;
                receive.memory.iter().for_each(|memory| self.give_block(process, memory));
            }
            if len > 0 {
                self.trace.count("released with bytes that had come");
            }
            receive.memory.map(|memory| (memory, len))
        });
        Released { received, sent }
    }

    /// A receive that is to end may still get something.
    fn end_receive(&mut self, driver: DriverId, end: EndId, mut receive: Receive) -> Receive {
        if receive.result.is_none() && self.random.once_in(2) {
            receive.result = self.try_receive(driver, end, &mut receive);
        }
        receive
    }

    /// A send that is to end may still get something out.
    fn end_send(&mut self, token: Token, end: EndId, mut send: Send) -> SentSoFar {
        if send.result.is_none() && self.random.once_in(2) {
            send.result = self.try_send(end, &send);
        }
        assert_eq!(hash(&send.batch), send.hash, "the batch of {token:?} was changed under way");
        (send.batch, send.result.unwrap_or(Ok(0)))
    }
}

type SentSoFar = (replink_transport::memory::SendBatch, std::io::Result<usize>);
