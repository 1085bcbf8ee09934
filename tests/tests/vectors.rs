//! Known answers for both roles, byte for byte, and every single-bit flip refused.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::sync::Arc;

use replink_frame::{
    ClusterId, ControlFrame, Flags, GenericHeader, GoodbyeReason, KeyId, ReplicaId, Version,
};
use replink_handshake::{
    Acceptor, AcceptorConfig, App, Authenticated, Availability, AwaitChallenge, AwaitFinish, AwaitHello,
    ChannelBinding, ControlMessage, DialError, DialTarget, Dialer, DialerConfig, EphemeralSecret, FlagPolicy,
    Fresh, Key, KeyRing, Local, Nonce, RECORD_OVERHEAD, RecordOpener, RecordSealer, Secret, cluster_id,
};
use replink_tests::fixtures::supports;
use replink_tests::frames::ROOMY;
use replink_tests::vectors::{self, VectorV1, VectorV2, unhex};
use replink_transport::{Inbound, Received};

/// What both kinds of vector have in common, as the API takes it.
struct Case {
    app: App,
    cluster: ClusterId,
    dialer: ReplicaId,
    acceptor: ReplicaId,
    secret: Vec<u8>,
    version: Version,
    flags: FlagPolicy,
    release: u32,
    lane: u16,
    incarnations: [u64; 2],
    binding: ChannelBinding,
    nonces: [[u8; 32]; 2],
    ephemeral: [[u8; 32]; 2],
}

impl Case {
    fn ring(&self) -> Arc<KeyRing> {
        Arc::new(KeyRing::new(Key::derive(&self.app, &Secret::new(self.secret.clone()).unwrap()), []))
    }

    fn local(&self, role: usize) -> Local {
        Local::new(self.app.clone(), self.cluster, [self.dialer, self.acceptor][role])
            .release(self.release)
            .incarnation(self.incarnations[role])
    }

    fn fresh(&self, role: usize) -> Fresh {
        Fresh::new(Nonce::new(self.nonces[role]).unwrap(), EphemeralSecret::new(self.ephemeral[role]))
    }

    fn dial(&self) -> (AwaitChallenge<()>, [u8; 256]) {
        let dialer = Dialer::new(
            DialerConfig::new(self.local(0), self.ring()).version(self.version).flags(self.flags),
        );
        let target = DialTarget::new(self.acceptor).lane(self.lane);
        let (state, hello) = dialer.begin((), target, self.binding, self.fresh(0)).unwrap();
        (state, *hello.bytes())
    }

    fn accept(&self) -> AwaitHello<()> {
        let acceptor = Acceptor::new(
            AcceptorConfig::new(self.local(1), self.ring(), [self.dialer].into_iter().collect())
                .min_version(Version::V1)
                .flags(self.flags),
        );
        acceptor.begin((), self.binding)
    }

    fn challenge(&self, hello: &[u8; 256]) -> (AwaitFinish<()>, [u8; 256]) {
        let (state, challenge) = self.accept().receive(hello, Availability::Open, self.fresh(1)).unwrap();
        (state, *challenge.bytes())
    }

    /// Both roles against the recorded frames, each on its own.
    fn check(&self, hello: &[u8; 256], challenge: &[u8; 256], finish: &[u8; 256]) -> [Authenticated<()>; 2] {
        let (dialing, our_hello) = self.dial();
        assert_eq!(&our_hello, hello, "hello");
        let (dialed, our_finish) = dialing.receive(challenge).unwrap();
        assert_eq!(our_finish.bytes(), finish, "finish");

        let (accepting, our_challenge) = self.challenge(hello);
        assert_eq!(&our_challenge, challenge, "challenge");
        let accepted = accepting.receive(finish).unwrap().admit();
        assert_eq!(dialed.peer().replica, self.acceptor);
        assert_eq!(accepted.peer().replica, self.dialer);
        [dialed, accepted]
    }
}

fn binding(mode: u8, exporter: [u8; 32]) -> ChannelBinding {
    match mode {
        0 => ChannelBinding::None,
        _ => ChannelBinding::TlsExporter(exporter),
    }
}

