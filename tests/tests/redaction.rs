//! No `Debug` or `Display` of the handshake crate shows a secret: neither raw, nor in
//! hexadecimal, nor as an array of numbers.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::fmt::{Debug, Display};

use replink_frame::{Flags, GenericHeader, GoodbyeReason, ReplicaId, Status, Version};
use replink_handshake::{
    Acceptor, App, Availability, ChannelBinding, DialTarget, Dialer, EphemeralSecret, Fresh, Key, Nonce,
    Secret,
};
use replink_tests::fixtures::{Sides, fresh, key, rejected_by_peer, ring};
use replink_tests::forge::{Forge, subkey};

/// As many bytes of a secret in a row as nothing may show.
const WINDOW: usize = 8;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

/// What must not be shown, by name.
struct Secrets(Vec<(&'static str, Vec<u8>)>);

impl Secrets {
    /// The name of the secret of which `text` shows a part, if any.
    fn shown_in(&self, text: &str) -> Option<&'static str> {
        let compact: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let shown = |window: &[u8]| {
            let list = |show: fn(&u8) -> String| window.iter().map(show).collect::<Vec<_>>().join(",");
            let hex = hex(window);
            let raw = text.as_bytes().windows(WINDOW).any(|shown| shown == window);
            raw || compact.to_lowercase().contains(&hex)
                || compact.contains(&list(u8::to_string))
                || compact.to_lowercase().contains(&list(|byte| format!("{byte:x}")))
                || compact.to_lowercase().contains(&list(|byte| format!("0x{byte:02x}")))
        };
        let shown = |secret: &[u8]| secret.windows(WINDOW).any(shown);
        self.0.iter().find(|(_, secret)| shown(secret)).map(|(name, _)| *name)
    }

    fn absent(&self, text: &str) {
        assert_eq!(self.shown_in(text), None, "{text}");
    }

    fn absent_from_debug(&self, value: &impl Debug) {
        for text in
            [format!("{value:?}"), format!("{value:#?}"), format!("{value:x?}"), format!("{value:X?}")]
        {
            assert!(!text.is_empty());
            self.absent(&text);
        }
    }

    fn absent_from_display(&self, value: &impl Display) {
        self.absent(&value.to_string());
        self.absent(&format!("{value:#}"));
    }
}

/// A secret that is no words, for words are in every message.
const KNOWN: &[u8] = b"kQ7vZp2xWn9RtY4uLs6bHd1mXc8fJg3eVa5o";

const EXPORTER: [u8; 32] = [
    211, 18, 97, 44, 151, 6, 83, 129, 201, 35, 76, 250, 14, 163, 58, 117, 9, 222, 187, 64, 31, 142, 92, 240,
    5, 173, 68, 110, 197, 52, 239, 81,
];

/// Randomness whose every part differs, so that a part can be found.
fn known_fresh(seed: u8) -> (Fresh, [u8; 32]) {
    let bytes = *blake3::hash(&[seed]).as_bytes();
    (Fresh::new(fresh(seed).nonce, EphemeralSecret::new(bytes)), bytes)
}

fn sides(version: Version) -> Sides {
    let mut sides = Sides::new(version);
    if version == Version::V2 {
        sides = Sides::with_flags(Flags::SEALED);
    }
    sides.dialer.ring = ring(&[KNOWN]);
    sides.acceptor.ring = ring(&[KNOWN]);
    sides.dialer_binding = ChannelBinding::TlsExporter(EXPORTER);
    sides.acceptor_binding = sides.dialer_binding;
    sides
}

/// All that comes from the secret alone.
fn long_lived() -> Secrets {
    let forge = Forge::new(KNOWN);
    Secrets(vec![
        ("secret", KNOWN.to_vec()),
        ("version 1 MAC key", forge.mac_key(1).to_vec()),
        ("version 2 MAC key", forge.mac_key(2).to_vec()),
        ("exporter", EXPORTER.to_vec()),
    ])
}

/// The search finds what it looks for; else all that follows says nothing.
#[test]
fn a_careless_type_is_caught() {
    #[derive(Debug)]
    #[allow(dead_code, reason = "it is there to be printed")]
    struct Careless([u8; 32]);
    let secret = EXPORTER;
    let secrets = Secrets(vec![("it", secret.to_vec())]);
    let value = Careless(secret);
    let hex = hex(&secret);
    let part = &hex[20..40];
    let shown = [
        format!("{value:?}"),
        format!("{value:#?}"),
        format!("{value:x?}"),
        format!("{value:X?}"),
        format!("{:?}", &secret[3..11]),
        hex.to_uppercase(),
        format!("key={part}"),
    ];
    for text in shown {
        assert_eq!(secrets.shown_in(&text), Some("it"), "{text}");
    }
    let raw = Secrets(vec![("raw", KNOWN.to_vec())]);
    assert_eq!(raw.shown_in(&format!("{:?}", String::from_utf8_lossy(KNOWN))), Some("raw"));
    assert_eq!(raw.shown_in("another secret"), None);
}

#[test]
fn secrets_keys_and_configurations() {
    let secrets = long_lived();
    let secret = || Secret::new(KNOWN.to_vec()).unwrap();
    secrets.absent_from_debug(&secret());
    let too_short = Secret::new(KNOWN[..31].to_vec()).unwrap_err();
    secrets.absent_from_debug(&too_short);
    secrets.absent_from_display(&too_short);
    secrets.absent_from_debug(&key(KNOWN));
    secrets.absent_from_debug(&ring(&[KNOWN]));

    let pair = Secret::for_pair(&App::default(), &secret(), ReplicaId(0), ReplicaId(2));
    let derived = blake3::derive_key("replink replica-auth v2 pair-secret", &[KNOWN, &[0, 2]].concat());
    let pair_secrets = Secrets(vec![("pair secret", derived.to_vec())]);
    let pair_key = Key::derive(&App::default(), &pair);
    assert_eq!(pair_key.id(), Forge::new(&derived).key_id(), "derived by hand as by the library");
    pair_secrets.absent_from_debug(&pair);
    let held = Secret::of_pair(derived.to_vec(), ReplicaId(2), ReplicaId(0)).unwrap();
    assert_eq!(Key::derive(&App::default(), &held).id(), pair_key.id());
    pair_secrets.absent_from_debug(&held);
    pair_secrets.absent_from_debug(&pair_key);

    let sides = sides(Version::V2);
    secrets.absent_from_debug(&sides.dialer);
    secrets.absent_from_debug(&sides.acceptor);
    secrets.absent_from_debug(&Dialer::new(sides.dialer.clone()));
    secrets.absent_from_debug(&Acceptor::new(sides.acceptor.clone()));
    secrets.absent_from_debug(&sides);
    secrets.absent_from_debug(&sides.dialer_binding);
}

#[test]
fn randomness() {
    let (fresh, ephemeral) = known_fresh(1);
    let nonce = *blake3::hash(b"nonce").as_bytes();
    let secrets = Secrets(vec![("ephemeral", ephemeral.to_vec()), ("nonce", nonce.to_vec())]);
    secrets.absent_from_debug(&fresh.ephemeral);
    secrets.absent_from_debug(&fresh);
    secrets.absent_from_debug(&Nonce::new(nonce).unwrap());
}

/// Every state of a handshake that agrees on ephemeral keys, and every way out of it.
#[test]
fn states() {
    for version in [Version::V1, Version::V2] {
        let mut sides = sides(version);
        let mut flags = Flags::NONE;
        if version == Version::V2 {
            flags = Flags::SEALED | Flags::EPHEMERAL;
        }
        sides.dialer.flags.supported = flags;
        sides.acceptor.flags.supported = flags;
        let ((fresh_d, ephemeral_d), (fresh_a, ephemeral_a)) = (known_fresh(1), known_fresh(2));
        let mut secrets = long_lived();
        secrets.0.push(("dialer's ephemeral", ephemeral_d.to_vec()));
        secrets.0.push(("acceptor's ephemeral", ephemeral_a.to_vec()));

        let (waiting, hello) = sides.dial_with(fresh_d);
        secrets.absent_from_debug(&waiting);
        let acceptor = Acceptor::new(sides.acceptor.clone());
        secrets.absent_from_debug(&acceptor.begin((), sides.acceptor_binding));
        let (accepting, challenge) = sides.answer_with(hello.bytes(), Availability::Open, fresh_a).unwrap();
        secrets.absent_from_debug(&accepting);
        let (dialed, finish) = waiting.receive(challenge.bytes()).unwrap();
        secrets.absent_from_debug(&dialed);
        let verified = accepting.receive(finish.bytes()).unwrap();
        secrets.absent_from_debug(&verified);
        secrets.absent_from_debug(verified.peer());
        let rejected = verified.refuse(Status::BUSY, 9);
        secrets.absent_from_debug(&rejected);
        secrets.absent_from_debug(rejected.rejection());
        secrets.absent_from_display(rejected.rejection());
        let ((), reply, _) = rejected.into_parts();
        let (receiving, _) = dialed.into_parts().1.split();
        let late = receiving.control().late_reject(&reply).unwrap();
        secrets.absent_from_debug(&late);
        secrets.absent_from_display(&late);

        let failed = sides.dial_with(known_fresh(1).0).0.receive(&reply).unwrap_err();
        secrets.absent_from_debug(&failed);
        secrets.absent_from_display(&failed.error);
        let failed = sides.dial_with(known_fresh(1).0).0.receive(hello.bytes()).unwrap_err();
        secrets.absent_from_debug(&failed);
        secrets.absent_from_display(&failed.error);
        if version == Version::V2 {
            // The dialer refuses (D-12).
            let mut demanding = sides.clone();
            demanding.dialer.flags.required = Flags(2);
            let (waiting, hello) = demanding.dial_with(known_fresh(1).0);
            let (accepting, challenge) =
                demanding.answer_with(hello.bytes(), Availability::Open, known_fresh(2).0).unwrap();
            let failed = waiting.receive(challenge.bytes()).unwrap_err();
            secrets.absent_from_debug(&failed);
            secrets.absent_from_display(&failed.error);
            let refused = accepting.receive(&failed.reply.unwrap());
            secrets.absent_from_debug(&refused);
            secrets.absent_from_display(&rejected_by_peer(refused));
        }
        let target = DialTarget::new(ReplicaId(2)).key_index(1);
        let no_key = Dialer::new(sides.dialer).begin((), target, sides.dialer_binding, known_fresh(1).0);
        let failed = no_key.unwrap_err();
        secrets.absent_from_debug(&failed);
        secrets.absent_from_display(&failed.error);
    }
}

/// What both ends hold once the link is up, with the session key derived by hand.
#[test]
fn sessions() {
    let sides = sides(Version::V2);
    let run = sides.run();
    let forge = Forge { binding: sides.dialer_binding, ..Forge::new(KNOWN) };
    let session = forge.session(&run.hello, &run.challenge, &run.finish);
    let mut secrets = long_lived();
    secrets.0.push(("session key", session.to_vec()));
    for label in ["control dialer->acceptor", "control acceptor->dialer", "export test"] {
        secrets.0.push(("subkey", subkey(&session, label).to_vec()));
    }
    for end in [run.dialed, run.verified.admit()] {
        secrets.absent_from_debug(&end);
        let ((), session_end) = end.into_parts();
        secrets.absent_from_debug(&session_end);
        let exported = session_end.export("test").unwrap();
        assert_eq!(exported.bytes(), &subkey(&session, "export test"), "the secrets are the real ones");
        secrets.absent_from_debug(&exported);
        let (mut receiving, mut sending) = session_end.split();
        let goodbye = sending.control_mut().goodbye(GoodbyeReason::SHUTDOWN).unwrap();
        secrets.absent_from_debug(&goodbye);
        let error = receiving.control_mut().open_control(goodbye.header()).unwrap_err();
        secrets.absent_from_debug(&error);
        secrets.absent_from_display(&error);
        let error = receiving.control_mut().open_control(GenericHeader::view(&[0; 256])).unwrap_err();
        secrets.absent_from_debug(&error);
        secrets.absent_from_display(&error);
        secrets.absent_from_debug(&receiving);
        secrets.absent_from_debug(&sending);
    }
}
