//! Operations are begun, and carried out once that is possible.

use std::io::{self, IoSlice};

use replink_transport::driver::Token;
use replink_transport::memory::{BLOCK_SIZE, ReceiveMemory, SendBatch};

use super::account::hash;
use super::{Kind, OperationId, Receive, Send, What, happens};
use crate::simulation::network::happening::Happening;
use crate::simulation::network::{DriverId, EndId, State};

impl State {
    /// From here on at most `at_most` connections are accepted.
    pub(in crate::simulation) fn begin_accept(&mut self, driver: DriverId, token: Token, at_most: usize) {
        let What::Listener(listening) = &mut self.table(driver).find(token).what else {
            panic!("accept on {token:?}, which is no listener");
        };
        let goes_on = listening.accepted < listening.wanted;
        (listening.wanted, listening.accepted) = (at_most, 0);
        // One that is under way only learns of its new bound.
        if at_most > 0 && !goes_on {
            self.begin(driver, token, Kind::Accept);
        }
    }

    pub(in crate::simulation) fn begin_receive(
        &mut self,
        driver: DriverId,
        token: Token,
        memory: Option<ReceiveMemory>,
        at_most: usize,
    ) {
        assert!(at_most > 0, "a receive of nothing on {token:?}");
        assert!(
            memory.as_ref().is_none_or(|memory| memory.room() > 0),
            "a receive into no room on {token:?}"
        );
        let table = self.table(driver);
        let What::Connection { receive, .. } = &mut table.find(token).what else {
            panic!("a receive on {token:?}, which is no connection");
        };
        assert!(receive.is_none(), "a second receive is begun on {token:?}");
        let provided = memory.is_none();
        *receive = Some(Receive { memory, provided, at_most, result: None });
        table.account.begun += 1;
        self.begin(driver, token, Kind::Receive);
    }

    pub(in crate::simulation) fn begin_send(&mut self, driver: DriverId, token: Token, batch: SendBatch) {
        assert!(batch.iter().next().is_some() && !batch.is_empty(), "a send of nothing on {token:?}");
        let table = self.table(driver);
        let What::Connection { send, .. } = &mut table.find(token).what else {
            panic!("a send on {token:?}, which is no connection");
        };
        assert!(send.is_none(), "a second send is begun on {token:?}");
        let hash = hash(&batch);
        *send = Some(Send { batch, hash, result: None });
        table.account.begun += 1;
        self.begin(driver, token, Kind::Send);
    }

    fn begin(&mut self, driver: DriverId, token: Token, kind: Kind) {
        let times = self.table(driver).habits.tries_at_once;
        let Some(operation) = self.waiting(driver, token, kind) else { return };
        if self.is_left_until_asked(operation) {
            // Perhaps nothing is there; that shows when somebody asks.
        } else if happens(&mut self.random, times) {
            self.carry_out(operation);
        } else {
            self.table(driver).to_try.insert(operation);
        }
    }

    /// Whether a send is under way for this end.
    pub(in crate::simulation::network) fn is_sending(&self, end: EndId) -> bool {
        let watched = self.connections.get(&end.connection).and_then(|found| found.ends[end.side].watched);
        let on = watched.and_then(|(driver, token)| self.tables.get(&driver)?.registered.get(&token));
        on.is_some_and(|on| matches!(&on.what, What::Connection { send: Some(_), .. }))
    }

    fn waiting(&mut self, driver: DriverId, token: Token, kind: Kind) -> Option<OperationId> {
        let registered = self.tables.get(&driver)?.registered.get(&token)?;
        let registration = registered.number;
        registered.waits_for(kind).then_some(OperationId { driver, token, registration, kind })
    }

    /// What `token` names has become ready for something.
    pub(in crate::simulation::network) fn becomes_ready(
        &mut self,
        driver: DriverId,
        token: Token,
        readable: bool,
        writable: bool,
    ) {
        let table = self.table(driver);
        let on = table.registered.get(&token).map(|registered| &registered.what);
        if let Some(What::Connection { receive, .. }) = on
            && readable
            && (receive.is_some() || table.habits.sees_unread)
        {
            table.arrived.insert(token);
        }
        let kinds = [
            (Kind::Accept, readable),
            (Kind::Connect, true),
            (Kind::Receive, readable),
            (Kind::Send, writable),
        ];
        for (kind, _) in kinds.into_iter().filter(|&(_, ready)| ready) {
            if let Some(operation) = self.waiting(driver, token, kind) {
                self.becomes_possible(operation);
            }
        }
    }

    fn becomes_possible(&mut self, operation: OperationId) {
        let times = self.table(operation.driver).habits.carried_out_alone;
        if self.is_left_until_asked(operation) {
            return;
        }
        if !happens(&mut self.random, times) {
            self.table(operation.driver).to_try.insert(operation);
        } else if happens(&mut self.random, self.weather.lateness.0) {
            self.trace.count("operation carried out late");
            let at = self.after_lateness();
            self.schedule(at, Happening::CarriesOut(operation));
        } else {
            self.carry_out(operation);
        }
    }

