//! The acceptor's states: `Acceptor::begin` → [`AwaitHello`] → [`AwaitFinish`] → [`Verified`] →
//! [`Authenticated`].

use alloc::sync::Arc;
use core::fmt;
use core::ops::RangeInclusive;

use replink_frame::{
    Challenge, Finish, Flags, GenericHeader, HandshakeFields, HandshakeFrameError, Hello, ReplicaId, Status,
    Version,
};

use crate::authenticated::{Authentication, Peer, Side};
use crate::dialer_reject::{self, Refused};
use crate::key_bytes::{KeyBytes, wiping};
use crate::mac::{Direction, TranscriptV1, acceptor_v2, dialer_v2, session_key};
use crate::reject_frame::{RejectProof, RejectReason, reject};
use crate::secret::Pair;
use crate::{
    AcceptFailed, Authenticated, ChannelBinding, EphemeralSecret, FlagPolicy, Fresh, Key, KeyRing, Local,
    Rejected, Roster, Session,
};

/// How this node answers those who connect.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AcceptorConfig {
    /// Who this node is.
    pub local: Local,
    /// The keys that peers may use (K-2).
    pub ring: Arc<KeyRing>,
    /// The replicas that may connect (H-1).
    pub roster: Roster,
    /// The lowest version to accept (H-6).
    pub min_version: Version,
    /// What to select and what to insist on.
    pub flags: FlagPolicy,
    /// The peers' software releases to talk to; not asked in version 1.
    pub releases: RangeInclusive<u32>,
}

impl AcceptorConfig {
    /// Version 2 only, peers of any release, links without further protection.
    pub fn new(local: Local, ring: Arc<KeyRing>, roster: Roster) -> Self {
        let (flags, releases) = (FlagPolicy::default(), 0..=u32::MAX);
        Self { local, ring, roster, min_version: Version::V2, flags, releases }
    }

    /// The same with this lowest version.
    pub fn min_version(self, min_version: Version) -> Self {
        Self { min_version, ..self }
    }

    /// The same with this policy.
    pub fn flags(self, flags: FlagPolicy) -> Self {
        Self { flags, ..self }
    }

    /// The same for peers of these releases.
    pub fn releases(self, releases: RangeInclusive<u32>) -> Self {
        Self { releases, ..self }
    }
}

/// Answers handshakes of peers with a lower replica id (H-1).
#[derive(Clone, Debug)]
pub struct Acceptor(Arc<AcceptorConfig>);

/// Whether this node has room for one more link. The last check of a Hello (H-11).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Availability {
    /// Come in.
    Open,
    /// Too many handshakes are under way.
    Busy {
        /// When the peer should come back, in milliseconds.
        retry_after_ms: u32,
    },
    /// This node is shutting down.
    Draining {
        /// When the peer should come back, in milliseconds.
        retry_after_ms: u32,
    },
}

impl Acceptor {
    /// An acceptor for any number of handshakes.
    pub fn new(config: AcceptorConfig) -> Self {
        Self(Arc::new(config))
    }

    /// Its configuration.
    pub fn config(&self) -> &AcceptorConfig {
        &self.0
    }

    /// Begins one handshake on `link`.
    pub fn begin<L>(&self, link: L, binding: ChannelBinding) -> AwaitHello<L> {
        AwaitHello { link, config: Arc::clone(&self.0), binding, key_index: 0 }
    }
}

/// Nothing has come yet; a Hello must be first.
pub struct AwaitHello<L> {
    link: L,
    config: Arc<AcceptorConfig>,
    binding: ChannelBinding,
    key_index: usize,
}

impl<L> AwaitHello<L> {
    /// Answers a version 1 Hello, which names no key, with this one of the keys for its replica instead of the first:
    /// behind the last comes the first again (K-2). A Hello that names its key is answered with that.
    pub fn trying_key(self, key_index: usize) -> Self {
        Self { key_index, ..self }
    }

    /// Takes the first 256 bytes: the state that waits for the Finish, and the challenge to send.
    /// Uses `fresh` up (H-2).
    ///
    /// # Errors
    ///
    /// [`Rejected`] with the first check of H-11 that failed, and the reject owed to the peer.
    pub fn receive(
        self,
        frame: &[u8; 256],
        availability: Availability,
        fresh: Fresh,
    ) -> Result<(AwaitFinish<L>, Challenge), Rejected<L>> {
        wiping(|| self.answer(frame, availability, fresh))
    }

