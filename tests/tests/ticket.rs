//! Tickets: what they carry, and what they are not good for.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::sync::Arc;

use replink_frame::{Flags, GoodbyeReason, ReplicaId, Version};
use replink_handshake::{
    App, ControlMessage, IssueError, Key, KeyRing, Local, Nonce, Receiving, Roster, Secret, Sending, Session,
    TICKET_LEN, TicketBinding, TicketError, TicketIssuer, TicketRedeemer, TicketTerms, cluster_id, disabled,
};
use replink_tests::fixtures::{OTHER_SECRET, SECRET, Sides, key, local, ring};
use replink_tests::frames::{EVERY_KIND, Ends, LinkKind};
use replink_tests::random::Random;

const NONCE: [u8; 32] = [7; 32];
const BINDING: TicketBinding<'_> = TicketBinding { socket: b"socket", payload: &[b"pay", b"", b"load"] };

fn terms(local: Local) -> TicketTerms {
    let roster: Roster = (0..3).map(ReplicaId).collect();
    TicketTerms::new(local, ring(&[SECRET]), roster).min_version(Version::V1)
}

fn redeemer() -> TicketRedeemer {
    TicketRedeemer::new(Nonce::new(NONCE).unwrap())
}

fn issue(issuer: &mut TicketIssuer, halves: (Receiving, Sending), local: &Local, kind: LinkKind) -> Vec<u8> {
    let ticket = match kind {
        LinkKind::Disabled => disabled::issue(issuer, halves, local, &BINDING),
        LinkKind::V1 | LinkKind::V2 | LinkKind::Sealed => {
            issuer.issue(halves, local, &ring(&[SECRET]), &BINDING)
        }
    };
    ticket.unwrap().bytes().to_vec()
}

fn redeem(
    redeemer: &mut TicketRedeemer,
    ticket: &[u8],
    terms: &TicketTerms,
    kind: LinkKind,
    binding: &TicketBinding<'_>,
) -> Result<(Receiving, Sending), TicketError> {
    let redemption = redeemer.advance();
    match kind {
        LinkKind::Disabled => disabled::redeem(redemption, ticket, &terms.local, &terms.roster, binding),
        LinkKind::V1 | LinkKind::V2 | LinkKind::Sealed => redemption.redeem(ticket, terms, binding),
    }
}

/// The first ticket of a transfer: the dialer's, replica 0.
fn ticket(kind: LinkKind) -> Vec<u8> {
    issue(&mut TicketIssuer::new(NONCE), Ends::new(kind).dialer, &local(0), kind)
}

/// What becomes of it as the first of a transfer.
fn outcome(ticket: &[u8], terms: &TicketTerms, kind: LinkKind) -> Result<(Receiving, Sending), TicketError> {
    redeem(&mut redeemer(), ticket, terms, kind, &BINDING)
}

fn error(ticket: &[u8], terms: &TicketTerms) -> TicketError {
    outcome(ticket, terms, LinkKind::V2).unwrap_err()
}

