//! One life of a replica: its shards, and the embedder that polls them.

use std::time::Duration;

use bytes::Bytes;
use replink_frame::{GenericHeader, HEADER_SIZE, ReplicaId};
use replink_handshake::Side;
use replink_transport::driver::Token;
use replink_transport::mesh::{DownReason, Loss, MeshWarning};
use replink_transport::node::{Event, Handle, LinkUp, NodeOptions, Shard, Warning, with_drivers};

use super::driver::{SimDriver, SimListener, SimSocket};
use super::ledger::{Broken, Ledger, Stamp};
use super::network::{DriverId, EndId, HostId, Network, ProcessId};
use super::plan::{LEAVE_TIME_MAX, Plan, Settings};

/// One life of a replica.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) id: ProcessId,
    pub(super) host: HostId,
    pub(super) handle: Handle<SimSocket>,
    pub(super) shards: Vec<Slot>,
    /// Since when it is being shut down.
    pub(super) stopping: Option<u64>,
    /// The largest limits that it ever had.
    pub(super) max_pending: u32,
    pub(super) queue_frames: u32,
    network: Network,
    lanes: u16,
    /// Frames that the embedder has kept.
    kept: Vec<Bytes>,
}

/// One shard, and when its embedder gets to it.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) shard: Shard<SimDriver>,
    pub(super) driver: DriverId,
    /// When it is to be polled, whether anything happens or not.
    pub(super) due: Option<u64>,
    /// Until when the embedder is busy with something else.
    pub(super) busy_until: u64,
    /// Until when it takes only a few events at once.
    pub(super) slow_until: u64,
    /// Whether it has taken all there was.
    pub(super) emptied: bool,
}

/// What an embedder has seen that the run has to know of.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Links that went down.
    pub(super) downs: Vec<DownReason>,
}

impl Process {
    /// Starts a replica.
    pub(super) fn start(
        network: &Network,
        plan: &Plan,
        settings: &Settings,
        id: ProcessId,
        host: HostId,
    ) -> Self {
        let shards = plan.shards[usize::from(host.0)];
        let drivers: Vec<SimDriver> = (0..shards).map(|_| SimDriver::new(network, host, id)).collect();
        let ids: Vec<DriverId> = drivers.iter().map(SimDriver::id).collect();
        let options = NodeOptions::new(ReplicaId(host.0)).placement(plan.placement(host));
        let listener = SimListener::new(network, host, id);
        let shards =
            with_drivers(plan.config(settings), options, incarnation(id), listener, drivers).unwrap();
        let handle = shards[0].handle();
        let slot = |(shard, driver)| Slot {
            shard,
            driver,
            due: Some(0),
            busy_until: 0,
            slow_until: 0,
            emptied: true,
        };
        let shards = shards.into_iter().zip(ids).map(slot).collect();
        let (max_pending, queue_frames) = (settings.max_pending, settings.queue_frames);
        let (stopping, lanes, kept) = (None, plan.lanes, Vec::new());
        let network = network.clone();
        Self { id, host, handle, shards, stopping, max_pending, queue_frames, network, lanes, kept }
    }

    /// When shard `index` is to be polled, `now` or later; `None` if nothing is to be done.
    pub(super) fn due(&self, index: usize, network: &Network, now: u64) -> Option<u64> {
        let slot = &self.shards[index];
        if slot.shard.is_stopped() && slot.emptied {
            return None;
        }
        let due = if network.lock().is_due(slot.driver) { Some(now) } else { slot.due };
        due.map(|due| due.max(slot.busy_until).max(now))
    }

    /// Whether every shard has looked at everything.
    pub(super) fn is_idle(&self, network: &Network, now: u64) -> bool {
        let state = network.lock();
        self.shards
            .iter()
            .all(|slot| slot.emptied && !state.is_due(slot.driver) && slot.due.is_none_or(|due| due > now))
    }

    /// Whether it is at its end.
    pub(super) fn is_over(&self) -> bool {
        self.shards.iter().all(|slot| slot.shard.is_stopped() && slot.emptied)
    }