    fn answer(
        self,
        frame: &[u8; 256],
        availability: Availability,
        fresh: Fresh,
    ) -> Result<(AwaitFinish<L>, Challenge), Rejected<L>> {
        let config = &*self.config;
        let local = &config.local;
        let nonce = fresh.nonce.into_bytes();
        let (hello, key) = match check_hello(config, frame, self.key_index, availability) {
            Ok(found) => found,
            Err(refusal) => {
                let proof = |id, claimed| {
                    let key = config.ring.find(id, Pair::new(claimed, local.replica))?;
                    Some(RejectProof { key, nonce, binding: &self.binding })
                };
                let (reply, rejection) = reject(local, frame, &refusal, proof);
                return Err(Rejected::new(self.link, reply, rejection));
            }
        };

        let key = Arc::clone(key);
        let mut challenge = Challenge::new(local.cluster, local.replica, hello.version());
        challenge.fields_mut().nonce = nonce;
        let mut ephemeral = None;
        let mac = match hello.version() {
            Version::V1 => v1(config, &hello, &challenge, &self.binding).mac(&key, Direction::Acceptor),
            Version::V2 => {
                let selected = config.flags.select(hello.fields().flags());
                challenge.set_release(local.release);
                let fields = challenge.fields_mut();
                fields.flags = selected.0.into();
                fields.key_id = key.id();
                fields.incarnation = local.incarnation.into();
                fields.lane = hello.fields().lane;
                if selected.contains(Flags::EPHEMERAL) {
                    fields.ephemeral = fresh.ephemeral.share();
                    ephemeral = Some(fresh.ephemeral);
                }
                acceptor_v2(&local.app, &key, hello.bytes(), &challenge, &self.binding)
            }
        };
        challenge.fields_mut().mac = mac.into_bytes();
        let state = AwaitFinish {
            link: self.link,
            handshake: Handshake { config: self.config, binding: self.binding, key, hello, challenge },
            ephemeral,
        };
        Ok((state, challenge))
    }

    /// The link, to read the Hello from. No frame of it is the embedder's.
    pub fn link_mut(&mut self) -> &mut L {
        &mut self.link
    }

    /// Gives the handshake up, for instance when its time is over.
    pub fn abandon(self) -> L {
        self.link
    }
}

/// H-11: the checks of a Hello, in the order in which they count.
fn check_hello<'a>(
    config: &'a AcceptorConfig,
    frame: &[u8; 256],
    key_index: usize,
    availability: Availability,
) -> Result<(Hello, &'a Arc<Key>), RejectReason> {
    let hello = parse_hello(frame, config.min_version)?;
    let fields = hello.fields();
    let anonymous = fields.nonce == [0; 32];
    // H-6. A version 1 Hello without a nonce is one of a node that does not authenticate; it is
    // told so below, whatever the lowest version is (H-12, D-2).
    if hello.version() < config.min_version && !anonymous {
        return Err(Status::UNSUPPORTED_VERSION.into());
    }
    if hello.cluster() != config.local.cluster {
        return Err(Status::CLUSTER_MISMATCH.into());
    }
    check_dialer(hello.sender(), config.local.replica, &config.roster)?;
    if anonymous {
        return Err(Status::AUTH_REQUIRED.into()); // H-2, H-12
    }
    let pair = Pair::new(hello.sender(), config.local.replica);
    let key = match hello.version() {
        Version::V1 => config.ring.serving_in_turn(pair, key_index), // D-6
        Version::V2 => config.ring.find(fields.key_id, pair),
    };
    let key = key.ok_or(Status::UNKNOWN_KEY)?; // K-2
    if hello.version() == Version::V2 && !config.releases.contains(&hello.release()) {
        return Err(Status::RELEASE_MISMATCH.into());
    }
    let missing = config.flags.required.without(fields.flags());
    if missing != Flags::NONE {
        return Err(RejectReason { missing, ..Status::POLICY_MISMATCH.into() });
    }
    match availability {
        Availability::Open => Ok((hello, key)),
        Availability::Busy { retry_after_ms } => Err(RejectReason { retry_after_ms, ..Status::BUSY.into() }),
        Availability::Draining { retry_after_ms } => {
            Err(RejectReason { retry_after_ms, ..Status::DRAINING.into() })
        }
    }
}

