//! `TCP_USER_TIMEOUT`, as the kernel has it: a connection ends when nothing of what was sent is acknowledged for so
//! long, be it that the peer is gone or that its window stays shut.
//!
//! A pipe is the sender's buffer and the receiver's in one. Half of it is the receiver's window: what has arrived
//! beyond that still waits in the sender's system, and nobody acknowledges it before the reader has made room.

use std::io;
use std::time::Duration;

use super::happening::{Happening, News};
use super::{EndId, State};

/// A window that has opened by less than this, and by less than half of it, is not told of.
const SEGMENT: usize = 1460;

/// What of the bytes of one direction has got to the other end, as both ends know it.
#[derive(Debug, Default)]
pub(super) struct Acknowledged {
    /// Bytes that the sender's system has taken.
    pub(super) sent: u64,
    /// Bytes that the reader has taken.
    pub(super) read: u64,
    /// Bytes that the receiver's system has acknowledged.
    told: u64,
    /// Bytes of which the sender's system knows that.
    known: u64,
    /// When that was last more than before, or the first byte came to wait for it.
    progress: u64,
}

/// The timeout of one end.
#[derive(Debug, Default)]
pub(super) struct UserTimeout {
    nanos: Option<u64>,
    /// Whether a look at it is scheduled.
    armed: bool,
}

impl State {
    /// From here on `end` gives up when nothing is acknowledged for `timeout`. Does nothing where the system of this
    /// run has no such option.
    pub(in crate::simulation) fn set_user_timeout(&mut self, end: EndId, timeout: Duration) {
        if !self.user_timeouts {
            return;
        }
        let now = self.now;
        let Some(connection) = self.connections.get_mut(&end.connection) else { return };
        let nanos = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
        connection.ends[end.side].user_timeout.nanos = Some(nanos);
        // What was acknowledged so far was not kept account of.
        let pipe = &mut connection.pipes[end.side];
        let reached = pipe.reached();
        let account = &mut pipe.acknowledged;
        (account.told, account.known, account.progress) = (reached, reached, now);
        self.arm_user_timeout(end);
    }

    /// `end` has sent something more: `before` is how much it had sent until then.
    pub(super) fn wait_for_acknowledgement(&mut self, end: EndId, before: u64) {
        let now = self.now;
        let Some(connection) = self.connections.get_mut(&end.connection) else { return };
        let account = &mut connection.pipes[end.side].acknowledged;
        if account.known == before {
            account.progress = now;
        }
        self.arm_user_timeout(end);
    }

    fn arm_user_timeout(&mut self, end: EndId) {
        let Some(connection) = self.connections.get_mut(&end.connection) else { return };
        let account = &connection.pipes[end.side].acknowledged;
        let (waits, progress) = (account.known < account.sent, account.progress);
        let timeout = &mut connection.ends[end.side].user_timeout;
        let Some(nanos) = timeout.nanos.filter(|_| waits && !timeout.armed) else { return };
        timeout.armed = true;
        self.schedule(progress.saturating_add(nanos), Happening::LosesPatience { end });
    }

    /// What has arrived of what `from` sent is acknowledged, as far as the window goes.
    pub(super) fn acknowledge(&mut self, from: EndId, after_read: bool) {
        let Some(connection) = self.connections.get_mut(&from.connection) else { return };
        if connection.ends[from.side].user_timeout.nanos.is_none() {
            return;
        }
        let pipe = &mut connection.pipes[from.side];
        let (reached, least) = (pipe.reached(), SEGMENT.min(pipe.window() / 2) as u64);
        let more = reached.saturating_sub(pipe.acknowledged.told);
        let is_shut = pipe.arrived.len() > pipe.window();
        if more == 0 || (after_read && is_shut && more < least) {
            return;
        }
        pipe.acknowledged.told = reached;
        let at = self.after_delay();
        self.schedule(at, News::Acknowledges { end: from, up_to: reached });
    }

    /// The sender learns what has got to the other end.
    pub(super) fn hear_acknowledgement(&mut self, end: EndId, up_to: u64) {
        let now = self.now;
        let Some(connection) = self.connections.get_mut(&end.connection) else { return };
        let account = &mut connection.pipes[end.side].acknowledged;
        if up_to > account.known {
            (account.known, account.progress) = (up_to, now);
        }
    }

    /// The timeout of `end` may be over.
    pub(super) fn lose_patience(&mut self, end: EndId) {
        let now = self.now;
        let Some(connection) = self.connections.get_mut(&end.connection) else { return };
        let (this, pipe) = (&mut connection.ends[end.side], &mut connection.pipes[end.side]);
        this.user_timeout.armed = false;
        let Some(nanos) = this.user_timeout.nanos else { return };
        let account = &pipe.acknowledged;
        let is_over = this.gone || this.shut || this.failed.is_some();
        if is_over || account.known == account.sent {
            return;
        }
        if now < account.progress.saturating_add(nanos) {
            return self.arm_user_timeout(end);
        }
        this.failed = Some(io::ErrorKind::TimedOut);
        let is_shut = pipe.arrived.len() > pipe.window();
        // What was not acknowledged is dropped; the peer is not told.
        pipe.drop_unacknowledged();
        let why = if is_shut { "user timeout: the peer does not read" } else { "user timeout: no answer" };
        self.trace.count(why);
        self.note(format_args!("{end:?}: {why} for {nanos} ns"));
        self.report(end, true, true);
    }
}

impl super::pipe::Pipe {
    /// Bytes that the receiver's buffer holds.
    pub(super) fn window(&self) -> usize {
        (self.capacity / 2).max(1)
    }