    /// Polls shard `index` and takes its events.
    pub(super) fn poll(
        &mut self,
        index: usize,
        network: &Network,
        ledger: &mut Ledger,
        seen: &mut Seen,
    ) -> Result<(), Broken> {
        let (now, wanted) = {
            let mut state = network.lock();
            state.trace.mix(u64::from(self.id.0) << 8 | index as u64);
            let slow = self.shards[index].slow_until > state.now();
            (state.now(), if slow { state.random.below(3) } else { usize::MAX })
        };
        let (id, lanes, slot) = (self.id, self.lanes, &mut self.shards[index]);
        let watcher = Watcher { network, id, index, lanes };
        let mut events = slot.shard.poll(Some(Duration::ZERO)).map_err(|error| error.to_string())?;
        slot.emptied = false;
        for _ in 0..wanted {
            let Some(event) = events.next() else {
                slot.emptied = true;
                break;
            };
            watcher.check(event, ledger, seen, &mut self.kept)?;
        }
        let timeout = slot.shard.timeout();
        // The last that it took may have been the last that there was.
        slot.emptied |= timeout != Some(Duration::ZERO);
        if !slot.emptied {
            let mut state = network.lock();
            state.trace.count("events left untaken");
            slot.busy_until = now + state.random.between(1, 20) as u64 * super::network::MILLISECOND;
        }
        slot.due = timeout.map(|timeout| now.saturating_add(u64::try_from(timeout.as_nanos()).unwrap()));
        Ok(())
    }

    /// What the node shows must be bounded, and what the embedder was told.
    pub(super) fn check(&self, plan: &Plan, ledger: &mut Ledger) -> Result<(), Broken> {
        let stats = self.handle.stats();
        let shown: Vec<_> =
            stats.links.iter().map(|link| (link.peer.replica, link.peer.lane, link.link)).collect();
        ledger.settled(self.id, &shown, self.network.lock().now(), LEAVE_TIME_MAX)?;
        if stats.pending > self.max_pending {
            return Err(format!(
                "{} connections are pending, at most {} may",
                stats.pending, self.max_pending
            ));
        }
        let network = self.network.lock();
        let now = network.now();
        let busy = self.shards.iter().map(|slot| slot.busy_until.max(slot.slow_until)).max().unwrap_or(0);
        for link in &stats.links {
            let end = network.end_of(self.id, Token(link.link.0));
            // Where heartbeats are off it is the peer's machine that must not be silent.
            let heard = |end| if plan.heartbeats { network.heard(end) } else { network.answered(end) };
            let heard = end.and_then(heard).unwrap_or(0).max(busy);
            if now > heard + plan.silence_max() {
                return Err(format!("{:?}: nothing was heard of {} since {heard} ns", self.id, link.link));
            }
            // Control frames may wait beyond the limits, but not many.
            let frames = self.queue_frames as usize + CONTROL_FRAMES;
            let bytes = plan.queue_bytes() + (CONTROL_FRAMES * HEADER_SIZE) as u64;
            if link.sent.queued_frames > frames || link.sent.queued_bytes > bytes {
                return Err(format!("too much waits: {link:?}"));
            }
        }
        Ok(())
    }
}

/// Control frames that may wait on one link besides the embedder's frames.
const CONTROL_FRAMES: usize = 65;

/// The number that tells this process from others.
fn incarnation(process: ProcessId) -> u64 {
    1_000 + u64::from(process.0)
}

/// Looks at the events of one shard.
struct Watcher<'a> {
    network: &'a Network,
    id: ProcessId,
    index: usize,
    lanes: u16,
}