/// Command, size, version, unused bytes. A version below the lowest one comes before the bytes
/// that it leaves unused (H-11).
fn parse_hello(frame: &[u8; 256], min_version: Version) -> Result<Hello, RejectReason> {
    Hello::parse(frame).map_err(|error| {
        let version = HandshakeFields::view(GenericHeader::view(frame)).version;
        let too_low = Version::from_wire(version).is_some_and(|version| version < min_version);
        match error {
            HandshakeFrameError::UnusedByte { .. } if too_low => Status::UNSUPPORTED_VERSION.into(),
            _ => error.into(),
        }
    })
}

/// H-1, from the acceptor's side.
pub(crate) fn check_dialer(dialer: ReplicaId, local: ReplicaId, roster: &Roster) -> Result<(), Status> {
    if dialer >= local {
        Err(Status::DIRECTIONAL_RULE)
    } else if roster.contains(dialer) {
        Ok(())
    } else {
        Err(Status::NOT_ALLOWED)
    }
}

/// The handshake so far, from the challenge on.
struct Handshake {
    config: Arc<AcceptorConfig>,
    binding: ChannelBinding,
    key: Arc<Key>,
    hello: Hello,
    challenge: Challenge,
}

impl Handshake {
    /// A late reject (H-9). It repeats the challenge's nonce; its MAC covers the status, so it
    /// can't be taken for the challenge (D-7).
    fn reject<L>(self, link: L, refusal: &RejectReason) -> Rejected<L> {
        let nonce = self.challenge.fields().nonce;
        let proof = |_, _| Some(RejectProof { key: &self.key, nonce, binding: &self.binding });
        let (reply, rejection) = reject(&self.config.local, self.hello.bytes(), refusal, proof);
        Rejected::new(link, reply, rejection)
    }

    /// What is left of it to a reject of the dialer's.
    fn refused(&self) -> Refused<'_> {
        let Self { config, binding, key, hello, challenge } = self;
        Refused { local: &config.local, key, hello, challenge, binding }
    }

    /// In the order of D-4. In version 1 this finds out which key it is (D-6).
    fn check_finish(&mut self, frame: &[u8; 256]) -> Result<Finish, RejectReason> {
        let (local, hello) = (&self.config.local, &self.hello);
        let finish = Finish::parse(frame)?; // H-8, H-10
        if finish.version() != hello.version() {
            return Err(Status::UNSUPPORTED_VERSION.into()); // H-6
        }
        if finish.cluster() != local.cluster {
            return Err(Status::CLUSTER_MISMATCH.into());
        }
        if finish.sender() != hello.sender() {
            return Err(Status::DIRECTIONAL_RULE.into()); // H-1: another replica than the one that dialed
        }
        let received = &finish.fields().mac;
        let key = match hello.version() {
            Version::V1 => {
                let transcript = v1(&self.config, hello, &self.challenge, &self.binding);
                let pair = Pair::new(hello.sender(), local.replica);
                self.config.ring.made_with(pair, received, |key| transcript.mac(key, Direction::Dialer))
            }
            Version::V2 => {
                let mac = dialer_v2(&local.app, &self.key, hello, &self.challenge, &finish, &self.binding);
                mac.matches(received).then_some(&self.key)
            }
        };
        let key = Arc::clone(key.ok_or(Status::MAC_MISMATCH)?); // H-3
        if hello.version() == Version::V2 {
            let (theirs, hello_fields) = (finish.fields(), hello.fields());
            let repeated = theirs.flags == self.challenge.fields().flags
                && theirs.key_id == hello_fields.key_id
                && theirs.incarnation == hello_fields.incarnation
                && theirs.lane == hello_fields.lane
                && finish.release() == hello.release();
            if !repeated {
                return Err(Status::MALFORMED_FRAME.into());
            }
        }
        self.key = key;
        Ok(finish)
    }
}

fn v1<'a>(
    config: &'a AcceptorConfig,
    hello: &'a Hello,
    challenge: &'a Challenge,
    binding: &'a ChannelBinding,
) -> TranscriptV1<'a> {
    let local = &config.local;
    TranscriptV1 {
        app: &local.app,
        cluster: local.cluster,
        dialer: hello.sender(),
        acceptor: local.replica,
        dialer_nonce: &hello.fields().nonce,
        acceptor_nonce: &challenge.fields().nonce,
        binding,
    }
}

/// The challenge is out; the dialer's Finish comes next.
pub struct AwaitFinish<L> {
    link: L,
    handshake: Handshake,
    ephemeral: Option<EphemeralSecret>,
}