impl From<&VectorV1> for Case {
    fn from(vector: &VectorV1) -> Self {
        assert_eq!(cluster_id(&vector.cluster_name), ClusterId(vector.cluster_id));
        Self {
            app: App::new(&vector.app).unwrap(),
            cluster: ClusterId(vector.cluster_id),
            dialer: ReplicaId(vector.dialer),
            acceptor: ReplicaId(vector.acceptor),
            secret: vector.secret.clone(),
            version: Version::V1,
            flags: FlagPolicy::default(),
            release: 9, // version 1 must not send it
            lane: 0,
            incarnations: [8, 7],
            binding: binding(vector.mode, vector.exporter),
            nonces: [vector.nonce_d, vector.nonce_a],
            ephemeral: [[1; 32], [2; 32]],
        }
    }
}

impl From<&VectorV2> for Case {
    fn from(vector: &VectorV2) -> Self {
        assert_eq!(cluster_id(&vector.cluster_name), ClusterId(vector.cluster_id));
        let unused = [3; 32];
        Self {
            app: App::new(&vector.app).unwrap(),
            cluster: ClusterId(vector.cluster_id),
            dialer: ReplicaId(vector.dialer),
            acceptor: ReplicaId(vector.acceptor),
            secret: vector.secret.clone(),
            version: Version::V2,
            flags: supports(Flags(vector.flags)),
            release: vector.release,
            lane: vector.lane,
            incarnations: [vector.incarnation_d, vector.incarnation_a],
            binding: binding(vector.mode, vector.exporter),
            nonces: [vector.nonce_d, vector.nonce_a],
            ephemeral: [
                vector.ephemeral_secret_d.unwrap_or(unused),
                vector.ephemeral_secret_a.unwrap_or(unused),
            ],
        }
    }
}

#[test]
fn version_1_both_roles() {
    let vectors = vectors::v1();
    assert_eq!(vectors.len(), 10);
    for vector in &vectors {
        let ends = Case::from(vector).check(&vector.hello, &vector.challenge, &vector.finish);
        assert_eq!(vector.challenge[160..192], vector.mac_a);
        assert_eq!(vector.finish[160..192], vector.mac_d);
        for end in ends {
            assert_eq!(end.peer().version, Version::V1);
            assert!(end.into_parts().1.export("state-transfer").is_err(), "H-13: no session key");
        }
    }
}

#[test]
fn version_2_both_roles() {
    let vectors = vectors::v2();
    assert_eq!(vectors.len(), 20);
    for vector in &vectors {
        let case = Case::from(vector);
        assert_eq!(case.ring().offered().id(), KeyId(vector.key_id));
        for end in case.check(&vector.hello, &vector.challenge, &vector.finish) {
            assert_eq!(end.peer().flags, Flags(vector.flags));
            assert_eq!(end.peer().lane, vector.lane);
            assert_eq!(end.peer().release, vector.release);
            let exported = end.into_parts().1.export("state-transfer").unwrap();
            assert_eq!(exported.bytes()[..], unhex(&vector.subkeys["export state-transfer"]));
        }
    }
}

#[test]
fn pair_secrets() {
    let mut pairs = 0;
    for vector in vectors::v2() {
        if !vector.pairwise {
            assert_eq!(vector.secret, vector.root_secret);
            continue;
        }
        pairs += 1;
        let app = App::new(&vector.app).unwrap();
        let root = Secret::new(vector.root_secret.clone()).unwrap();
        let (a, b) = (ReplicaId(vector.dialer), ReplicaId(vector.acceptor));
        for (a, b) in [(a, b), (b, a)] {
            // K-3: the id of the derived key is the vector's, so its secret is.
            let key = Key::derive(&app, &Secret::for_pair(&app, &root, a, b));
            assert_eq!(key.id(), KeyId(vector.key_id));
        }
    }
    assert_eq!(pairs, 5);
}

