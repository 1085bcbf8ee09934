//! What is registered with a driver, until it is not any more.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};

use replink_transport::driver::Token;

use super::{Habits, Listening, Receive, Registered, Table, What};
use crate::simulation::network::{DriverId, EndId, HostId, ProcessId, State, address_of};

impl State {
    /// A new driver of a shard of `process`.
    pub(in crate::simulation) fn add_driver(&mut self, process: ProcessId) -> DriverId {
        let habits = Habits::draw(&mut self.random);
        self.note(format_args!("a driver of process {}: {habits:?}", process.0));
        self.drivers += 1;
        let driver = DriverId(self.drivers);
        self.tables.insert(driver, Table::new(process, habits));
        driver
    }

    /// Everything that a driver has is dropped.
    pub(in crate::simulation) fn remove_driver(&mut self, driver: DriverId) {
        let tokens: Vec<Token> = self.table(driver).registered.keys().copied().collect();
        for token in tokens {
            self.unregister(driver, token);
        }
        let table = self.table(driver);
        table.account.check(0);
        self.tables.remove(&driver);
    }

    pub(in crate::simulation) fn register_listener(
        &mut self,
        driver: DriverId,
        token: Token,
        (host, number): (HostId, u64),
    ) {
        let listening = Listening { host, number, wanted: 0, accepted: 0, results: VecDeque::new() };
        self.enter(driver, token, What::Listener(listening));
        let listener = self.listeners.get_mut(&host).filter(|listener| listener.number == number);
        if let Some(listener) = listener {
            assert!(listener.watched.is_none(), "a listener is registered twice");
            listener.watched = Some((driver, token));
        }
    }

    /// Begins to connect. A host has one address, so it can be bound to no other.
    pub(in crate::simulation) fn register_connect(
        &mut self,
        driver: DriverId,
        token: Token,
        (from, source): (HostId, Option<IpAddr>),
        to: SocketAddr,
    ) -> io::Result<()> {
        if source.is_some_and(|source| source != address_of(from).ip()) {
            return Err(Self::error(io::ErrorKind::AddrNotAvailable));
        }
        let process = self.table(driver).process;
        let end = self.connect(Some(process), from, to)?;
        self.enter(driver, token, What::Connecting { end, result: None, told: false });
        self.watch_end(driver, token, end);
        Ok(())
    }

    pub(in crate::simulation) fn register_connection(
        &mut self,
        driver: DriverId,
        token: Token,
        end: EndId,
    ) -> io::Result<()> {
        if super::happens(&mut self.random, self.weather.turns_down) {
            self.trace.count("registration fails");
            return Err(io::Error::from_raw_os_error(ENOSPC));
        }
        self.enter(driver, token, What::Connection { end, receive: None, send: None });
        self.watch_end(driver, token, end);
        Ok(())
    }

    fn enter(&mut self, driver: DriverId, token: Token, what: What) {
        self.registrations += 1;
        let number = self.registrations;
        let before = self.table(driver).registered.insert(token, Registered { number, what });
        assert!(before.is_none(), "{token:?} is registered twice");
    }

    fn watch_end(&mut self, driver: DriverId, token: Token, end: EndId) {
        let process = self.table(driver).process;
        self.tokens.insert((process, token), end);
        let Some(connection) = self.connections.get_mut(&end.connection) else { return };
        let watched = connection.ends[end.side].watched.replace((driver, token));
        assert!(watched.is_none(), "{end:?} is registered twice, the first time as {watched:?}");
    }

    /// These were dropped.
    pub(in crate::simulation) fn depart(&mut self, driver: DriverId, tokens: Vec<Token>) {
        self.table(driver).departed.extend(tokens);
    }

    pub(in crate::simulation) fn unregister_departed(&mut self, driver: DriverId) {
        for token in std::mem::take(&mut self.table(driver).departed) {
            self.unregister(driver, token);
        }
    }

    pub(in crate::simulation) fn is_busy(&mut self, driver: DriverId) -> bool {
        self.table(driver).is_busy()
    }

    /// What was registered as `token` is not any more: nobody gets what is under way for it.
    pub(in crate::simulation) fn unregister(&mut self, driver: DriverId, token: Token) {
        let Some(what) = self.leave(driver, token) else { return };
        match what {
            What::Listener(listening) => {
                for (end, _) in listening.results.into_iter().flatten() {
                    self.trace.count("accepted and not taken");
                    self.close(end);
                }
            }
            What::Connecting { end, .. } => self.close(end),
            What::Connection { end, receive, send } => {
                if receive.is_some() || send.is_some() {
                    self.trace.count("dropped with operations under way");
                }
                let table = self.table(driver);
                table.account.dropped += u64::from(receive.is_some()) + u64::from(send.is_some());
                if let Some(Receive { memory: Some(memory), provided, .. }) = receive {
                    self.keep_block(driver, memory, provided);
                }
                self.close_if_dropped(end);
            }
        }
    }

    /// Strikes `token` off all lists.
    pub(super) fn leave(&mut self, driver: DriverId, token: Token) -> Option<What> {
        let table = self.table(driver);
        let registered = table.registered.remove(&token)?;
        table.to_try.retain(|operation| operation.token != token);
        table.to_receive.retain(|operation| operation.token != token);
        table.ended.retain(|operation| operation.token != token);
        table.arrived.remove(&token);
        match &registered.what {
            What::Listener(listening) => {
                let watched = Some((driver, token));
                let listener = self.listeners.get_mut(&listening.host);
                if let Some(listener) = listener.filter(|listener| listener.watched == watched) {
                    listener.watched = None;
                }
            }
            What::Connecting { end, .. } | What::Connection { end, .. } => {
                if let Some(connection) = self.connections.get_mut(&end.connection) {
                    connection.ends[end.side].watched = None;
                }
            }
        }
        Some(registered.what)
    }

    /// A socket was dropped. The system closes it when no driver has it either.
    pub(in crate::simulation) fn drop_socket(&mut self, end: EndId) {
        let Some(connection) = self.connections.get_mut(&end.connection) else { return };
        let this = &mut connection.ends[end.side];
        this.dropped = true;
        if this.watched.is_none() {
            self.close(end);
        }
    }

    pub(super) fn close_if_dropped(&mut self, end: EndId) {
        let connection = self.connections.get(&end.connection);
        if connection.is_some_and(|connection| connection.ends[end.side].dropped) {
            self.close(end);
        }
    }

    pub(super) fn table(&mut self, driver: DriverId) -> &mut Table {
        self.tables.get_mut(&driver).expect("a driver that is there")
    }
}

/// What `epoll_ctl` says when too much is watched; an error of the system's.
const ENOSPC: i32 = 28;