#[test]
fn both_roles_of_every_kind_of_link_go_on_where_they_were() {
    for kind in EVERY_KIND {
        let Ends { mut dialer, mut acceptor } = Ends::new(kind);
        let is_v2 = matches!(kind, LinkKind::V2 | LinkKind::Sealed);
        for counter in 1..=3 {
            let Some((sent, ping)) = dialer.1.control_mut().ping() else { break };
            assert_eq!(sent, counter);
            assert_eq!(
                acceptor.0.control_mut().open_control(ping.header()).unwrap(),
                ControlMessage::Ping { counter }
            );
            let answer = acceptor.1.control_mut().pong(counter).unwrap();
            assert_eq!(
                dialer.0.control_mut().open_control(answer.header()).unwrap(),
                ControlMessage::Pong { echo: counter }
            );
        }
        let replayed = acceptor.1.control_mut().pong(9);
        let (peers, cluster) = ((*dialer.0.peer(), *acceptor.0.peer()), dialer.0.cluster());

        let move_on = |halves, replica: u8| {
            let ticket = issue(&mut TicketIssuer::new(NONCE), halves, &local(replica), kind);
            assert_eq!(ticket.len(), TICKET_LEN);
            outcome(&ticket, &terms(local(replica)), kind).unwrap()
        };
        dialer = move_on(dialer, 0);
        acceptor = move_on(acceptor, 2);
        assert_eq!((*dialer.0.peer(), *dialer.1.peer()), (peers.0, peers.0));
        assert_eq!((*acceptor.0.peer(), *acceptor.1.peer()), (peers.1, peers.1));
        assert_eq!((dialer.0.cluster(), dialer.1.cluster()), (cluster, cluster));

        let ping = dialer.1.control_mut().ping();
        assert_eq!(ping.is_some(), is_v2);
        if let Some((counter, ping)) = ping {
            assert_eq!(counter, 4, "the counter goes on");
            assert_eq!(
                acceptor.0.control_mut().open_control(ping.header()).unwrap(),
                ControlMessage::Ping { counter }
            );
            acceptor.0.control_mut().open_control(ping.header()).unwrap_err();
            dialer.0.control_mut().open_control(replayed.unwrap().header()).unwrap();
            let goodbye = acceptor.1.control_mut().goodbye(GoodbyeReason::OPERATOR).unwrap();
            assert_eq!(
                dialer.0.control_mut().open_control(goodbye.header()).unwrap(),
                ControlMessage::Goodbye(GoodbyeReason::OPERATOR)
            );
        }
    }
}

