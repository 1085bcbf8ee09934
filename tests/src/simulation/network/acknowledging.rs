//! What a machine knows of the one at the other end, as the kernel has it: which bytes it has acknowledged, and
//! whether it answers when it is asked. It is asked while something is not acknowledged, and, with TCP's keepalive,
//! now and then while nothing is.
//!
//! A pipe is the sender's buffer and the receiver's in one. Half of it is the receiver's window: what has arrived
//! beyond that still waits in the sender's system, and nobody acknowledges it before the reader has made room. The
//! receiver's machine answers all the same.

use std::io;
use std::time::Duration;

use super::happening::{Happening, News};
use super::{EndId, SECOND, State};

/// A window that has opened by less than this, and by less than half of it, is not told of.
const SEGMENT: usize = 1460;

/// After how long with nothing to send a machine is asked, how often then, and when it is given up.
const IDLE: u64 = 10 * SECOND;
const ASK_EVERY: u64 = 3 * SECOND;
const GIVE_UP: u64 = 19 * SECOND;

/// How often it is asked while something is not acknowledged.
const PROBE_EVERY: u64 = SECOND;

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
}

/// What one end knows of the other machine.
#[derive(Debug, Default)]
pub(super) struct Answers {
    /// Whether account is kept.
    kept: bool,
    /// When something came from it.
    last: u64,
    /// Whether it was asked since.
    asked: bool,
}

impl State {
    /// From here on the system of `end` asks whether the other machine is there.
    pub(in crate::simulation) fn keep_alive(&mut self, end: EndId) {
        let now = self.now;
        let Some(connection) = self.connections.get_mut(&end.connection) else { return };
        let answers = &mut connection.ends[end.side].answers;
        if answers.kept {
            return;
        }
        *answers = Answers { kept: true, last: now, asked: false };
        // What was acknowledged so far was not kept account of.
        let pipe = &mut connection.pipes[end.side];
        let reached = pipe.reached();
        (pipe.acknowledged.told, pipe.acknowledged.known) = (reached, reached);
        self.schedule(now + PROBE_EVERY, Happening::Wonders { end });
    }

    /// For how long nothing has come from the other machine, which owes an answer.
    pub(in crate::simulation) fn unacknowledged_for(&self, end: EndId) -> Option<Duration> {
        let connection = self.connections.get(&end.connection)?;
        let (answers, account) =
            (&connection.ends[end.side].answers, &connection.pipes[end.side].acknowledged);
        let owed = answers.kept && answers.asked && account.known < account.sent;
        owed.then(|| Duration::from_nanos(self.now - answers.last))
    }

    /// When something last came from the other machine, where account is kept of it.
    pub(in crate::simulation) fn answered(&self, end: EndId) -> Option<u64> {
        let answers = &self.connections.get(&end.connection)?.ends[end.side].answers;
        answers.kept.then_some(answers.last)
    }

    /// The other machine may have to be asked.
    pub(super) fn wonder(&mut self, end: EndId) {
        let now = self.now;
        let Some(connection) = self.connections.get_mut(&end.connection) else { return };
        let (this, account) = (&mut connection.ends[end.side], &connection.pipes[end.side].acknowledged);
        if this.gone || this.shut || this.failed.is_some() {
            return;
        }
        let (waits, idle) = (account.known < account.sent, now - this.answers.last);
        let asks =
            if waits { idle >= PROBE_EVERY } else { idle >= IDLE && (idle - IDLE) % ASK_EVERY < SECOND };
        if !waits && idle >= GIVE_UP {
            this.failed = Some(io::ErrorKind::TimedOut);
            self.trace.count("keepalive: no answer");
            return self.report(end, true, true);
        }
        if asks {
            this.answers.asked = true;
            let at = self.after_delay();
            self.schedule(at, News::Asks { from: end });
        }
        self.schedule(now + PROBE_EVERY, Happening::Wonders { end });
    }

    /// The machine at the other end of `from` is asked.
    pub(super) fn be_asked(&mut self, from: EndId) {
        let to = from.peer();
        let Some(connection) = self.connections.get(&from.connection) else { return };
        let end = &connection.ends[to.side];
        if self.dark.contains(&end.host) {
            return;
        }
        if end.gone || end.failed.is_some() {
            return self.send_reset(to);
        }
        if connection.pipes[from.side].arrived.len() > connection.pipes[from.side].window() {
            self.trace.count("a window that is shut");
        }
        let at = self.after_delay();
        self.schedule(at, News::Replies { end: from });
    }