    /// Whether a receive waits until somebody asks for what has come.
    fn is_left_until_asked(&mut self, operation: OperationId) -> bool {
        let table = self.table(operation.driver);
        let times = if table.is_long(operation) { table.habits.receives_when_asked } else { 0 };
        let is_left = happens(&mut self.random, times);
        if is_left {
            self.table(operation.driver).to_receive.insert(operation);
        }
        is_left
    }

    pub(super) fn after_lateness(&mut self) -> u64 {
        self.now + 1 + self.random.below(self.weather.lateness.1) as u64
    }

    /// Carries an operation out if it is still to be and that is possible.
    pub(in crate::simulation::network) fn carry_out(&mut self, operation: OperationId) {
        if self.waiting(operation.driver, operation.token, operation.kind) != Some(operation) {
            return;
        }
        let table = self.table(operation.driver);
        table.to_try.remove(&operation);
        table.to_receive.remove(&operation);
        match operation.kind {
            Kind::Accept => self.carry_out_accept(operation),
            Kind::Connect => self.carry_out_connect(operation),
            Kind::Receive => self.carry_out_receive(operation),
            Kind::Send => self.carry_out_send(operation),
        }
    }

    fn carry_out_accept(&mut self, operation: OperationId) {
        let Some(What::Listener(listening)) = self.table(operation.driver).on(operation) else { return };
        let (host, number, room) = (listening.host, listening.number, listening.wanted - listening.accepted);
        if self.listeners.get(&host).is_none_or(|listener| listener.number != number) {
            return;
        }
        let most = self.random.between(1, room.min(ACCEPTS_AT_ONCE));
        for _ in 0..most {
            let result = self.accept(host);
            if result.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
                return;
            }
            let Some(What::Listener(listening)) = self.table(operation.driver).on(operation) else { return };
            listening.results.push_back(result);
            listening.accepted += 1;
            assert!(listening.accepted <= listening.wanted, "more was accepted than there is room for");
            self.has_ended(operation);
        }
        if room > most {
            self.becomes_possible(operation);
        } else if self.listeners.get(&host).is_some_and(|listener| !listener.backlog.is_empty()) {
            self.trace.count("accept: no room, some wait");
        }
    }

    fn carry_out_connect(&mut self, operation: OperationId) {
        let Some(&mut What::Connecting { end, .. }) = self.table(operation.driver).on(operation) else {
            return;
        };
        let outcome = self.connected(end);
        if outcome.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
            return;
        }
        if let Some(What::Connecting { result, .. }) = self.table(operation.driver).on(operation) {
            *result = Some(outcome);
        }
        self.has_ended(operation);
    }

    fn carry_out_receive(&mut self, operation: OperationId) {
        let table = self.table(operation.driver);
        let Some(What::Connection { end, receive, .. }) = table.on(operation) else { return };
        let (end, Some(mut receive)) = (*end, receive.take()) else { return };
        receive.result = self.try_receive(operation.driver, end, &mut receive);
        let has_ended = receive.result.is_some();
        let back = Some(receive);
        if let Some(What::Connection { receive, .. }) = self.table(operation.driver).on(operation) {
            *receive = back;
        }
        if has_ended {
            self.has_ended(operation);
        }
    }

    pub(super) fn try_receive(
        &mut self,
        driver: DriverId,
        end: EndId,
        receive: &mut Receive,
    ) -> Option<io::Result<usize>> {
        let room = receive.memory.as_ref().map_or(BLOCK_SIZE, ReceiveMemory::room);
        let len = match self.readable(end, room.min(receive.at_most)) {
            Ok(0) => return Some(Ok(0)),
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
            Err(error) => return Some(Err(error)),
        };
        let table = self.table(driver);
        let memory = receive.memory.get_or_insert_with(|| table.blocks.pop().unwrap_or_default().into());
        self.read(end, len, |bytes| {
            let [first, second] = memory.slices();
            let (head, tail) = bytes.split_at(bytes.len().min(first.len()));
            first[..head.len()].copy_from_slice(head);
            second[..tail.len()].copy_from_slice(tail);
            len
        });
        if len < room {
            self.trace.count("received less than there was room for");
        }
        Some(Ok(len))
    }

    fn carry_out_send(&mut self, operation: OperationId) {
        let table = self.table(operation.driver);
        let Some(What::Connection { end, send, .. }) = table.on(operation) else { return };
        let (end, Some(mut send)) = (*end, send.take()) else { return };
        send.result = self.try_send(end, &send);
        let has_ended = send.result.is_some();
        let back = Some(send);
        if let Some(What::Connection { send, .. }) = self.table(operation.driver).on(operation) {
            *send = back;
        }
        if has_ended {
            self.has_ended(operation);
        }
    }

    pub(super) fn try_send(&mut self, end: EndId, send: &Send) -> Option<io::Result<usize>> {
        let slices: Vec<IoSlice<'_>> = send.batch.iter().map(IoSlice::new).collect();
        match self.write(end, &slices) {
            Ok(taken) => {
                if taken < send.batch.len() {
                    self.trace.count("batch taken in part");
                }
                Some(Ok(taken))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            Err(error) => Some(Err(error)),
        }
    }
}

/// Connections that are accepted at once, before others have their turn.
const ACCEPTS_AT_ONCE: usize = 8;