impl<L> AwaitFinish<L> {
    /// Takes the Finish: the peer has then proved itself, and this end decides whether to
    /// [`admit`](Verified::admit) it.
    ///
    /// # Errors
    ///
    /// [`AcceptFailed::Rejected`] with the late reject owed to the peer (H-9);
    /// [`AcceptFailed::RejectedByPeer`] where it sent a reject of its own instead (D-12).
    pub fn receive(self, frame: &[u8; 256]) -> Result<Verified<L>, AcceptFailed<L>> {
        wiping(|| self.verify(frame))
    }

    fn verify(self, frame: &[u8; 256]) -> Result<Verified<L>, AcceptFailed<L>> {
        let Self { link, mut handshake, ephemeral } = self;
        if handshake.hello.version() == Version::V2 && dialer_reject::is_one(frame) {
            return Err(match handshake.refused().read(frame) {
                Ok(reject) => AcceptFailed::RejectedByPeer { link, reject },
                Err(refusal) => handshake.reject(link, &refusal).into(),
            });
        }
        let finish = match handshake.check_finish(frame) {
            Ok(finish) => finish,
            Err(refusal) => return Err(handshake.reject(link, &refusal).into()),
        };
        // K-4: only now, after the peer's MAC verified, is the private key used.
        let shared = match ephemeral {
            None => KeyBytes::new(&[0; 32]),
            Some(secret) => match secret.agree(&handshake.hello.fields().ephemeral) {
                Some(shared) => shared,
                None => return Err(handshake.reject(link, &Status::MALFORMED_FRAME.into()).into()),
            },
        };
        let Handshake { config, binding, key, hello, challenge } = &handshake;
        let version = hello.version();
        let session = match version {
            Version::V1 => None,
            Version::V2 => {
                Some(session_key(&config.local.app, key, hello, challenge, &finish, binding, &shared))
            }
        };
        let peer = Peer {
            replica: hello.sender(),
            side: Side::Acceptor,
            version,
            authentication: Authentication::PreSharedKey(key.id()),
            flags: challenge.fields().flags(),
            release: hello.release(),
            incarnation: hello.fields().incarnation.get(),
            lane: hello.fields().lane.get(),
        };
        let session = Session::new(&config.local, peer, session, None);
        Ok(Verified { link, handshake, session })
    }

    /// The replica that the peer claims to be.
    pub fn claimed(&self) -> ReplicaId {
        self.handshake.hello.sender()
    }

    /// The version that the peer asked for.
    pub fn version(&self) -> Version {
        self.handshake.hello.version()
    }

    /// What the Hello offers and the challenge does not select. A dialer that requires one of these
    /// and does not know D-12 leaves without a word; nothing of this is proved.
    pub fn declined(&self) -> Flags {
        let offered = self.handshake.hello.fields().flags();
        let selected = self.handshake.challenge.fields().flags();
        offered.without(selected)
    }

    /// The link, to read the Finish from. No frame of it is the embedder's.
    pub fn link_mut(&mut self) -> &mut L {
        &mut self.link
    }

    /// Gives the handshake up, for instance when its time is over.
    pub fn abandon(self) -> L {
        self.link
    }
}

/// The peer has proved who it is; whether it may stay is still this end's to say.
pub struct Verified<L> {
    link: L,
    handshake: Handshake,
    session: Session,
}

impl<L> Verified<L> {
    /// Who it is.
    pub fn peer(&self) -> &Peer {
        self.session.peer()
    }

    /// Takes the link: it is up.
    pub fn admit(self) -> Authenticated<L> {
        Authenticated::new(self.link, self.session)
    }

    /// Turns the proved peer away with a late reject (H-9), for instance with
    /// [`Status::DUPLICATE_REPLICA`]. `retry_after_ms` counts for Busy and Draining only.
    ///
    /// # Panics
    ///
    /// If `status` is ok: that would be no reject.
    pub fn refuse(self, status: Status, retry_after_ms: u32) -> Rejected<L> {
        assert!(!status.is_ok(), "a refusal needs a reason");
        let retry_after_ms = if status.carries_retry() { retry_after_ms } else { 0 };
        let refusal = RejectReason { retry_after_ms, ..status.into() };
        wiping(|| self.handshake.reject(self.link, &refusal))
    }
}

macro_rules! redacted_debug {
    ($($name:ident: $($field:ident).+;)*) => {$(
        impl<L> fmt::Debug for $name<L> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name))
                    .field("local", &self.$($field).+.local.replica)
                    .finish_non_exhaustive()
            }
        }
    )*};
}

redacted_debug! {
    AwaitHello: config;
    AwaitFinish: handshake.config;
    Verified: handshake.config;
}
