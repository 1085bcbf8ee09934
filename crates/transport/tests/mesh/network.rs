//! Meshes on a fake network, in virtual time: every message takes a few milliseconds.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use replink_transport::frame::{GoodbyeReason, KeyId, ReplicaId, Status};
use replink_transport::handshake::{Authentication, DialError, Peer, PeerReject, Side};
use replink_transport::mesh::{Action, DownReason, LinkId, Loss, Mesh, MeshSettings, Verdict};

use crate::one::{address, changed, peer, reject};

/// What makes a run repeatable: splitmix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    pub(crate) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

/// One process: a restarted replica is another one.
struct Process {
    replica: u8,
    incarnation: u64,
    mesh: Mesh,
    running: bool,
    /// The links that the embedder sees up, and those of them that leave.
    up: BTreeMap<(ReplicaId, u16), LinkId>,
    leaving: BTreeMap<LinkId, (ReplicaId, u16)>,
    /// Links that have just been taken over from, and are about to leave.
    taken_over: BTreeMap<LinkId, (ReplicaId, u16)>,
    /// Links whose peer has said its last, and those on which we have.
    heard_last: BTreeSet<LinkId>,
    said_last: BTreeSet<LinkId>,
    ever_up: BTreeSet<LinkId>,
    /// The driver's side of each connection that it has open.
    open: BTreeMap<LinkId, End>,
    counter: u64,
    dials: BTreeMap<(ReplicaId, u16), Vec<Instant>>,
}

/// Where a link leads.
#[derive(Clone, Copy)]
struct End {
    process: usize,
    link: LinkId,
}

#[derive(Clone, Copy)]
enum Message {
    Dial { peer: u8, lane: u16, key: KeyId },
    DialFailed { peer: u8, lane: u16, reject: Option<PeerReject> },
    Established { link: LinkId, peer: Peer, end: End },
    Ping { link: LinkId, counter: u64 },
    Pong { link: LinkId, echo: u64 },
    Goodbye { link: LinkId, reason: GoodbyeReason },
    Ended { link: LinkId, ending: DownReason },
}

pub(crate) struct Network {
    pub(crate) random: Random,
    pub(crate) now: Instant,
    pub(crate) faults: bool,
    settings: MeshSettings,
    processes: Vec<Process>,
    /// On their way, by when they arrive.
    messages: BTreeMap<(Instant, u64), (usize, Message)>,
    sent: u64,
    links: u64,
    /// What no packet gets through, both ways.
    cut: BTreeSet<LinkId>,
}

impl Network {
    pub(crate) fn new(settings: &MeshSettings, seed: u64) -> Self {
        let mut network = Self {
            random: Random(seed),
            now: Instant::now(),
            faults: true,
            settings: settings.clone(),
            processes: Vec::new(),
            messages: BTreeMap::new(),
            sent: 0,
            links: 0,
            cut: BTreeSet::new(),
        };
        for replica in settings.members.keys() {
            network.start(replica.0);
        }
        network
    }

    fn start(&mut self, replica: u8) {
        self.processes.push(Process {
            replica,
            incarnation: self.random.next() | 1,
            mesh: Mesh::new(ReplicaId(replica), self.settings.clone(), self.now),
            running: true,
            up: BTreeMap::new(),
            leaving: BTreeMap::new(),
            taken_over: BTreeMap::new(),
            heard_last: BTreeSet::new(),
            said_last: BTreeSet::new(),
            ever_up: BTreeSet::new(),
            open: BTreeMap::new(),
            counter: 0,
            dials: BTreeMap::new(),
        });
    }

    fn running(&self) -> Vec<usize> {
        (0..self.processes.len()).filter(|&index| self.processes[index].running).collect()
    }