#[test]
fn busy_is_an_authenticated_reject() {
    for vector in vectors::v2() {
        let case = Case::from(&vector);
        let busy = Availability::Busy { retry_after_ms: 250 };
        let rejected = case.accept().receive(&vector.hello, busy, case.fresh(1)).unwrap_err();
        assert!(rejected.rejection().authenticated);
        let ((), reply, _) = rejected.into_parts();
        assert_eq!(reply, vector.reject_busy);

        let failed = case.dial().0.receive(&reply).unwrap_err();
        let DialError::Rejected(reject) = failed.error else { panic!("{:?}", failed.error) };
        assert!(reject.authenticated);
        assert_eq!((reject.status.0, reject.retry_after_ms), (9, 250));
    }
}

#[test]
fn goodbye_of_the_dialer() {
    for vector in vectors::v2() {
        let [dialed, accepted] = Case::from(&vector).check(&vector.hello, &vector.challenge, &vector.finish);
        let (_, mut sending) = dialed.into_parts().1.split();
        let goodbye: ControlFrame = sending.control_mut().goodbye(GoodbyeReason::SHUTDOWN).unwrap();
        assert_eq!(goodbye.header().bytes(), &vector.goodbye);

        let (mut receiving, _) = accepted.into_parts().1.split();
        let opened = receiving.control_mut().open_control(GenericHeader::view(&vector.goodbye)).unwrap();
        assert_eq!(opened, ControlMessage::Goodbye(GoodbyeReason::SHUTDOWN));
        receiving.control_mut().open_control(GenericHeader::view(&vector.goodbye)).unwrap_err(); // replayed
    }
}

fn flips(frame: &[u8; 256]) -> impl Iterator<Item = [u8; 256]> {
    (0..256 * 8).map(|bit| {
        let mut flipped = *frame;
        flipped[bit / 8] ^= 1 << (bit % 8);
        flipped
    })
}

/// H-5: every byte of all three frames is authenticated. With all flags in play.
#[test]
fn every_bit_flip_of_a_version_2_handshake_is_refused() {
    let vector = &vectors::v2()[2];
    assert_eq!(vector.flags, 12);
    let case = Case::from(vector);
    let mut accepted_hellos = 0;
    for hello in flips(&vector.hello) {
        // A Hello that still reads as one is answered; the dialer then refuses the answer, and
        // the acceptor the Finish.
        if let Ok((accepting, challenge)) = case.accept().receive(&hello, Availability::Open, case.fresh(1)) {
            accepted_hellos += 1;
            let failed = case.dial().0.receive(challenge.bytes()).unwrap_err();
            assert!(failed.reply.is_none(), "who proves nothing is owed nothing");
            assert!(accepting.receive(&vector.finish).is_err());
        }
    }
    assert!(accepted_hellos > 0);
    for challenge in flips(&vector.challenge) {
        let failed = case.dial().0.receive(&challenge).unwrap_err();
        assert!(failed.reply.is_none(), "who proves nothing is owed nothing");
    }
    for finish in flips(&vector.finish) {
        assert!(case.challenge(&vector.hello).0.receive(&finish).is_err());
    }
    for reject in flips(&vector.reject_busy) {
        if let DialError::Rejected(reject) = case.dial().0.receive(&reject).unwrap_err().error {
            assert!(!reject.authenticated, "a flipped reject is a hint");
        }
    }
}

/// H-4 covers less than H-5, but its frames have no byte that may vary.
#[test]
fn every_bit_flip_of_a_version_1_handshake_is_refused() {
    let vector = &vectors::v1()[1];
    let case = Case::from(vector);
    for hello in flips(&vector.hello) {
        if let Ok((accepting, challenge)) = case.accept().receive(&hello, Availability::Open, case.fresh(1)) {
            let failed = case.dial().0.receive(challenge.bytes()).unwrap_err();
            assert!(failed.reply.is_none(), "who proves nothing is owed nothing");
            assert!(accepting.receive(&vector.finish).is_err());
        }
    }
    for challenge in flips(&vector.challenge) {
        let failed = case.dial().0.receive(&challenge).unwrap_err();
        assert!(failed.reply.is_none(), "who proves nothing is owed nothing");
    }
    for finish in flips(&vector.finish) {
        assert!(case.challenge(&vector.hello).0.receive(&finish).is_err());
    }
}