impl Watcher<'_> {
    fn check(
        &self,
        event: Event<'_>,
        ledger: &mut Ledger,
        seen: &mut Seen,
        kept: &mut Vec<Bytes>,
    ) -> Result<(), Broken> {
        let (id, shard) = (self.id, self.index);
        match event {
            Event::Up(up) => {
                let end = self.check_peer(&up)?;
                self.note(format_args!("{} up: {} lane {}", up.link, up.peer.replica, up.peer.lane));
                ledger.up((id, up.link), shard, end, (up.peer.replica, up.peer.lane))?;
            }
            Event::Frame { link, frame, .. } => {
                let stamp = read_stamp(frame.header(), frame.body());
                if frame.body().len() > 256 * 1024 {
                    self.count("frame beyond the read-ahead");
                }
                // Now and then a body is kept, and with it the memory that it was received into.
                if stamp.digest.is_multiple_of(8) {
                    kept.push(frame.into_body());
                } else if stamp.digest % 8 == 1 {
                    kept.clear();
                }
                ledger.frame((id, link), shard, stamp)?;
            }
            Event::Down(down) => {
                self.note(format_args!("{} down: {}", down.link, down.reason));
                self.count(name_of(&down.reason));
                ledger.down((id, down.link), shard, &down.reason)?;
                seen.downs.push(down.reason);
            }
            Event::Renewed { link, by, .. } => {
                self.count("renewed");
                self.note(format_args!("{link} renewed by {by}"));
                ledger.renewed((id, link), shard)?;
            }
            Event::Drained { link, .. } => {
                self.count("drained");
                ledger.drained((id, link), shard)?;
            }
            Event::Released { link, to, .. } => {
                self.note(format_args!("{link} released to shard {to}"));
                ledger.released((id, link), shard, to)?;
            }
            Event::Adopted { link, .. } => {
                self.count("link moved");
                let mut state = self.network.lock();
                if state.end_of(id, Token(link.0)).is_some_and(|end| state.path.has_records(end)) {
                    state.trace.count("sealed link moved");
                }
                drop(state);
                self.note(format_args!("{link} adopted"));
                ledger.adopted((id, link), shard)?;
            }
            Event::Rejected(refusal) => {
                self.count("rejected");
                self.note(format_args!("rejected, by {}: {}", refusal.by.as_str(), refusal.explanation));
            }
            Event::Unreachable(unreachable) => {
                self.count("told of an unreachable peer");
                self.note(format_args!("unreachable: {unreachable:?}"));
            }
            Event::Warning(warning) => {
                self.count(match &warning {
                    // There never are two of a replica that are both alive.
                    Warning::Mesh(MeshWarning::Duplicate { .. } | MeshWarning::Cloned { .. }) => {
                        return Err(format!("{:?} accuses two processes: {warning}", self.id));
                    }
                    Warning::Accept { .. } => "warned of accept",
                    _ => "warned of something else",
                });
                self.note(format_args!("warning: {warning}"));
            }
            Event::Reloaded(_) => self.note(format_args!("reloaded")),
            Event::Stopped => self.note(format_args!("stopped")),
            other => return Err(format!("an event that the simulation does not know: {other:?}")),
        }
        Ok(())
    }

    /// Whoever has a link is who it says, and is no attacker.
    fn check_peer(&self, up: &LinkUp) -> Result<EndId, Broken> {
        let state = self.network.lock();
        let token = Token(up.link.0);
        let end = state.end_of(self.id, token).ok_or_else(|| format!("{up:?} is on no connection"))?;
        let Some(peer) = state.process_at(end.peer()) else {
            return Err(format!("an attacker has a link: {up:?}"));
        };
        let role = if end.side == 0 { Side::Dialer } else { Side::Acceptor };
        let host = state.host_of(end.peer());
        let told = (up.peer.incarnation, Some(HostId(up.peer.replica.0)), up.peer.side);
        if told != (incarnation(peer), host, role) || up.peer.lane >= self.lanes {
            return Err(format!("{up:?} is wrong about its peer, which is {peer:?} at {host:?}"));
        }
        Ok(end)
    }

    fn note(&self, what: std::fmt::Arguments<'_>) {
        let mut state = self.network.lock();
        state.note(format_args!("process {} shard {}: {what}", self.id.0, self.index));
    }

    fn count(&self, what: &'static str) {
        self.network.lock().trace.count(what);
    }
}

/// The stamp that the sender put on a frame, and the hash of what has come.
pub(super) fn read_stamp(header: &GenericHeader, body: &[u8]) -> Stamp {
    let mut number = [0; 8];
    number.copy_from_slice(&header.reserved_command[..8]);
    let mut hasher = blake3::Hasher::new();
    hasher.update(header.bytes()).update(body);
    let mut digest = [0; 8];
    digest.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    Stamp { number: u64::from_le_bytes(number), digest: u64::from_le_bytes(digest) }
}

fn name_of(reason: &DownReason) -> &'static str {
    match reason {
        DownReason::Left(_) => "down: left",
        DownReason::Ended(_) => "down: ended",
        DownReason::Lost(Loss::Ended) => "down: closed",
        DownReason::Lost(Loss::Reset) => "down: reset",
        DownReason::Lost(Loss::TimedOut) => "down: timed out",
        DownReason::Lost(Loss::Silent(_)) => "down: silent",
        DownReason::Lost(_) => "down: violation",
        DownReason::Superseded => "down: superseded",
        DownReason::Rejected(_) => "down: rejected",
        _ => "down: something else",
    }
}
