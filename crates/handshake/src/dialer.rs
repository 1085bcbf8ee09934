//! The dialer's states: `Dialer::begin` → [`AwaitChallenge`] → [`Authenticated`].

use alloc::sync::Arc;
use core::fmt;

use replink_frame::{
    Challenge, ClusterId, Finish, Flags, HandshakeFrameError, Hello, ReplicaId, Status, Version,
};
use thiserror::Error;

use crate::authenticated::{Authentication, Peer, Side};
use crate::dialer_reject::Refused;
use crate::key_bytes::{KeyBytes, wiping};
use crate::late_reject::{self, LateRejectVerifier, PeerReject, RejectContext};
use crate::mac::{Direction, TranscriptV1, acceptor_v2, dialer_v2, session_key};
use crate::policy::settings_of;
use crate::secret::Pair;
use crate::{Authenticated, ChannelBinding, DialTarget, DialerConfig, EphemeralSecret, Fresh, Key, Session};

/// Begins handshakes towards peers with a higher replica id (H-1).
#[derive(Clone, Debug)]
pub struct Dialer(Arc<DialerConfig>);

/// Why a dialer gave up.
#[derive(Error, Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum DialError {
    /// H-1. This end's mistake.
    #[error("replica {local} must not dial replica {peer}: the lower id dials, so let {peer} connect to us")]
    Direction {
        /// This node.
        local: ReplicaId,
        /// The target.
        peer: ReplicaId,
    },
    /// The ring has no key with that index for this peer. This end's mistake.
    #[error("no further key to try: the ring has {keys} for this peer, and all were refused")]
    NoSuchKey {
        /// Keys in the ring that serve for this peer.
        keys: usize,
    },
    /// H-13. This end's mistake.
    #[error("version 1 has no flags and no lanes; ask for version 2")]
    NotInVersion1,
    /// The peer answered with a reject (H-7).
    #[error("{0}")]
    Rejected(PeerReject),
    /// The peer answered with something that is no challenge.
    #[error(transparent)]
    Frame(#[from] HandshakeFrameError),
    /// H-6.
    #[error(
        "we asked for version {asked}, the peer answered in version {answered}; compare cluster.auth.version and \
         cluster.auth.min_version on both ends"
    )]
    Version {
        /// What this end asked for.
        asked: Version,
        /// The challenge's.
        answered: Version,
    },
    /// The challenge names another cluster.
    #[error("the peer belongs to cluster {found}, not to {expected}; check cluster.name and the address")]
    Cluster {
        /// This end's.
        expected: ClusterId,
        /// The challenge's.
        found: ClusterId,
    },
    /// Another replica answers at that address.
    #[error("replica {found} answered where {expected} was expected; check the address in cluster.nodes")]
    WrongPeer {
        /// Whom this end dialed.
        expected: ReplicaId,
        /// Who answered.
        found: ReplicaId,
    },
    /// H-2.
    #[error("the peer's challenge has an all-zero nonce; it draws no randomness")]
    ZeroNonce,
    /// H-4, H-5: the peer does not hold the key, or the frames were changed on the way.
    #[error(
        "the peer's MAC does not verify: it holds another secret, differs in cluster.auth.app, or the frames were altered"
    )]
    Mac,
    /// The challenge repeats something other than what the Hello said.
    #[error("the peer's challenge does not repeat our {field}; its implementation is at fault")]
    NotRepeated {
        /// The field.
        field: &'static str,
    },
    /// A flag was selected that this end did not offer. Authenticated.
    #[error("the peer selected {selected}, we offered {offered}; its implementation is at fault")]
    NotOffered {
        /// The challenge's.
        selected: Flags,
        /// The Hello's.
        offered: Flags,
    },
    /// A flag that this end requires was not selected. Authenticated.
    #[error(
        "we require {required}, the peer selected {selected}; compare {} on both ends",
        settings_of(required.without(*selected))
    )]
    Policy {
        /// This end's.
        required: Flags,
        /// The challenge's.
        selected: Flags,
    },
    /// The peer's software release is out of range. Authenticated.
    #[error(
        "the peer runs release {found}, we talk to {lowest} to {highest}; upgrade the older one, or widen \
         cluster.releases"
    )]
    Release {
        /// The challenge's.
        found: u32,
        /// Lowest release to talk to.
        lowest: u32,
        /// Highest release to talk to.
        highest: u32,
    },
    /// K-4: the share is a low-order point.
    #[error("the peer's X25519 share is a low-order point; refuse it")]
    LowOrderShare,
}