/// Every field and the MAC, by hand after `docs/hand-off.md`.
#[test]
fn the_format_is_the_documented_one() {
    let run = Sides::with_flags(Flags::EPHEMERAL).run();
    let session_peer = *run.dialed.peer();
    let ((), session): ((), Session) = run.dialed.into_parts();
    let (receiving, mut sending) = session.split();
    (0..5).for_each(|_| assert!(sending.control_mut().ping().is_some()));
    let mut issuer = TicketIssuer::new(NONCE);
    issue(&mut issuer, Ends::new(LinkKind::V2).dialer, &local(0), LinkKind::V2);
    let ticket = issue(&mut issuer, (receiving, sending), &local(0), LinkKind::V2);

    let (fields, mac) = ticket.split_at(224);
    assert_eq!(fields[..4], [2, 1, 2, 1]);
    assert_eq!(fields[4..20], cluster_id("orders").0);
    assert_eq!(fields[20..28], [0, 2, 0, 0, 4, 0, 0, 0]);
    assert_eq!(fields[28..32], session_peer.release.to_le_bytes());
    assert_eq!(fields[32..40], local(2).incarnation.to_le_bytes());
    let key_id = blake3::derive_key("replink replica-auth v2 psk->key-id", SECRET);
    assert_eq!(fields[40..48], key_id[..8]);
    assert_eq!(fields[48..56], [1, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(fields[56..64], local(0).incarnation.to_le_bytes());
    assert_eq!(fields[64..80], [0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0]);
    assert_ne!(fields[80..112], fields[112..144]);
    assert_eq!(fields[144..224], [0; 80], "it is not sealed");

    let key = blake3::derive_key("replink replica-auth v2 psk->hand-off-key", SECRET);
    let payload = blake3::hash(b"payload");
    let input = [
        b"replink replica-auth v2 hand-off",
        &NONCE[..],
        &1u64.to_le_bytes(),
        &6u64.to_le_bytes(),
        b"socket",
        &224u64.to_le_bytes(),
        fields,
        payload.as_bytes(),
    ];
    assert_eq!(mac, blake3::keyed_hash(&key, &input.concat()).as_bytes());

    // Without authentication the key is no secret.
    let ticket = self::ticket(LinkKind::Disabled);
    let (fields, mac) = ticket.split_at(224);
    assert_eq!(fields[..4], [2, 1, 0, 0]);
    let mut input = input;
    (input[2], input[6]) = (&[0; 8], fields);
    let key = blake3::derive_key("replink replica-auth v2 hand-off disabled", b"");
    assert_eq!(mac, blake3::keyed_hash(&key, &input.concat()).as_bytes());
}

/// What the ticket of a sealed link has besides.
#[test]
fn a_sealed_links_ticket_has_its_numbers_and_secrets() {
    let ticket = ticket(LinkKind::Sealed);
    assert_eq!(ticket[24..26], [8, 0], "flags");
    assert_eq!(ticket[144..160], [0; 16], "no record was opened or sealed");
    let keys: Vec<_> = ticket[80..144].chunks(32).chain(ticket[160..224].chunks(32)).collect();
    for (index, key) in keys.iter().enumerate() {
        assert!(**key != [0; 32] && !keys[..index].contains(key), "a key of its own for each purpose");
    }
}

#[test]
fn a_ticket_with_any_bit_changed_is_refused() {
    for kind in EVERY_KIND {
        let good = ticket(kind);
        for offset in 0..good.len() {
            for bit in 0..8 {
                let mut changed = good.clone();
                changed[offset] ^= 1 << bit;
                outcome(&changed, &terms(local(0)), kind).unwrap_err();
            }
        }
        outcome(&good, &terms(local(0)), kind).unwrap();
    }
}

/// The format before this one, which carried seals, and one that comes behind it.
#[test]
fn a_ticket_of_another_format_is_refused() {
    for found in [0, 1, 3, 255] {
        let mut other = ticket(LinkKind::Sealed);
        other[0] = found;
        assert_eq!(error(&other, &terms(local(0))), TicketError::Format { found });
    }
}

#[test]
fn a_ticket_of_any_other_length_is_refused() {
    let good = ticket(LinkKind::V2);
    for len in 0..good.len() {
        assert_eq!(error(&good[..len], &terms(local(0))), TicketError::Length { found: len });
    }
    let longer = [&good[..], &[0]].concat();
    assert_eq!(error(&longer, &terms(local(0))), TicketError::Length { found: TICKET_LEN + 1 });
}

#[test]
fn random_bytes_are_refused_without_a_panic() {
    let mut random = Random::new(1);
    let good = ticket(LinkKind::V2);
    for _ in 0..20_000 {
        let bytes = if random.once_in(2) {
            let mut bytes = good.clone();
            for _ in 0..random.between(1, 8) {
                let offset = random.below(bytes.len());
                bytes[offset] = random.array::<1>()[0];
            }
            if bytes == good {
                continue;
            }
            bytes
        } else {
            let len = if random.once_in(2) { TICKET_LEN } else { random.below(400) };
            random.bytes(len)
        };
        outcome(&bytes, &terms(local(0)), LinkKind::V2).unwrap_err();
        outcome(&bytes, &terms(local(0)), LinkKind::Disabled).unwrap_err();
    }
}

#[test]
fn a_ticket_is_good_for_one_socket_and_one_payload() {
    for kind in EVERY_KIND {
        let good = ticket(kind);
        let others: [TicketBinding<'_>; 6] = [
            TicketBinding { socket: b"sockes", ..BINDING },
            TicketBinding { socket: b"", ..BINDING },
            TicketBinding { socket: b"socketpay", payload: &[b"load"] },
            TicketBinding { payload: &[b"payloae"], ..BINDING },
            TicketBinding { payload: &[], ..BINDING },
            TicketBinding { payload: &[b"payload", b"."], ..BINDING },
        ];
        for binding in others {
            let result = redeem(&mut redeemer(), &good, &terms(local(0)), kind, &binding);
            assert_eq!(result.unwrap_err(), TicketError::Mac);
        }
        let whole = TicketBinding { payload: &[b"payload"], ..BINDING };
        redeem(&mut redeemer(), &good, &terms(local(0)), kind, &whole).unwrap();
    }
}

#[test]
fn a_ticket_is_good_once_at_its_place_of_one_transfer() {
    for kind in EVERY_KIND {
        let mut issuer = TicketIssuer::new(NONCE);
        let tickets: Vec<_> =
            (0..3).map(|_| issue(&mut issuer, Ends::new(kind).dialer, &local(0), kind)).collect();
        let mut redeemer = redeemer();
        let mut try_it =
            |ticket: &[u8]| redeem(&mut redeemer, ticket, &terms(local(0)), kind, &BINDING).map(|_| ());
        assert_eq!(try_it(&tickets[0]), Ok(()));
        assert_eq!(try_it(&tickets[0]), Err(TicketError::Mac), "used before");
        assert_eq!(try_it(&tickets[1]), Err(TicketError::Mac), "its place has passed");
        assert_eq!(try_it(&tickets[1]), Err(TicketError::Mac));

        let mut other = TicketRedeemer::new(Nonce::new([8; 32]).unwrap());
        let result = redeem(&mut other, &tickets[0], &terms(local(0)), kind, &BINDING);
        assert_eq!(result.unwrap_err(), TicketError::Mac, "another transfer");
    }
}

#[test]
fn a_ticket_is_good_for_one_replica_of_one_cluster_and_its_incarnation() {
    let good = ticket(LinkKind::V2);
    let with = |change: fn(&mut TicketTerms)| {
        let mut terms = terms(local(0));
        change(&mut terms);
        error(&good, &terms)
    };
    assert_eq!(
        with(|terms| terms.local.cluster = cluster_id("invoices")),
        TicketError::Cluster { expected: cluster_id("invoices"), found: cluster_id("orders") }
    );
    assert_eq!(
        with(|terms| terms.local.replica = ReplicaId(1)),
        TicketError::Replica { expected: ReplicaId(1), found: ReplicaId(0) }
    );
    assert_eq!(with(|terms| terms.local.incarnation += 1), TicketError::Incarnation);
    assert_eq!(with(|terms| terms.local.app = App::new("another").unwrap()), TicketError::Mac);
    assert_eq!(
        with(|terms| terms.roster = [0, 1].into_iter().map(ReplicaId).collect()),
        TicketError::Roster(ReplicaId(2))
    );
    assert_eq!(with(|terms| terms.required = Flags::EPHEMERAL), TicketError::Terms);
    assert_eq!(with(|terms| terms.ring = ring(&[OTHER_SECRET])), TicketError::UnknownKey(key(SECRET).id()));
    let mut rotated = terms(local(0));
    rotated.ring = ring(&[OTHER_SECRET, SECRET]);
    outcome(&good, &rotated, LinkKind::V2).unwrap();

    let mut newer = terms(local(0));
    newer.local.release += 1;
    outcome(&good, &newer, LinkKind::V2).unwrap();
    let mut strict = terms(local(0));
    strict.min_version = Version::V2;
    assert_eq!(outcome(&ticket(LinkKind::V1), &strict, LinkKind::V1).unwrap_err(), TicketError::Terms);
}

/// The key's id is public: a forger may name a key, but has not got it.
#[test]
fn another_key_under_the_same_id_does_not_exist() {
    let good = ticket(LinkKind::V2);
    let other = key(OTHER_SECRET).id();
    let mut renamed = good;
    renamed[40..48].copy_from_slice(&other.0);
    let mut both = terms(local(0));
    both.ring = ring(&[SECRET, OTHER_SECRET]);
    assert_eq!(error(&renamed, &both), TicketError::Mac);
}

#[test]
fn a_pair_key_is_good_for_its_pair_only() {
    let root = Secret::new(SECRET.to_vec()).unwrap();
    let pair_ring = |a: u8, b: u8| {
        let secret = Secret::for_pair(&App::default(), &root, ReplicaId(a), ReplicaId(b));
        Arc::new(KeyRing::new(Key::derive(&App::default(), &secret), []))
    };
    let mut sides = Sides::new(Version::V2);
    sides.dialer.ring = pair_ring(0, 2);
    sides.acceptor.ring = pair_ring(2, 0);
    let ((), session): ((), Session) = sides.run().dialed.into_parts();
    let mut issuer = TicketIssuer::new(NONCE);
    let ticket = issuer.issue(session.split(), &local(0), &pair_ring(0, 2), &BINDING).unwrap();
    let mut pairwise = terms(local(0));
    pairwise.ring = pair_ring(0, 2);
    outcome(ticket.bytes(), &pairwise, LinkKind::V2).unwrap();
    pairwise.ring = pair_ring(0, 1);
    assert!(matches!(error(ticket.bytes(), &pairwise), TicketError::UnknownKey(_)));
}

#[test]
fn proved_and_unproved_links_are_not_taken_for_each_other() {
    let terms = terms(local(0));
    let wrong = TicketError::Authentication;
    assert_eq!(outcome(&ticket(LinkKind::Disabled), &terms, LinkKind::V2).unwrap_err(), wrong);
    for kind in [LinkKind::V1, LinkKind::V2, LinkKind::Sealed] {
        assert_eq!(outcome(&ticket(kind), &terms, LinkKind::Disabled).unwrap_err(), wrong);
        let halves = Ends::new(kind).dialer;
        let refused = disabled::issue(&mut TicketIssuer::new(NONCE), halves, &local(0), &BINDING);
        assert_eq!(refused.unwrap_err(), IssueError::Authentication);
    }
    let halves = Ends::new(LinkKind::Disabled).dialer;
    let refused = TicketIssuer::new(NONCE).issue(halves, &local(0), &ring(&[SECRET]), &BINDING);
    assert_eq!(refused.unwrap_err(), IssueError::Authentication);
}

#[test]
fn a_ticket_that_can_not_be_issued_uses_up_no_place() {
    let mut issuer = TicketIssuer::new(NONCE);
    let mut refused =
        |halves, local: &Local, ring: &KeyRing| issuer.issue(halves, local, ring, &BINDING).unwrap_err();
    let ends = || Ends::new(LinkKind::V2);
    let held = ring(&[SECRET]);
    assert_eq!(
        refused(ends().dialer, &local(0), &ring(&[OTHER_SECRET])),
        IssueError::UnknownKey(key(SECRET).id())
    );
    assert_eq!(refused(ends().dialer, &local(2), &held), IssueError::Halves);
    let mixed = (ends().dialer.0, ends().acceptor.1);
    assert_eq!(refused(mixed, &local(0), &held), IssueError::Halves);
    let mixed = (ends().dialer.0, Ends::new(LinkKind::V1).dialer.1);
    assert_eq!(refused(mixed, &local(0), &held), IssueError::Halves);
    // S-3: a record was broken.
    let (receiving, sending) = Ends::new(LinkKind::Sealed).dialer;
    let (control, mut opener) = receiving.into_parts();
    opener.as_mut().unwrap().open(&[1], &[0; 16], &mut [0]).unwrap_err();
    assert_eq!(refused((control.with_opener(opener), sending), &local(0), &held), IssueError::Broken);

    let first = issue(&mut issuer, ends().dialer, &local(0), LinkKind::V2);
    outcome(&first, &terms(local(0)), LinkKind::V2).unwrap();
}

#[test]
fn a_late_reject_is_not_known_after_the_hand_off() {
    let run = Sides::new(Version::V2).run();
    let ((), reply, _) = run.verified.refuse(replink_frame::Status::BUSY, 250).into_parts();
    let ((), session): ((), Session) = run.dialed.into_parts();
    let (receiving, sending) = session.split();
    assert!(receiving.control().late_reject(&reply).is_some());
    let ticket = issue(&mut TicketIssuer::new(NONCE), (receiving, sending), &local(0), LinkKind::V2);
    let (receiving, _) = outcome(&ticket, &terms(local(0)), LinkKind::V2).unwrap();
    assert!(receiving.control().late_reject(&reply).is_none());
}

#[test]
fn nothing_shows_what_is_in_a_ticket() {
    let halves = Ends::new(LinkKind::Sealed).dialer;
    let ticket = TicketIssuer::new(NONCE).issue(halves, &local(0), &ring(&[SECRET]), &BINDING).unwrap();
    assert_eq!(format!("{ticket:?}"), "Ticket(redacted)");
    assert_eq!(format!("{ticket:#?}"), "Ticket(redacted)");
    assert!(!format!("{BINDING:?}").contains("112"), "no bytes of the payload");
    let keys = [&ticket.bytes()[80..144], &ticket.bytes()[160..224]].concat();
    let (receiving, sending) = outcome(ticket.bytes(), &terms(local(0)), LinkKind::V2).unwrap();
    for text in [format!("{receiving:?}"), format!("{sending:?}")] {
        for window in keys.windows(4) {
            assert!(!text.contains(&format!("{window:?}")));
        }
    }
}
