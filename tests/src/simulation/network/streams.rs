//! What can be done with a connection that is made.

use std::io::{self, IoSlice};

use super::connection::Progress;
use super::happening::News;
use super::pipe::Item;
use super::{EndId, ProcessId, State};

impl State {
    /// Writes what there is room for, as any thread may.
    pub(in crate::simulation) fn write_directly(
        &mut self,
        end: EndId,
        slices: &[IoSlice<'_>],
    ) -> io::Result<usize> {
        assert!(!self.is_sending(end), "{end:?} is written to while a send is under way, which may go on");
        if self.random.once_in(50) {
            self.trace.count("write is interrupted");
            return Err(Self::error(io::ErrorKind::Interrupted));
        }
        self.write(end, slices)
    }

    /// Writes what there is room for.
    pub(in crate::simulation) fn write(&mut self, end: EndId, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let arrival = self.after_delay();
        let Some(connection) = self.connections.get_mut(&end.connection) else {
            return Err(Self::error(io::ErrorKind::BrokenPipe));
        };
        let (this, pipe) = (&connection.ends[end.side], &mut connection.pipes[end.side]);
        if let Some(kind) = this.failed {
            return Err(Self::error(kind));
        }
        if this.shut || this.gone || pipe.ended {
            return Err(Self::error(io::ErrorKind::BrokenPipe));
        }
        if end.side == 0 && connection.progress != Progress::Connected {
            return Err(Self::error(io::ErrorKind::NotConnected));
        }
        let is_replica = this.process.is_some();
        let given: usize = slices.iter().map(|slice| slice.len()).sum();
        let mut taken = given.min(pipe.room());
        if taken == 0 {
            pipe.wants_room = true;
            if is_replica {
                self.path.observe(end, slices, 0);
            }
            self.trace.count("write would block");
            return Err(Self::error(io::ErrorKind::WouldBlock));
        }
        if taken > 1 && self.random.once_in(10) {
            taken = self.random.between(1, taken);
        }
        if taken < given {
            // A short write: whoever tries on finds it full, or not.
            pipe.wants_room = true;
            self.trace.count("short write");
        }
        let mut bytes = first_bytes(slices, taken);
        if is_replica {
            self.path.observe(end, slices, taken);
            bytes = self.path.pass(end, bytes, &mut self.random);
        }
        pipe.send(bytes, arrival);
        let at = pipe.last_arrival();
        self.trace.mix(taken as u64);
        self.schedule(at, News::Arrives { from: end });
        Ok(taken)
    }

    /// What of all that has arrived the next read gives, up to `max`: perhaps not all of it.
    pub(in crate::simulation) fn readable(&mut self, end: EndId, max: usize) -> io::Result<usize> {
        let Some(connection) = self.connections.get_mut(&end.connection) else { return Ok(0) };
        let (this, pipe) = (&connection.ends[end.side], &connection.pipes[1 - end.side]);
        // What has arrived before the end of a connection comes first; a reset has left nothing.
        if let Some(kind) = this.failed.filter(|_| pipe.arrived.is_empty()) {
            return Err(Self::error(kind));
        }
        if let Progress::Failed(kind) = connection.progress {
            return Err(Self::error(kind));
        }
        let available = pipe.arrived.len().min(max);
        if this.shut || (pipe.arrived.is_empty() && pipe.end_arrived) {
            return Ok(0);
        }
        if available == 0 {
            return Err(Self::error(io::ErrorKind::WouldBlock));
        }
        if available > 1 && self.random.once_in(6) {
            self.trace.count("short read");
            return Ok(self.random.between(1, available));
        }
        Ok(available)
    }

    /// The first `len` bytes that have arrived are taken by `take`, which says how many it took.
    pub(in crate::simulation) fn read(
        &mut self,
        end: EndId,
        len: usize,
        take: impl FnOnce(&[u8]) -> usize,
    ) -> usize {
        let Some(connection) = self.connections.get_mut(&end.connection) else { return 0 };
        let pipe = &mut connection.pipes[1 - end.side];
        let taken = take(&pipe.arrived.make_contiguous()[..len]);
        pipe.arrived.drain(..taken);
        pipe.acknowledged.read += taken as u64;
        self.trace.mix(taken as u64);
        if pipe.wants_room && taken > 0 {
            pipe.wants_room = false;
            let at = self.after_delay();
            self.schedule(at, News::HasRoom { end: end.peer() });
        }
        self.acknowledge(end.peer(), true);
        taken
    }

    /// Ends the direction to the peer.
    pub(in crate::simulation) fn finish(&mut self, end: EndId) {
        let arrival = self.after_delay();
        let Some(connection) = self.connections.get_mut(&end.connection) else { return };
        let pipe = &mut connection.pipes[end.side];
        if connection.progress != Progress::Connected || pipe.ended {
            return;
        }
        pipe.end(arrival);
        let at = pipe.last_arrival();
        self.schedule(at, News::Arrives { from: end });
    }

    /// Ends both directions. Where something waits unread that is a reset, and what is under way is lost; so it is
    /// now and then where nothing does, for something may come yet, unless the other end has ended its direction.
    pub(in crate::simulation) fn shutdown(&mut self, end: EndId) {
        let roughly = self.random.once_in(4);
        let Some(connection) = self.connections.get_mut(&end.connection) else { return };
        let unread = !connection.pipes[1 - end.side].arrived.is_empty();
        let roughly = roughly && !connection.pipes[1 - end.side].end_arrived;
        let this = &mut connection.ends[end.side];
        if this.shut || this.gone {
            return;
        }
        this.shut = true;
        self.report(end, true, true);
        if unread || roughly {
            self.send_reset(end);
        } else {
            self.finish(end);
        }
    }

    /// The end is in nobody's hands any more.
    pub(in crate::simulation) fn close(&mut self, end: EndId) {
        self.shutdown(end);
        self.unwatch(end);
        let Some(connection) = self.connections.get_mut(&end.connection) else { return };
        connection.ends[end.side].gone = true;
        if connection.ends.iter().all(|end| end.gone) && connection.ends[1].process.is_some() {
            let between_replicas = connection.ends.iter().all(|end| end.process.is_some());
            if between_replicas && self.overheard.len() < 40 {
                self.overheard.push([0, 1].map(|side| connection.pipes[side].overheard.clone()));
            }
        }
    }

    /// A reset goes to the other end; what was under way there is lost.
    pub(in crate::simulation) fn send_reset(&mut self, from: EndId) {
        let at = self.after_delay();
        let Some(connection) = self.connections.get_mut(&from.connection) else { return };
        let pipe = &mut connection.pipes[from.side];
        pipe.ended = true;
        pipe.in_flight.retain(|(_, item)| matches!(item, Item::Bytes(_)));
        self.schedule(at, News::Resets { from });
    }

    /// Someone on the way resets a connection for both ends.
    pub(in crate::simulation) fn cut(&mut self, connection: u64) {
        for side in 0..2 {
            self.suffer_reset(EndId { connection, side });
        }
    }

    /// A reset has come.
    pub(super) fn suffer_reset(&mut self, end: EndId) {
        let Some(connection) = self.connections.get_mut(&end.connection) else { return };
        connection.pipes[1 - end.side].lose();
        if connection.ends[end.side].failed.is_some() {
            return;
        }
        connection.ends[end.side].failed = Some(io::ErrorKind::ConnectionReset);
        self.report(end, true, true);
    }

    /// Something has come from `from`.
    pub(super) fn arrive(&mut self, from: EndId) {
        let (now, to) = (self.now, from.peer());
        let strictly = self.random.once_in(2);
        let Some(connection) = self.connections.get_mut(&from.connection) else { return };
        let landed = connection.pipes[from.side].land(now);
        let end = &connection.ends[to.side];
        if end.gone || end.shut || end.failed.is_some() {
            let bytes = landed.iter().any(|item| matches!(item, Item::Bytes(_)));
            // One that was reset has told its peer, or was told by it.
            let knows = end.failed == Some(io::ErrorKind::ConnectionReset);
            if bytes && !knows && !self.dark.contains(&end.host) {
                self.send_reset(to);
            }
            return;
        }
        let lens = landed.iter().map(|item| if let Item::Bytes(bytes) = item { bytes.len() } else { 0 });
        if self.path.arrived(from, lens.sum()) {
            connection.ends[to.side].heard = now;
        }
        let pipe = &mut connection.pipes[from.side];
        let was_ready = pipe.end_arrived || !pipe.arrived.is_empty();
        for item in landed {
            match item {
                Item::Bytes(bytes) => pipe.arrived.extend(bytes),
                Item::Fin => pipe.end_arrived = true,
            }
        }
        // What is ready does not become ready; a system may say so all the same.
        if connection.is_readable(to.side) && !(was_ready && strictly) {
            self.report(to, true, false);
        }
        self.hear_answer(to);
        self.acknowledge(from, false);
    }

    /// When something last came to `end`.
    pub(in crate::simulation) fn heard(&self, end: EndId) -> Option<u64> {
        self.connections.get(&end.connection).map(|connection| connection.ends[end.side].heard)
    }

    /// The process is no more. What it held is reset, or falls silent.
    pub(in crate::simulation) fn kill(&mut self, process: ProcessId, silently: bool) {
        let held = |id: u64, connection: &super::Connection| {
            let sides = (0..2).filter(|&side| connection.ends[side].process == Some(process));
            sides.map(|side| EndId { connection: id, side }).collect::<Vec<_>>()
        };
        let ends: Vec<EndId> =
            self.connections.iter().flat_map(|(&id, connection)| held(id, connection)).collect();
        for end in ends {
            if silently {
                if let Some(connection) = self.connections.get_mut(&end.connection) {
                    connection.pipes[end.side].in_flight.clear();
                    connection.ends[end.side].gone = true;
                }
                self.unwatch(end);
            } else {
                self.close(end);
            }
        }
        let listener = self.listeners.iter().find(|(_, listener)| listener.process == Some(process));
        if let Some((host, number)) = listener.map(|(&host, listener)| (host, listener.number)) {
            self.close_listener(host, number);
        }
    }
}

/// The first `len` bytes of `slices`.
fn first_bytes(slices: &[IoSlice<'_>], len: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(len);
    for slice in slices {
        let wanted = slice.len().min(len - bytes.len());
        bytes.extend_from_slice(&slice[..wanted]);
    }
    bytes
}