impl DialError {
    /// The status of section 2.1 that names the reason, for logs; the acceptor is told it where the
    /// error [is proved](Self::is_proved). `None` for a mistake of this end.
    pub fn status(&self) -> Option<Status> {
        Some(match self {
            Self::Direction { .. } | Self::NoSuchKey { .. } | Self::NotInVersion1 => return None,
            Self::Rejected(reject) => reject.status,
            Self::Frame(error) => error.status(),
            Self::Version { .. } => Status::UNSUPPORTED_VERSION,
            Self::Cluster { .. } => Status::CLUSTER_MISMATCH,
            Self::WrongPeer { .. } => Status::NOT_ALLOWED,
            Self::ZeroNonce => Status::AUTH_REQUIRED,
            Self::Mac => Status::MAC_MISMATCH,
            Self::NotRepeated { .. } | Self::NotOffered { .. } | Self::LowOrderShare => {
                Status::MALFORMED_FRAME
            }
            Self::Policy { .. } => Status::POLICY_MISMATCH,
            Self::Release { .. } => Status::RELEASE_MISMATCH,
        })
    }

    /// Whether it was found behind the MAC of the challenge: the acceptor has proved itself, but
    /// what it answers does not suit this end. It is told so with a MAC (D-12).
    pub fn is_proved(&self) -> bool {
        matches!(
            self,
            Self::NotRepeated { .. }
                | Self::NotOffered { .. }
                | Self::Policy { .. }
                | Self::Release { .. }
                | Self::LowOrderShare
        )
    }
}

/// A handshake that failed on the dialer's side: the link to close, the reject that the acceptor is
/// still owed, and why.
#[must_use = "the peer may still be owed a reject frame"]
#[expect(clippy::exhaustive_structs, reason = "whoever gets one has to do what it owes, also if it is new")]
pub struct DialFailed<L> {
    /// The link to send the reject on and to close.
    pub link: L,
    /// The reject to send in the place of the Finish (D-12); `None` where the acceptor is owed
    /// nothing, because it has not proved itself.
    pub reply: Option<[u8; 256]>,
    /// Why.
    pub error: DialError,
}

impl<L> DialFailed<L> {
    /// One that the peer is not told of.
    pub(crate) fn silent(link: L, error: DialError) -> Self {
        debug_assert!(!error.is_proved());
        Self { link, reply: None, error }
    }
}

impl<L> fmt::Debug for DialFailed<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DialFailed").field("error", &self.error).finish_non_exhaustive()
    }
}

impl Dialer {
    /// A dialer for any number of handshakes.
    pub fn new(config: DialerConfig) -> Self {
        Self(Arc::new(config))
    }

    /// Its configuration.
    pub fn config(&self) -> &DialerConfig {
        &self.0
    }

    /// Begins one handshake on `link`: the state that waits for the challenge, and the Hello to
    /// send. Uses `fresh` up (H-2).
    ///
    /// # Errors
    ///
    /// [`DialError::Direction`], [`DialError::NoSuchKey`] or [`DialError::NotInVersion1`]: mistakes
    /// of this end, before anything is sent.
    pub fn begin<L>(
        &self,
        link: L,
        target: DialTarget,
        binding: ChannelBinding,
        fresh: Fresh,
    ) -> Result<(AwaitChallenge<L>, Hello), DialFailed<L>> {
        let config = &self.0;
        let local = &config.local;
        let offered = config.flags.offered_in(&binding);
        let v1 = config.version == Version::V1;
        if local.replica >= target.peer {
            let error = DialError::Direction { local: local.replica, peer: target.peer };
            return Err(DialFailed::silent(link, error)); // H-1
        }
        if v1 && (config.flags.offered() != Flags::NONE || target.lane != 0) {
            return Err(DialFailed::silent(link, DialError::NotInVersion1)); // H-13
        }
        let pair = Pair::new(local.replica, target.peer);
        let Some(key) = config.ring.serving(pair).nth(target.key_index) else {
            let error = DialError::NoSuchKey { keys: config.ring.serving(pair).count() };
            return Err(DialFailed::silent(link, error));
        };

        let mut hello = Hello::new(local.cluster, local.replica, config.version);
        hello.fields_mut().nonce = fresh.nonce.into_bytes();
        let mut ephemeral = None;
        if !v1 {
            hello.set_release(local.release);
            let fields = hello.fields_mut();
            fields.flags = offered.0.into();
            fields.key_id = key.id();
            fields.incarnation = local.incarnation.into();
            fields.lane = target.lane.into();
            if offered.contains(Flags::EPHEMERAL) {
                fields.ephemeral = wiping(|| fresh.ephemeral.share());
                ephemeral = Some(fresh.ephemeral);
            }
        }
        let state = AwaitChallenge {
            link,
            config: Arc::clone(config),
            peer: target.peer,
            context: RejectContext { app: local.app.clone(), key: Some(Arc::clone(key)), hello, binding },
            key: Arc::clone(key),
            ephemeral,
        };
        Ok((state, hello))
    }
}

