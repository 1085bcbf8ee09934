//! Operations have ended, and are taken.

use std::io;
use std::net::SocketAddr;

use replink_transport::driver::{Completion, Token};
use replink_transport::memory::ReceiveMemory;

use super::account::hash;
use super::{Kind, OperationId, What, happens};
use crate::simulation::network::happening::Happening;
use crate::simulation::network::{DriverId, EndId, State};

/// A socket before it is made: which end it is, and where its peer is.
pub(in crate::simulation) type Found = (EndId, SocketAddr);

impl State {
    /// An operation was carried out. Its driver is told, now or later.
    pub(super) fn has_ended(&mut self, operation: OperationId) {
        if happens(&mut self.random, self.weather.lateness.0) {
            self.trace.count("completion comes late");
            let at = self.after_lateness();
            self.schedule(at, Happening::IsTold(operation));
        } else {
            self.tell(operation);
        }
    }

    pub(in crate::simulation::network) fn tell(&mut self, operation: OperationId) {
        let Some(table) = self.tables.get_mut(&operation.driver) else { return };
        if table.on(operation).is_none() {
            return;
        }
        table.ended.push(operation);
        if operation.kind == Kind::Receive {
            table.arrived.insert(operation.token);
        }
    }

    /// One wait of a driver, which takes no time: it adds to `arrived` where something has come.
    pub(in crate::simulation) fn wait(&mut self, driver: DriverId, arrived: &mut Vec<Token>) {
        let table = self.table(driver);
        table.woken = false;
        let mut to_try: Vec<_> = std::mem::take(&mut table.to_try).into_iter().collect();
        while !to_try.is_empty() {
            let which = self.random.below(to_try.len());
            self.carry_out(to_try.swap_remove(which));
        }
        if happens(&mut self.random, WAKES_FOR_NOTHING) {
            self.trace.count("woken for nothing");
            let at = self.after_lateness();
            self.schedule(at, Happening::Wakes(driver));
        }
        let under_way = self.table(driver).under_way();
        let table = self.table(driver);
        table.account.check(under_way);
        arrived.extend(std::mem::take(&mut table.arrived));
        let ended = table.ended.len() as u64;
        self.trace.mix(ended);
    }

    /// The next that has ended, in any order, but for what has come by a long receive.
    pub(in crate::simulation) fn next_completion(&mut self, driver: DriverId) -> Option<Completion<Found>> {
        self.next_ended(driver, false)
    }

    /// The next that has come by a long receive.
    pub(in crate::simulation) fn next_received(&mut self, driver: DriverId) -> Option<Completion<Found>> {
        loop {
            if let Some(completion) = self.next_ended(driver, true) {
                return Some(completion);
            }
            let waiting: Vec<_> = self.table(driver).to_receive.iter().copied().collect();
            if waiting.is_empty() {
                return None;
            }
            self.trace.count("received when asked");
            let which = self.random.below(waiting.len());
            self.carry_out(waiting[which]);
        }
    }

    fn next_ended(&mut self, driver: DriverId, long: bool) -> Option<Completion<Found>> {
        let table = self.table(driver);
        let (ended, pauses) = (table.ended.clone(), table.habits.pauses);
        let ended: Vec<_> = ended.into_iter().filter(|&operation| table.is_long(operation) == long).collect();
        if ended.is_empty() || happens(&mut self.random, pauses) {
            return None;
        }
        let which = self.random.below(ended.len());
        if which > 0 {
            self.trace.count("completion out of order");
        }
        let operation = ended[which];
        let table = self.table(driver);
        let place = table.ended.iter().position(|&other| other == operation);
        place.map(|place| table.ended.remove(place));
        self.trace.mix(operation.token.0 << 8 | operation.kind as u64);
        Some(self.take(operation))
    }

    fn take(&mut self, operation: OperationId) -> Completion<Found> {
        let (driver, token) = (operation.driver, operation.token);
        let table = self.table(driver);
        let process = table.process;
        let on = table.on(operation).expect("what is told of is registered");
        match (operation.kind, on) {
            (Kind::Accept, What::Listener(listening)) => {
                let result = listening.results.pop_front().expect("one for each that is told of");
                let result = result.map(|(end, peer)| ((end, peer), peer));
                if result.is_ok() {
                    self.count_socket(process);
                }
                Completion::Accepted { token, result }
            }
            (Kind::Connect, What::Connecting { end, result, told }) => {
                let (end, result) = (*end, result.take().expect("a result that was not taken"));
                *told = true;
                Completion::Connected { token, result: self.make_connection(operation, end, result) }
            }
            (Kind::Receive, What::Connection { receive, .. }) => {
                let receive = receive.take().expect("a receive that was not taken");
                table.account.taken += 1;
                table.arrived.remove(&token);
                let result = receive.result.expect("a receive that has ended");
                let memory = match receive.memory {
                    Some(memory) => memory,
                    None => self.memory_for_nothing(driver),
                };
                if receive.provided {
                    self.give_block(process, &memory);
                }
                Completion::Received { token, memory, result }
            }
            (Kind::Send, What::Connection { send, .. }) => {
                let send = send.take().expect("a send that was not taken");
                table.account.taken += 1;
                assert_eq!(hash(&send.batch), send.hash, "the batch of {token:?} was changed under way");
                let result = send.result.expect("a send that has ended");
                assert!(!matches!(result, Ok(0)), "a send of nothing has ended");
                Completion::Sent { token, batch: send.batch, result }
            }
            (kind, what) => panic!("{kind:?} on {what:?}"),
        }
    }

    fn make_connection(
        &mut self,
        operation: OperationId,
        end: EndId,
        result: io::Result<()>,
    ) -> io::Result<Found> {
        result?;
        let process = self.table(operation.driver).process;
        if let Some(what) = self.table(operation.driver).on(operation) {
            *what = What::Connection { end, receive: None, send: None };
        }
        self.count_socket(process);
        Ok((end, self.address_at(end.peer())))
    }

    /// What comes with the end of a stream, where nothing was received: a driver may have a block for it or not.
    fn memory_for_nothing(&mut self, driver: DriverId) -> ReceiveMemory {
        if self.random.once_in(2) {
            return ReceiveMemory::with_len(0);
        }
        self.table(driver).blocks.pop().unwrap_or_default().into()
    }
}

/// One in so many waits is followed by one that ends for no reason.
const WAKES_FOR_NOTHING: usize = 40;