    /// Something has come from the other machine.
    pub(super) fn hear_answer(&mut self, end: EndId) {
        let now = self.now;
        if let Some(connection) = self.connections.get_mut(&end.connection) {
            let answers = &mut connection.ends[end.side].answers;
            (answers.last, answers.asked) = (now, false);
        }
    }

    /// What has arrived of what `from` sent is acknowledged, as far as the window goes.
    pub(super) fn acknowledge(&mut self, from: EndId, after_read: bool) {
        let Some(connection) = self.connections.get_mut(&from.connection) else { return };
        if !connection.ends[from.side].answers.kept {
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
        self.hear_answer(end);
        let Some(connection) = self.connections.get_mut(&end.connection) else { return };
        let account = &mut connection.pipes[end.side].acknowledged;
        account.known = account.known.max(up_to);
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
}

#[cfg(test)]
mod tests {
    use std::io::IoSlice;

    use super::super::{HostId, Network, ProcessId, address_of};
    use super::*;
    use crate::simulation::trace::Trace;

    /// A connection that is made: host 0 has connected to host 1.
    fn connected(seed: u64) -> (Network, EndId, EndId) {
        let network = Network::new(seed, Trace::new(false));
        let mut state = network.lock();
        state.capacity = 20_000;
        state.listen(HostId(1), Some(ProcessId(2)));
        let dialed = state.connect(Some(ProcessId(1)), HostId(0), address_of(HostId(1))).unwrap();
        run_for(&mut state, SECOND);
        let (accepted, _) = state.accept(HostId(1)).unwrap();
        state.keep_alive(dialed);
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

    fn failure(state: &State, end: EndId) -> Option<io::ErrorKind> {
        state.connections[&end.connection].ends[end.side].failed
    }

    fn vanish(state: &mut State) {
        state.dark.push(HostId(1));
        state.kill(ProcessId(2), true);
    }

    #[test]
    fn a_machine_that_is_there_answers_whoever_reads() {
        for seed in 0..20 {
            let (network, dialed, _accepted) = connected(seed);
            let mut state = network.lock();
            run_for(&mut state, 100 * SECOND);
            // Some of it is in the sender's buffer, and the window stays shut.
            assert_eq!(send(&mut state, dialed, 15_000), 15_000);
            for _ in 0..1000 {
                run_for(&mut state, SECOND / 10);
                let silent = state.unacknowledged_for(dialed).unwrap_or_default();
                assert!(silent < Duration::from_secs(2), "{silent:?}");
            }
            assert_eq!(failure(&state, dialed), None);
        }
    }

    #[test]
    fn a_machine_that_vanishes_owes_an_answer_or_is_given_up() {
        for seed in 0..20 {
            let (network, dialed, _) = connected(seed);
            let mut state = network.lock();
            vanish(&mut state);
            send(&mut state, dialed, 100);
            run_for(&mut state, 20 * SECOND);
            let silent = state.unacknowledged_for(dialed).unwrap();
            assert!(silent >= Duration::from_secs(20), "{silent:?}");
            assert_eq!(failure(&state, dialed), None, "the system has more patience");

            let (network, dialed, _) = connected(seed);
            let mut state = network.lock();
            vanish(&mut state);
            run_for(&mut state, 18 * SECOND);
            assert_eq!((state.unacknowledged_for(dialed), failure(&state, dialed)), (None, None));
            run_for(&mut state, 2 * SECOND);
            assert_eq!(failure(&state, dialed), Some(io::ErrorKind::TimedOut));
        }
    }

    #[test]
    fn a_machine_that_knows_nothing_of_it_any_more_resets_it() {
        for seed in 0..20 {
            let (network, dialed, _) = connected(seed);
            let mut state = network.lock();
            vanish(&mut state);
            state.dark.clear();
            run_for(&mut state, 12 * SECOND);
            assert_eq!(failure(&state, dialed), Some(io::ErrorKind::ConnectionReset));
        }
    }
}