/// The Hello is out; the challenge, or a reject, comes next.
pub struct AwaitChallenge<L> {
    link: L,
    config: Arc<DialerConfig>,
    peer: ReplicaId,
    key: Arc<Key>,
    context: RejectContext,
    ephemeral: Option<EphemeralSecret>,
}

impl<L> AwaitChallenge<L> {
    /// Takes the acceptor's answer: the link is then up, and the Finish must be sent before
    /// anything else.
    ///
    /// # Errors
    ///
    /// [`DialFailed`] with the first [`DialError`] found (D-10), and the reject owed to an acceptor
    /// that has proved itself (D-12).
    pub fn receive(self, frame: &[u8; 256]) -> Result<(Authenticated<L>, Finish), DialFailed<L>> {
        wiping(|| self.answer(frame))
    }

    fn answer(mut self, frame: &[u8; 256]) -> Result<(Authenticated<L>, Finish), DialFailed<L>> {
        let challenge = match self.verify(frame) {
            Ok(challenge) => challenge,
            Err(error) => return Err(DialFailed::silent(self.link, error)),
        };
        // From here on the peer has proved itself; what is wrong now is its own doing.
        match self.check(&challenge) {
            Ok(()) => self.finish(&challenge),
            Err(error) => Err(self.refuse(&challenge, error)),
        }
    }

    /// The link, to read the challenge from. No frame of it is the embedder's.
    pub fn link_mut(&mut self) -> &mut L {
        &mut self.link
    }

    /// Gives the handshake up, for instance when its time is over.
    pub fn abandon(self) -> L {
        self.link
    }

    /// D-10, up to the MAC. In version 1 this finds out which key it is (D-6).
    fn verify(&mut self, frame: &[u8; 256]) -> Result<Challenge, DialError> {
        let (config, hello) = (&*self.config, &self.context.hello);
        let challenge = Challenge::parse(frame)?;
        if challenge.version() != config.version {
            let (asked, answered) = (config.version, challenge.version());
            return Err(DialError::Version { asked, answered }); // H-6
        }
        // H-7. A reject comes before cluster and id, for it may be about just these.
        if let Some(reject) = self.context.read(&challenge) {
            return Err(DialError::Rejected(reject));
        }
        if challenge.cluster() != hello.cluster() {
            return Err(DialError::Cluster { expected: hello.cluster(), found: challenge.cluster() });
        }
        if challenge.sender() != self.peer {
            return Err(DialError::WrongPeer { expected: self.peer, found: challenge.sender() });
        }
        let theirs = challenge.fields();
        if theirs.nonce == [0; 32] {
            return Err(DialError::ZeroNonce); // H-2
        }
        let key = match config.version {
            Version::V1 => {
                let pair = Pair::new(config.local.replica, self.peer);
                let mac = |key: &Key| self.v1(&challenge).mac(key, Direction::Acceptor); // H-4
                config.ring.made_with(pair, &theirs.mac, mac)
            }
            Version::V2 => {
                let RejectContext { binding, .. } = &self.context;
                let mac = acceptor_v2(&config.local.app, &self.key, hello.bytes(), &challenge, binding); // H-5
                mac.matches(&theirs.mac).then_some(&self.key)
            }
        };
        self.key = Arc::clone(key.ok_or(DialError::Mac)?); // H-3
        Ok(challenge)
    }