    /// Up to where bytes have got into the receiver's buffer.
    fn reached(&self) -> u64 {
        self.acknowledged.read + self.arrived.len().min(self.window()) as u64
    }

    fn drop_unacknowledged(&mut self) {
        self.in_flight.clear();
        self.flying = 0;
        self.ended = true;
        self.arrived.truncate(self.window());
    }
}

#[cfg(test)]
mod tests {
    use std::io::IoSlice;

    use super::super::{HostId, MILLISECOND, Network, ProcessId, SECOND, address_of};
    use super::*;
    use crate::simulation::trace::Trace;

    const TIMEOUT: u64 = 2 * SECOND;

    /// A connection that is made: host 0 has connected to host 1.
    fn connected(seed: u64, has_option: bool) -> (Network, EndId, EndId) {
        let network = Network::new(seed, Trace::new(false));
        let mut state = network.lock();
        state.user_timeouts = has_option;
        state.capacity = 20_000;
        state.listen(HostId(1), Some(ProcessId(2)));
        let dialed = state.connect(Some(ProcessId(1)), HostId(0), address_of(HostId(1))).unwrap();
        run_for(&mut state, SECOND);
        let (accepted, _) = state.accept(HostId(1)).unwrap();
        state.set_user_timeout(dialed, Duration::from_nanos(TIMEOUT));
        drop(state);
        (network, dialed, accepted)
    }

    fn run_for(state: &mut State, nanos: u64) {
        let until = state.now() + nanos;
        state.advance_to(until);
    }

    /// Sends so many bytes, or as many as there is room for.
    fn send(state: &mut State, end: EndId, mut len: usize) -> usize {
        let mut sent = 0;
        while len > 0 {
            match state.write(end, &[IoSlice::new(&vec![7; len])]) {
                Ok(taken) => (sent, len) = (sent + taken, len - taken),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        sent
    }

    fn receive(state: &mut State, end: EndId, mut len: usize) -> usize {
        let mut received = 0;
        while let Ok(some @ 1..) = state.readable(end, len) {
            received += state.read(end, some, <[u8]>::len);
            len -= some;
        }
        received
    }

    fn failure(state: &State, end: EndId) -> Option<io::ErrorKind> {
        state.connections[&end.connection].ends[end.side].failed
    }

    #[test]
    fn what_is_acknowledged_or_never_sent_ends_nothing() {
        for seed in 0..20 {
            let (network, dialed, accepted) = connected(seed, true);
            let mut state = network.lock();
            run_for(&mut state, 10 * SECOND);
            // Nobody reads, but all of it is in the receiver's buffer.
            assert_eq!(send(&mut state, dialed, 9_000), 9_000);
            run_for(&mut state, 10 * SECOND);
            assert_eq!(failure(&state, dialed), None);
            assert_eq!(receive(&mut state, accepted, 10_000), 9_000);
        }
    }

    #[test]
    fn a_peer_that_is_cut_off_times_the_connection_out_and_is_not_told() {
        for seed in 0..20 {
            let (network, dialed, accepted) = connected(seed, true);
            let mut state = network.lock();
            // Bytes get there; what acknowledges them does not get back.
            state.weather.blocked.insert((HostId(1), HostId(0)));
            send(&mut state, dialed, 100);
            let rest = TIMEOUT - MILLISECOND;
            run_for(&mut state, rest);
            assert_eq!(failure(&state, dialed), None);
            run_for(&mut state, 2 * MILLISECOND);
            assert_eq!(failure(&state, dialed), Some(io::ErrorKind::TimedOut));
            let error = state.readable(dialed, 10).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            assert_eq!(receive(&mut state, accepted, 100), 100);
            assert_eq!(failure(&state, accepted), None);
            // The other end learns of it when it sends something.
            state.weather.blocked.clear();
            send(&mut state, accepted, 10);
            run_for(&mut state, SECOND);
            assert_eq!(failure(&state, accepted), Some(io::ErrorKind::ConnectionReset));
        }
    }

    #[test]
    fn a_window_that_stays_shut_times_the_connection_out() {
        for seed in 0..20 {
            let (network, dialed, accepted) = connected(seed, true);
            let mut state = network.lock();
            assert_eq!(send(&mut state, dialed, 15_000), 15_000);
            run_for(&mut state, 3 * SECOND);
            assert_eq!(failure(&state, dialed), Some(io::ErrorKind::TimedOut));
            // What was in the receiver's buffer is there, what waited for room in it is lost.
            assert_eq!(receive(&mut state, accepted, 20_000), 10_000);
        }
    }

    #[test]
    fn a_reader_that_makes_room_in_time_keeps_the_connection() {
        for seed in 0..20 {
            let (network, dialed, accepted) = connected(seed, true);
            let mut state = network.lock();
            for _ in 0..20 {
                send(&mut state, dialed, 20_000);
                run_for(&mut state, 3 * SECOND / 2);
                assert!(receive(&mut state, accepted, 3_000) > 0);
                run_for(&mut state, SECOND / 10);
            }
            assert_eq!(failure(&state, dialed), None);
        }
    }

    #[test]
    fn without_the_option_nothing_times_out() {
        let (network, dialed, _) = connected(1, false);
        let mut state = network.lock();
        state.weather.blocked.insert((HostId(0), HostId(1)));
        send(&mut state, dialed, 20_000);
        run_for(&mut state, 1_000 * SECOND);
        assert_eq!(failure(&state, dialed), None);
    }
}
