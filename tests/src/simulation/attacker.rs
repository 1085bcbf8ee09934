//! Someone who can reach every port, has heard every handshake, and does not hold the key.

use std::io::IoSlice;

use super::network::{EndId, HostId, Network, SECOND, address_of};
use super::plan::REPLICAS;
use crate::random::Random;
use crate::raw_peer::{Frame, RawPeer, command};

/// The attacker's machines.
const HOSTS: [u8; 3] = [100, 101, 150];

/// Connections that it holds at once.
const OPEN_MAX: usize = 60;

/// All that the attacker has under way.
#[derive(Debug, Default)]
pub(super) struct Attacker {
    open: Vec<Attempt>,
}

#[derive(Debug)]
struct Attempt {
    end: EndId,
    payload: Vec<u8>,
    sent: usize,
    /// A Hello whose Challenge is answered with a Finish, without the key.
    hello: Option<(RawPeer<'static>, Box<Frame>)>,
    heard: Vec<u8>,
    echoes: bool,
    until: u64,
}

const GUESS: &[u8] = b"what an attacker takes for the secret";

impl Attacker {
    /// Goes on with all that is under way, and begins something new.
    pub(super) fn act(&mut self, network: &Network, random: &mut Random, vacant: &[HostId]) {
        for host in vacant {
            self.pose_as(network, random, *host);
        }
        let fresh = match random.below(12) {
            0 => 20,
            1..=4 => 1,
            _ => 0,
        };
        for _ in 0..fresh {
            if self.open.len() < OPEN_MAX {
                self.begin(network, random);
            }
        }
        let mut state = network.lock();
        let now = state.now();
        for attempt in &mut self.open {
            if state.connected(attempt.end).is_err() {
                continue;
            }
            while let Ok(len @ 1..) = state.readable(attempt.end, 4096) {
                let heard = &mut attempt.heard;
                state.read(attempt.end, len, |bytes| {
                    heard.extend_from_slice(bytes);
                    len
                });
                if attempt.echoes {
                    attempt.payload.append(&mut attempt.heard);
                }
            }
            if let (Some((peer, hello)), Some(challenge)) = (&attempt.hello, attempt.heard.first_chunk()) {
                attempt.payload.extend_from_slice(&peer.finish(hello, challenge));
                attempt.payload.extend_from_slice(&peer.frame(command::PREPARE));
                attempt.hello = None;
            }
            let rest = &attempt.payload[attempt.sent..];
            if !rest.is_empty() {
                let part = random.between(1, rest.len());
                if let Ok(sent) = state.write(attempt.end, &[IoSlice::new(&rest[..part])]) {
                    attempt.sent += sent;
                }
            }
        }
        self.open.retain(|attempt| {
            let goes_on = attempt.until > now;
            if !goes_on {
                state.close(attempt.end);
            }
            goes_on
        });
    }

    fn begin(&mut self, network: &Network, random: &mut Random) {
        let target = HostId(u8::try_from(random.below(REPLICAS.into())).unwrap());
        let mut state = network.lock();
        let Ok(end) = state.connect(None, HostId(random.pick(&HOSTS)), address_of(target)) else { return };
        let claimed = u8::try_from(random.below(REPLICAS.into())).unwrap();
        let mut peer = RawPeer::new(claimed, GUESS);
        peer.nonce = random.array();
        let mut hello = None;
        let (kind, payload) = match random.below(9) {
            0 => ("attack: silence", Vec::new()),
            1 => {
                let len = random.between(1, 2000);
                ("attack: garbage", random.bytes(len))
            }
            2 => ("attack: half a Hello", peer.hello()[..random.between(1, 255)].to_vec()),
            3 | 4 => {
                hello = Some((peer, Box::new(peer.hello())));
                ("attack: a Hello with another key", peer.hello().to_vec())
            }
            5 => ("attack: a frame without a handshake", peer.frame(command::PREPARE).to_vec()),
            6 => {
                let mut frames = peer.hello().to_vec();
                frames.extend_from_slice(&random.bytes(256));
                ("attack: a Hello and garbage", frames)
            }
            7 if !state.overheard.is_empty() => {
                let which = random.below(state.overheard.len());
                ("attack: what a dialer said", state.overheard[which][0].clone())
            }
            _ if !state.overheard.is_empty() => {
                let which = random.below(state.overheard.len());
                ("attack: what an acceptor said", state.overheard[which][1].clone())
            }
            _ => ("attack: silence", Vec::new()),
        };
        state.trace.count(kind);
        state.note(format_args!("{kind}, to {target:?}"));
        let until = state.now() + random.below(4) as u64 * SECOND + 1;
        let (heard, echoes) = (Vec::new(), random.once_in(8));
        self.open.push(Attempt { end, payload, sent: 0, hello, heard, echoes, until });
    }

    /// Answers at the address of a replica that is down.
    fn pose_as(&mut self, network: &Network, random: &mut Random, host: HostId) {
        let mut state = network.lock();
        if !state.is_listening(host) {
            state.listen(host, None);
        }
        while let Ok((end, _)) = state.accept(host) {
            let peer = RawPeer::new(host.0, GUESS);
            let payload = match random.below(4) {
                0 => Vec::new(),
                1 => random.bytes(700),
                2 => peer.reject(u8::try_from(random.below(12)).unwrap()).to_vec(),
                _ => match random.below(state.overheard.len() + 1) {
                    0 => peer.challenge(&peer.hello()).to_vec(),
                    which => state.overheard[which - 1][1].clone(),
                },
            };
            state.trace.count("attack: poses as a replica");
            let until = state.now() + random.below(3) as u64 * SECOND + 1;
            let (heard, echoes) = (Vec::new(), random.once_in(8));
            self.open.push(Attempt { end, payload, sent: 0, hello: None, heard, echoes, until });
        }
    }
}