    /// D-10, behind the MAC.
    fn check(&self, challenge: &Challenge) -> Result<(), DialError> {
        let config = &*self.config;
        let (ours, theirs) = (self.context.hello.fields(), challenge.fields());
        if config.version == Version::V2 {
            if theirs.key_id != ours.key_id {
                return Err(DialError::NotRepeated { field: "key_id" });
            }
            if theirs.lane != ours.lane {
                return Err(DialError::NotRepeated { field: "lane" });
            }
            let (selected, offered) = (theirs.flags(), ours.flags());
            if !offered.contains(selected) {
                return Err(DialError::NotOffered { selected, offered });
            }
            let required = config.flags.required;
            if !selected.contains(required) {
                return Err(DialError::Policy { required, selected });
            }
            if !config.releases.contains(&challenge.release()) {
                let (lowest, highest) = (*config.releases.start(), *config.releases.end());
                return Err(DialError::Release { found: challenge.release(), lowest, highest });
            }
        }
        Ok(())
    }

    /// D-12: what a proved peer answered does not suit this end, and it is told so.
    fn refuse(self, challenge: &Challenge, error: DialError) -> DialFailed<L> {
        let RejectContext { hello, binding, .. } = &self.context;
        let refused = Refused { local: &self.config.local, key: &self.key, hello, challenge, binding };
        let reply = error.status().filter(|_| error.is_proved()).map(|status| refused.make(status));
        DialFailed { link: self.link, reply, error }
    }

    fn finish(mut self, challenge: &Challenge) -> Result<(Authenticated<L>, Finish), DialFailed<L>> {
        let key_id = self.key.id();
        let (config, hello) = (&*self.config, &self.context.hello);
        let local = &config.local;
        let selected = challenge.fields().flags();

        // K-4: only now, after the peer's MAC verified, is the private key used.
        let shared = match self.ephemeral.take() {
            Some(secret) if selected.contains(Flags::EPHEMERAL) => {
                match secret.agree(&challenge.fields().ephemeral) {
                    Some(shared) => shared,
                    None => return Err(self.refuse(challenge, DialError::LowOrderShare)),
                }
            }
            _ => KeyBytes::new(&[0; 32]),
        };

        let mut finish = Finish::new(local.cluster, local.replica, config.version);
        let session = match config.version {
            Version::V1 => {
                finish.fields_mut().mac = self.v1(challenge).mac(&self.key, Direction::Dialer).into_bytes();
                None
            }
            Version::V2 => {
                finish.set_release(local.release);
                let fields = finish.fields_mut();
                fields.flags = selected.0.into();
                fields.key_id = key_id;
                fields.incarnation = local.incarnation.into();
                fields.lane = hello.fields().lane;
                let binding = &self.context.binding;
                let mac = dialer_v2(&local.app, &self.key, hello, challenge, &finish, binding);
                finish.fields_mut().mac = mac.into_bytes();
                Some(session_key(&local.app, &self.key, hello, challenge, &finish, binding, &shared))
            }
        };
        let peer = Peer {
            replica: self.peer,
            side: Side::Dialer,
            version: config.version,
            authentication: Authentication::PreSharedKey(key_id),
            flags: selected,
            release: challenge.release(),
            incarnation: challenge.fields().incarnation.get(),
            lane: challenge.fields().lane.get(),
        };
        let acceptor = late_reject::Acceptor { replica: self.peer, nonce: challenge.fields().nonce };
        let late_reject = LateRejectVerifier::new(self.context, Some(acceptor)); // H-9
        let session = Session::new(local, peer, session, Some(late_reject));
        Ok((Authenticated::new(self.link, session), finish))
    }

    fn v1<'a>(&'a self, challenge: &'a Challenge) -> TranscriptV1<'a> {
        let local = &self.config.local;
        TranscriptV1 {
            app: &local.app,
            cluster: local.cluster,
            dialer: local.replica,
            acceptor: self.peer,
            dialer_nonce: &self.context.hello.fields().nonce,
            acceptor_nonce: &challenge.fields().nonce,
            binding: &self.context.binding,
        }
    }
}

impl<L> fmt::Debug for AwaitChallenge<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwaitChallenge").field("peer", &self.peer).finish_non_exhaustive()
    }
}