/// Where flag 8 was selected: what the dialer seals with, and what the acceptor opens with.
fn records_of(vector: &VectorV2) -> (RecordSealer, RecordOpener) {
    let [dialed, accepted] = Case::from(vector).check(&vector.hello, &vector.challenge, &vector.finish);
    let sealer = dialed.into_parts().1.split().1.into_parts().1.unwrap();
    let opener = accepted.into_parts().1.split().0.into_parts().1.unwrap();
    (sealer, opener)
}

fn sealed_vectors() -> Vec<VectorV2> {
    let sealed: Vec<_> =
        vectors::v2().into_iter().filter(|vector| Flags(vector.flags).contains(Flags::SEALED)).collect();
    assert_eq!(sealed.len(), 10);
    sealed
}

/// Seals `plaintext`, opens what comes of it, and returns that.
fn seal_and_open(sealer: &mut RecordSealer, opener: &mut RecordOpener, plaintext: &[u8]) -> Vec<u8> {
    let mut record = vec![0xaa; plaintext.len() + RECORD_OVERHEAD];
    // In two pieces, of which one may be empty.
    let (first, second) = plaintext.split_at(plaintext.len() / 3);
    sealer.seal([first, second], &mut record).unwrap();
    let (head, behind) = record.split_first_chunk().unwrap();
    let len = opener.ciphertext_len(*head).unwrap();
    let (ciphertext, tag) = behind.split_at(len);
    let mut result = vec![0xbb; len];
    opener.open(ciphertext, tag.try_into().unwrap(), &mut result).unwrap();
    assert!(result == plaintext);
    record
}

/// Section 5: the records of the dialer, sealed and opened.
#[test]
fn records_of_the_dialer() {
    for vector in sealed_vectors() {
        let (mut sealer, mut opener) = records_of(&vector);
        assert_eq!(vector.records.len(), 8);
        for record in &vector.records {
            assert_eq!(sealer.number(), record.number);
            assert!(seal_and_open(&mut sealer, &mut opener, &record.plaintext) == record.record);
        }
    }
}

/// The same as a stream of frames, which begin and end anywhere in records (S-1).
#[test]
fn frames_of_the_dialers_records() {
    for vector in sealed_vectors() {
        let accepted =
            Case::from(&vector).check(&vector.hello, &vector.challenge, &vector.finish).into_iter().nth(1);
        let receiving = accepted.unwrap().into_parts().1.split().0;
        let mut inbound = Inbound::new(receiving, ROOMY.frame_size);
        let (mut wire, mut stream, mut opened) = (Vec::new(), Vec::new(), Vec::new());
        // The one behind that seals a single byte, which begins no frame.
        for record in vector.records.iter().take_while(|record| record.plaintext.len() > 1) {
            wire.extend_from_slice(&record.record);
            stream.extend_from_slice(&record.plaintext);
        }
        for bytes in wire.chunks(100) {
            assert_eq!(inbound.push(bytes), bytes.len());
            while let Some(received) = inbound.next().unwrap() {
                match received {
                    Received::Frame(frame) => {
                        opened.extend_from_slice(frame.header().bytes());
                        opened.extend_from_slice(frame.body());
                    }
                    Received::Control(control) => panic!("{control:?}"),
                }
            }
        }
        assert!(opened == stream);
        assert!(inbound.is_at_frame_boundary());
    }
}

/// S-4, around and behind steps to next secrets.
#[test]
fn records_much_later() {
    for vector in sealed_vectors() {
        let (mut sealer, mut opener) = records_of(&vector);
        assert!(vector.records_much_later.len() >= 4);
        for later in &vector.records_much_later {
            while sealer.number() < later.number {
                seal_and_open(&mut sealer, &mut opener, b"whatever");
            }
            assert!(
                seal_and_open(&mut sealer, &mut opener, &later.plaintext) == later.record,
                "{}",
                later.number
            );
        }
    }
}