    /// Runs for `duration`.
    pub(crate) fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        loop {
            for index in self.running() {
                self.drive(index);
            }
            let arrival = self.messages.keys().next().map(|&(at, _)| at);
            let running = self.processes.iter().filter(|process| process.running);
            let timeout = running.filter_map(|process| process.mesh.next_timeout()).min();
            match arrival.into_iter().chain(timeout).min() {
                Some(next) if next <= end => self.now = next.max(self.now),
                _ => break,
            }
            while let Some(entry) = self.messages.first_entry() {
                if entry.key().0 > self.now {
                    break;
                }
                let (to, message) = entry.remove();
                if self.processes[to].running {
                    self.deliver(to, message);
                }
            }
        }
        self.now = end;
    }

    fn drive(&mut self, index: usize) {
        let (now, random) = (self.now, self.random.next());
        self.processes[index].mesh.handle_timeout(now, random);
        while let Some(action) = self.processes[index].mesh.next_action() {
            self.carry_out(index, action);
        }
    }

    fn carry_out(&mut self, index: usize, action: Action) {
        let process = &mut self.processes[index];
        match action {
            Action::Dial { peer, lane } => {
                process.dials.entry((peer, lane)).or_default().push(self.now);
                let key = self.settings.keys.as_ref().unwrap()[0];
                self.send_to(index, Message::Dial { peer: peer.0, lane, key });
            }
            Action::Ping { link } => {
                process.counter += 1;
                let counter = process.counter;
                process.mesh.pinged(link, counter, self.now);
                self.send_on(index, link, |link| Message::Ping { link, counter });
            }
            Action::Goodbye { link, reason } => {
                assert!(process.said_last.insert(link), "a second goodbye on {link}");
                if let Some(place) = process.taken_over.remove(&link) {
                    process.leaving.insert(link, place);
                } else if let Some((&place, _)) = process.up.iter().find(|(_, up)| **up == link) {
                    process.up.remove(&place);
                    process.leaving.insert(link, place);
                }
                // Else it hangs, and the mesh closes it.
                if !self.random.one_in(4) {
                    self.send_on(index, link, |link| Message::Goodbye { link, reason });
                    self.end_if_both_left(index, link);
                }
            }
            Action::Close { link } => self.close(index, link, DownReason::Lost(Loss::Ended)),
            Action::Up { link, peer, .. } => {
                assert!(process.ever_up.insert(link), "{link} is up twice");
                let place = (peer.replica, peer.lane);
                // One that it takes over from leaves right behind.
                if let Some(before) = process.up.insert(place, link) {
                    assert!(
                        process.taken_over.insert(before, place).is_none(),
                        "two links of one peer and lane"
                    );
                }
            }
            Action::Down { link, peer, lane, .. } => {
                match process.leaving.remove(&link).or_else(|| process.taken_over.remove(&link)) {
                    Some(place) => assert_eq!(place, (peer, lane)),
                    None => assert_eq!(process.up.remove(&(peer, lane)), Some(link), "down, but was not up"),
                }
            }
            Action::Renewed { link, peer, lane, by } => {
                assert_eq!(process.leaving.remove(&link), Some((peer, lane)), "renewed, but did not leave");
                assert_eq!(process.up.get(&(peer, lane)), Some(&by), "renewed by another one");
            }
            Action::Warn(_) => {}
            other => panic!("what is {other:?}?"),
        }
    }

    /// C-3: a link ends when both ends have said goodbye.
    fn end_if_both_left(&mut self, index: usize, link: LinkId) {
        let process = &self.processes[index];
        if process.said_last.contains(&link) && process.heard_last.contains(&link) {
            self.close(index, link, DownReason::Lost(Loss::Ended));
            self.send_to(index, Message::Ended { link, ending: DownReason::Lost(Loss::Ended) });
        }
    }

    /// Messages to a process itself: what its driver finds out later.
    fn send_to(&mut self, to: usize, message: Message) {
        self.sent += 1;
        let at = self.now + Duration::from_millis(2);
        self.messages.insert((at, self.sent), (to, message));
    }

    fn send_on(&mut self, index: usize, link: LinkId, message: impl FnOnce(LinkId) -> Message) {
        let Some(&end) = self.processes[index].open.get(&link) else { return };
        if !self.cut.contains(&link) {
            self.send_to(end.process, message(end.link));
        }
    }

    fn close(&mut self, index: usize, link: LinkId, ending: DownReason) {
        self.send_on(index, link, |link| Message::Ended { link, ending });
        self.processes[index].open.remove(&link);
    }

    fn deliver(&mut self, to: usize, message: Message) {
        let (now, random) = (self.now, self.random.next());
        match message {
            Message::Dial { peer, lane, key } => self.connect(to, peer, lane, key),
            Message::DialFailed { peer, lane, reject } => {
                let error = reject.map(DialError::Rejected);
                let mesh = &mut self.processes[to].mesh;
                mesh.dial_failed(ReplicaId(peer), lane, error.as_ref(), now, random);
            }
            Message::Established { link, peer, end } => {
                self.processes[to].open.insert(link, end);
                self.processes[to].mesh.established(link, &peer, address(peer.replica.0), now, random);
            }
            Message::Ping { link, counter } => {
                self.processes[to].mesh.heard(link, now);
                self.send_on(to, link, |link| Message::Pong { link, echo: counter });
            }
            Message::Pong { link, echo } => self.processes[to].mesh.pong(link, echo, now),
            Message::Goodbye { link, reason } => {
                self.processes[to].heard_last.insert(link);
                self.processes[to].mesh.goodbye(link, reason, now, random);
                self.end_if_both_left(to, link);
            }
            Message::Ended { link, ending } => {
                self.processes[to].open.remove(&link);
                self.processes[to].mesh.closed(link, ending, now, random);
            }
        }
    }

    /// A handshake, as one step in the middle of it.
    fn connect(&mut self, from: usize, to: u8, lane: u16, key: KeyId) {
        let failed = |reject| Message::DialFailed { peer: to, lane, reject };
        let acceptor = self.running().into_iter().find(|&index| self.processes[index].replica == to);
        let Some(acceptor) = acceptor else { return self.send_to(from, failed(None)) };
        if self.faults && self.random.one_in(3) {
            let reject = match self.random.below(4) {
                0 => None,
                1 => Some(reject(to, Status::BUSY, true, 3000)),
                2 => Some(reject(to, Status::BUSY, false, 0)),
                _ => Some(reject(to.wrapping_add(1), Status::NOT_ALLOWED, true, 0)),
            };
            return self.send_to(from, failed(reject));
        }
        let authentication = Authentication::PreSharedKey(key);
        let described = |process: &Process, role| {
            changed(peer(process.replica, role), |peer| {
                peer.lane = lane;
                peer.authentication = authentication;
                peer.incarnation = process.incarnation;
            })
        };
        let dialer = described(&self.processes[from], Side::Acceptor);
        let at_acceptor = described(&self.processes[acceptor], Side::Dialer);
        let (near, far) = (LinkId(self.links), LinkId(self.links + 1));
        self.links += 2;
        let (now, random) = (self.now, self.random.next());
        let end = End { process: acceptor, link: far };
        self.send_to(from, Message::Established { link: near, peer: at_acceptor, end });
        let process = &mut self.processes[acceptor];
        match process.mesh.judge(&dialer, address(dialer.replica.0), now) {
            Verdict::Admit | Verdict::Supersede { .. } => {
                process.open.insert(far, End { process: from, link: near });
                process.mesh.established(far, &dialer, address(dialer.replica.0), now, random);
                if self.faults && self.random.one_in(4) {
                    // It breaks as it comes up.
                    self.close(acceptor, far, DownReason::Lost(Loss::Ended));
                    self.send_to(
                        acceptor,
                        Message::Ended { link: far, ending: DownReason::Lost(Loss::Ended) },
                    );
                }
            }
            Verdict::Probe => unreachable!("nobody dials the lane of probes"),
            Verdict::Refuse { status, retry_after_ms } => {
                let ending = DownReason::Rejected(reject(to, status, true, retry_after_ms));
                self.send_to(from, Message::Ended { link: near, ending });
            }
        }
    }

    /// A connection breaks: both ends notice, or neither does.
    pub(crate) fn break_one(&mut self) {
        let running = self.running();
        let index = running[self.random.below(running.len())];
        let links: Vec<LinkId> = self.processes[index].open.keys().copied().collect();
        if links.is_empty() {
            return;
        }
        let link = links[self.random.below(links.len())];
        let end = self.processes[index].open[&link];
        if self.random.one_in(2) {
            self.cut.extend([link, end.link]);
        } else {
            self.close(index, link, DownReason::Lost(Loss::Ended));
            self.send_to(index, Message::Ended { link, ending: DownReason::Lost(Loss::Ended) });
        }
    }

    /// A process dies and another one takes its place. Its peers are told by its kernel, unless
    /// the machine went with it.
    pub(crate) fn restart_one(&mut self) {
        let running = self.running();
        let index = running[self.random.below(running.len())];
        if self.random.one_in(2) {
            let links: Vec<LinkId> = self.processes[index].open.keys().copied().collect();
            for link in links {
                self.close(index, link, DownReason::Lost(Loss::Ended));
            }
        }
        self.processes[index].running = false;
        self.start(self.processes[index].replica);
    }

    /// All replicas take another key, one after the other as far as the network goes.
    pub(crate) fn rotate(&mut self, key: KeyId) {
        self.settings.keys = Some(vec![key]);
        for index in self.running() {
            let (now, random) = (self.now, self.random.next());
            self.processes[index].mesh.reconfigure(self.settings.clone(), now, random);
        }
    }

    /// Whether each pair has a working link on each lane, and both ends mean the same one.
    pub(crate) fn is_connected(&self) -> bool {
        let running: Vec<&Process> = self.processes.iter().filter(|process| process.running).collect();
        running.iter().all(|process| {
            let others = running.iter().filter(|other| other.replica != process.replica);
            others.flat_map(|other| (0..self.settings.lanes).map(move |lane| (other, lane))).all(
                |(other, lane)| {
                    let Some(link) = process.up.get(&(ReplicaId(other.replica), lane)) else { return false };
                    let theirs = other.up.get(&(ReplicaId(process.replica), lane));
                    let end = process.open.get(link).map(|end| end.link);
                    !self.cut.contains(link) && end.is_some() && end.as_ref() == theirs
                },
            )
        })
    }

    /// The most dials of one peer and lane by one process in any span of this length.
    pub(crate) fn most_dials_within(&self, span: Duration) -> usize {
        let all = self.processes.iter().flat_map(|process| process.dials.values());
        all.flat_map(|dials| {
            dials.iter().map(move |&from| dials.iter().filter(|&&at| from <= at && at < from + span).count())
        })
        .max()
        .unwrap_or(0)
    }

    /// After it all each link that was up is still up, or went down once.
    pub(crate) fn shut_down(&mut self) {
        for index in self.running() {
            self.processes[index].mesh.shutdown(self.now);
        }
        self.run(Duration::from_secs(10));
        for process in self.processes.iter().filter(|process| process.running) {
            assert!(
                process.mesh.is_finished() && process.up.is_empty() && process.leaving.is_empty(),
                "{:?}",
                process.mesh
            );
        }
    }
}
