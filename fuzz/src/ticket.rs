//! Tickets of format 2: what is issued for a link that was used, byte for byte; what becomes of one that someone
//! changed, with and without the key; and that who redeems one goes on with the very next control frame and record.

use arbitrary::Unstructured;
use replink_frame::{ClusterId, Flags, GenericHeader, KeyId, ReplicaId, Version};
use replink_handshake::{
    ControlMessage, Nonce, RecordError, TICKET_LEN, TicketBinding, TicketError, TicketIssuer, TicketRedeemer,
    TicketTerms,
};

use crate::inbound::pair::{Halves, Pair};
use crate::link;
use crate::mac;
use crate::node::{CLUSTER, Knobs};
use crate::patch::byte;
use crate::records::{Direction, OVERHEAD};
use crate::wire;

/// Up to here a ticket is fields, behind it its MAC.
const FIELDS_LEN: usize = 224;
/// S-4: from here on there is no number.
const NUMBERS_END: u64 = 1 << 63;

const SOCKET: &[u8] = b"a socket";
const PAYLOAD: [&[u8]; 2] = [b"what travels", b" along"];

/// Where fields begin, and how long they are.
const FIELDS: [(usize, usize); 23] = [
    (0, 1),
    (1, 1),
    (2, 1),
    (3, 1),
    (4, 16),
    (20, 1),
    (21, 1),
    (22, 2),
    (24, 2),
    (26, 2),
    (28, 4),
    (32, 8),
    (40, 8),
    (48, 4),
    (52, 4),
    (56, 8),
    (64, 8),
    (72, 8),
    (80, 32),
    (144, 8),
    (152, 8),
    (160, 64),
    (224, 32),
];

/// How far a run came.
#[derive(Clone, Copy, Default, Debug)]
pub struct Reached {
    pub v1: usize,
    pub unsealed: usize,
    pub sealed: usize,
    /// Links on which a secret has stepped.
    pub stepped: usize,
    /// Tickets that are good as they were issued, and such that are good with other fields.
    pub redeemed: usize,
    pub signed_anew: usize,
    /// Links whose numbers are at their end.
    pub last_number: usize,
    /// Why others are not.
    pub length: usize,
    pub format: usize,
    pub field: usize,
    pub key: usize,
    pub mac: usize,
    pub terms: usize,
    pub elsewhere: usize,
}

pub fn run(data: &[u8]) -> Reached {
    let input = &mut Unstructured::new(data);
    let mut reached = Reached::default();
    let choice = byte(input);
    let pair = match choice & 3 {
        0 => Pair::new(true, false, choice & 4 != 0),
        1 => Pair::new(false, false, choice & 4 != 0),
        _ => Pair::sealed(choice & 4 != 0),
    };
    let used = Used::read(&pair, input, &mut reached);
    let near = pair.near();
    let expected = used.ticket(&pair);

    let (nonce, index) = ([7; 32], u64::from(byte(input) % 3));
    let binding = TicketBinding { socket: SOCKET, payload: &PAYLOAD };
    let mut issuer = TicketIssuer::new(nonce);
    for _ in 0..index {
        let other = Pair::sealed(true);
        issuer
            .issue(other.halves(), &other.near().local(), &near.ring(), &binding)
            .expect("a link of its own");
    }
    let issued =
        issuer.issue(used.halves, &near.local(), &near.ring(), &binding).expect("a link of this node");
    let key = near.keys().next().expect("a key");
    let sign = |fields: &[u8], nonce: &[u8; 32], index: u64, socket: &[u8], payload: &[u8]| {
        mac::ticket(&key, nonce, index, socket, fields, payload)
    };
    let payload = PAYLOAD.concat();
    let genuine = [&expected[..], &sign(&expected, &nonce, index, SOCKET, &payload)].concat();
    assert_eq!(issued.bytes(), genuine, "as docs/hand-off.md says");

    let mut ticket = genuine.clone();
    for _ in 0..byte(input) % 4 {
        change(input, &mut ticket);
    }
    let choice = byte(input);
    let place = Place {
        socket: if choice & 2 == 0 { SOCKET } else { b"b socket" },
        payload: if choice & 4 == 0 { &PAYLOAD[..] } else { &PAYLOAD[..1] },
        nonce: [7 + u8::from(choice & 8 != 0); 32],
        index: if choice & 16 == 0 { index } else { index + 1 },
    };
    if choice & 1 != 0 {
        let (fields, end) = ticket.split_at_mut(FIELDS_LEN);
        end.copy_from_slice(&sign(fields, &place.nonce, place.index, place.socket, &place.payload.concat()));
    }
    match choice >> 5 {
        6 => ticket.truncate(usize::from(byte(input))),
        7 => ticket.push(byte(input)),
        _ => {}
    }
    let knobs = redeemer(near, byte(input));
    redeem(&ticket, &genuine, &knobs, &place, &mut reached);
    reached
}

/// Where a ticket is redeemed.
struct Place<'a> {
    socket: &'a [u8],
    payload: &'a [&'a [u8]],
    nonce: [u8; 32],
    index: u64,
}

fn redeem(ticket: &[u8], genuine: &[u8], knobs: &Knobs, place: &Place<'_>, reached: &mut Reached) {
    let min_version = if knobs.v1() { Version::V1 } else { Version::V2 };
    let terms = TicketTerms::new(knobs.local(), knobs.ring(), knobs.roster())
        .min_version(min_version)
        .required(Flags(knobs.required));
    let mut redeemer = TicketRedeemer::new(Nonce::new(place.nonce).expect("not zero"));
    assert_eq!(redeemer.nonce(), &place.nonce);
    (0..place.index).for_each(|_| _ = redeemer.advance());
    let binding = TicketBinding { socket: place.socket, payload: place.payload };
    let result = redeemer.advance().redeem(ticket, &terms, &binding);
    let expected = judge(ticket, knobs, place);
    match result {
        Ok((receiving, sending)) => {
            assert_eq!(expected, None, "it is to be refused");
            reached.redeemed += usize::from(ticket == genuine);
            reached.signed_anew += usize::from(ticket != genuine);
            go_on(ticket, (receiving, sending), reached);
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            assert_eq!(expected, Some(error));
            let counter = match error {
                TicketError::Length { .. } => &mut reached.length,
                TicketError::Format { .. } => &mut reached.format,
                TicketError::Field { .. } => &mut reached.field,
                TicketError::UnknownKey(_) => &mut reached.key,
                TicketError::Mac => &mut reached.mac,
                TicketError::Terms => &mut reached.terms,
                _ => &mut reached.elsewhere,
            };
            *counter += 1;
        }
    }
}

/// A link after some use, in the hands of its near end.
struct Used {
    halves: Halves,
    sent: u64,
    received: u64,
    sealed: u64,
    opened: u64,
}

impl Used {
    fn read(pair: &Pair, input: &mut Unstructured<'_>, reached: &mut Reached) -> Self {
        let counts = [0, 1, 5, 1023, 1024, 1030];
        let mut count = |most: usize| counts[usize::from(byte(input)) % most];
        let (sent, received, sealed, opened) = (count(3), count(3), count(6), count(6));
        let (mut receiving, mut sending) = pair.halves();
        let mut far = pair.sending();
        let (sent, received) = if pair.is_v1() { (0, 0) } else { (sent, received) };
        (0..sent).for_each(|_| assert!(sending.control_mut().ping().is_some()));
        for counter in 1..=received {
            let (_, ping) = far.control_mut().ping().expect("version 2");
            let opened = receiving.control_mut().open_control(ping.header());
            assert_eq!(opened, Ok(ControlMessage::Ping { counter }));
        }
        let (sending, sealer) = sending.into_parts();
        let (receiving, opener) = receiving.into_parts();
        let Some((mut sealer, mut opener)) = sealer.zip(opener) else {
            reached.v1 += usize::from(pair.is_v1());
            reached.unsealed += usize::from(!pair.is_v1());
            let halves = (receiving.with_opener(None), sending.with_sealer(None));
            return Self { halves, sent, received, sealed: 0, opened: 0 };
        };
        let mut record = [0; 1 + OVERHEAD];
        (0..sealed).for_each(|_| sealer.seal([&[1][..]], &mut record).expect("numbers are left"));
        let (_, far) = far.into_parts();
        let mut far = far.expect("a sealed link");
        for _ in 0..opened {
            far.seal([&[2][..]], &mut record).expect("numbers are left");
            let tag = record[5..].try_into().expect("sixteen bytes");
            opener.open(&record[4..5], tag, &mut [0]).expect("the next record");
        }
        reached.sealed += 1;
        reached.stepped += usize::from(sealed >= 1024 || opened >= 1024);
        let halves = (receiving.with_opener(Some(opener)), sending.with_sealer(Some(sealer)));
        Self { halves, sent, received, sealed, opened }
    }

    /// The fields of its ticket.
    fn ticket(&self, pair: &Pair) -> [u8; FIELDS_LEN] {
        let (near, far) = (pair.near(), pair.far());
        let v2 = !pair.is_v1();
        let mut ticket = [0; FIELDS_LEN];
        let mut put = |at: usize, bytes: &[u8]| ticket[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &[2, if pair.near_dials() { 1 } else { 2 }, if v2 { 2 } else { 0 }, 1]);
        put(4, &*CLUSTER);
        put(20, &[near.replica, far.replica]);
        let key = near.keys().next().expect("a key");
        put(40, &key.id);
        put(56, &near.incarnation.to_le_bytes());
        if !v2 {
            return ticket;
        }
        put(28, &far.release.to_le_bytes());
        put(32, &far.incarnation.to_le_bytes());
        put(48, &near.release.to_le_bytes());
        put(64, &self.received.to_le_bytes());
        put(72, &self.sent.to_le_bytes());
        put(80, &pair.control_key(true));
        put(112, &pair.control_key(false));
        if pair.is_sealed() {
            put(24, &wire::SEALED.to_le_bytes());
            for (at, number, to_near) in [(0, self.opened, true), (1, self.sealed, false)] {
                let mut direction = pair.records(to_near);
                direction.skip_to(number);
                put(144 + 8 * at, &number.to_le_bytes());
                put(160 + 32 * at, direction.secret());
            }
        }
        ticket
    }
}

/// One change of a field, or of a byte.
fn change(input: &mut Unstructured<'_>, ticket: &mut [u8]) {
    let (from, len) = FIELDS[usize::from(byte(input)) % FIELDS.len()];
    let value = byte(input);
    let field = &mut ticket[from..from + len];
    match byte(input) % 6 {
        0 => field[usize::from(value) % len] ^= 1 << (value >> 5),
        1 => field.fill(value),
        2 => field[0] = value,
        3 => field[len - 1] = value,
        // Numbers at the edges of what there is.
        4 => {
            let edge =
                [NUMBERS_END - 1, NUMBERS_END, NUMBERS_END - 2, 1024, 1023, u64::MAX][usize::from(value) % 6];
            let len = len.min(8);
            field[..len].copy_from_slice(&edge.to_le_bytes()[..len]);
        }
        _ => {
            let _ = input.fill_buffer(field);
        }
    }
}

/// Who redeems: the node itself, or with another configuration.
fn redeemer(near: Knobs, choice: u8) -> Knobs {
    let set = |bit: u8| choice >> bit & 1 != 0;
    let required = if set(1) { wire::SEALED } else { 0 } | if set(7) { wire::SHARE } else { 0 };
    Knobs {
        replica: near.replica ^ if set(6) { 4 } else { 0 },
        switches: u8::from(!set(0)) | (choice >> 4 & 3) << 3,
        keys: if set(2) { 1 } else { 0 },
        incarnation: near.incarnation ^ u64::from(set(3)),
        required,
        ..near
    }
}

/// What becomes of a ticket, as `docs/hand-off.md` says; `None` where it is redeemed.
fn judge(ticket: &[u8], knobs: &Knobs, place: &Place<'_>) -> Option<TicketError> {
    if ticket.len() != TICKET_LEN {
        return Some(TicketError::Length { found: ticket.len() });
    }
    let fields: &[u8; FIELDS_LEN] = ticket.first_chunk().expect("long enough");
    if fields[0] != 2 {
        return Some(TicketError::Format { found: fields[0] });
    }
    if let Some(offset) = wrong_field(fields) {
        return Some(TicketError::Field { offset });
    }
    if fields[3] == 0 {
        return Some(TicketError::Authentication);
    }
    let (local, peer) = (fields[20], fields[21]);
    let id = &fields[40..48];
    let Some(key) = knobs.keys().find(|key| key.id == id) else {
        return Some(TicketError::UnknownKey(KeyId(id.try_into().expect("eight bytes"))));
    };
    let payload = place.payload.concat();
    let expected = mac::ticket(&key, &place.nonce, place.index, place.socket, fields, &payload);
    if !mac::same(&ticket[FIELDS_LEN..], expected) {
        return Some(TicketError::Mac);
    }
    let flags = u16::from_le_bytes([fields[24], fields[25]]);
    if fields[2] == 0 && !knobs.v1() || flags & knobs.required != knobs.required {
        return Some(TicketError::Terms);
    }
    let cluster: [u8; 16] = fields[4..20].try_into().expect("sixteen bytes");
    let refused = [
        (
            cluster != *CLUSTER,
            TicketError::Cluster { expected: ClusterId(*CLUSTER), found: ClusterId(cluster) },
        ),
        (
            local != knobs.replica,
            TicketError::Replica { expected: ReplicaId(knobs.replica), found: ReplicaId(local) },
        ),
        (u64_at(fields, 56) != knobs.incarnation, TicketError::Incarnation),
        (!knobs.on_roster(peer), TicketError::Roster(ReplicaId(peer))),
    ];
    refused.into_iter().find(|(refused, _)| *refused).map(|(_, error)| error)
}

/// The first field that no ticket has, or a byte of it.
fn wrong_field(fields: &[u8; FIELDS_LEN]) -> Option<usize> {
    let stray = |from: usize, to: usize| (from..to).find(|&at| fields[at] != 0);
    let v2 = fields[2] == 2;
    let is_sealed = u16::from_le_bytes([fields[24], fields[25]]) & wire::SEALED != 0;
    let wrong = |at: usize, is_wrong: bool| is_wrong.then_some(at);
    let side = match fields[1] {
        1 => fields[20] < fields[21],
        2 => fields[20] > fields[21],
        _ => false,
    };
    let authentication = fields[3] == 1 || fields[3] == 0 && !v2 && wire::is_zero(&fields[40..48]);
    let number = |at: usize| wrong(at, u64_at(fields, at) >= NUMBERS_END);
    let common = stray(26, 28)
        .or_else(|| stray(52, 56))
        .or_else(|| wrong(1, !side))
        .or_else(|| wrong(2, !matches!(fields[2], 0 | 2)))
        .or_else(|| wrong(3, !authentication))
        .or_else(|| wrong(24, is_sealed && !v2));
    common.or_else(|| match (v2, is_sealed) {
        (false, _) => wrong(48, !wire::is_zero(&fields[48..52])).or_else(|| stray(64, FIELDS_LEN)),
        (true, true) => number(64).or_else(|| number(72)).or_else(|| number(144)).or_else(|| number(152)),
        (true, false) => number(64).or_else(|| number(72)).or_else(|| stray(144, FIELDS_LEN)),
    })
}

/// The next control frame and the next record of each direction are those that the ticket says.
fn go_on(ticket: &[u8], (mut receiving, mut sending): Halves, reached: &mut Reached) {
    let fields: &[u8; FIELDS_LEN] = ticket.first_chunk().expect("long enough");
    let key = |at: usize| -> [u8; 32] { fields[at..at + 32].try_into().expect("32 bytes") };
    let peer = *receiving.peer();
    assert_eq!((&peer, peer.replica.0), (sending.peer(), fields[21]));
    assert_eq!(peer.flags.0, u16::from_le_bytes([fields[24], fields[25]]));
    assert_eq!((peer.lane, peer.incarnation), (wire_u16(fields, 22), u64_at(fields, 32)));
    assert!(!receiving.control().may_be_refused(), "H-9");
    if fields[2] == 0 {
        assert!(sending.control_mut().ping().is_none(), "H-13");
        return;
    }
    let release = |at: usize| u32::from_le_bytes(fields[at..at + 4].try_into().expect("four bytes"));
    let node = |replica: u8, release: u32| Knobs { replica, release, ..Pair::sealed(true).near() };
    let control = |near: bool, key: &[u8; 32], counter: u64| {
        let (replica, release) = if near { (fields[20], release(48)) } else { (fields[21], release(28)) };
        let mut frame = link::control(&node(replica, release), wire::PING, counter);
        let mac = mac::control(key, &frame);
        frame[wire::CONTROL_MAC].copy_from_slice(&mac);
        frame
    };
    let sent = u64_at(fields, 72) + 1;
    let (counter, ping) = sending.control_mut().ping().expect("version 2");
    assert_eq!((counter, *ping.header().bytes()), (sent, control(true, &key(112), sent)));
    let last = u64_at(fields, 64);
    let mut open = |counter| {
        let frame = control(false, &key(80), counter);
        receiving.control_mut().open_control(GenericHeader::view(&frame)).is_ok()
    };
    assert!(!open(last) && open(last + 1) && !open(last + 1), "counters strictly increase");

    let ((_, sealer), (_, opener)) = (sending.into_parts(), receiving.into_parts());
    assert_eq!(sealer.is_some() && opener.is_some(), peer.flags.contains(Flags::SEALED));
    let Some((mut sealer, mut opener)) = sealer.zip(opener) else { return };
    let mut sends = Direction::new(key(192), u64_at(fields, 152));
    let mut receives = Direction::new(key(160), u64_at(fields, 144));
    for _ in 0..2 {
        let mut record = [0; 3 + OVERHEAD];
        assert_eq!(sealer.number(), sends.number());
        let result = sealer.seal([&b"abc"[..]], &mut record);
        if sends.number() < NUMBERS_END {
            assert_eq!((result, record[..].to_vec()), (Ok(()), sends.seal(b"abc")));
        } else {
            assert_eq!(result, Err(RecordError::Numbers), "S-4");
            reached.last_number += 1;
        }
        assert_eq!(opener.number(), receives.number());
        let is_over = receives.number() >= NUMBERS_END;
        let record = receives.clone().seal(b"def");
        let mut opened = [0; 3];
        let tag = record[7..].try_into().expect("sixteen bytes");
        let result = opener.open(&record[4..7], tag, &mut opened);
        if is_over {
            assert_eq!((result, opened), (Err(RecordError::Numbers), [0; 3]), "S-4");
            break;
        }
        assert_eq!((result, &opened), (Ok(()), b"def"));
        receives.seal(b"def");
    }
}

fn wire_u16(fields: &[u8; FIELDS_LEN], at: usize) -> u16 {
    u16::from_le_bytes([fields[at], fields[at + 1]])
}

fn u64_at(fields: &[u8; FIELDS_LEN], at: usize) -> u64 {
    u64::from_le_bytes(fields[at..at + 8].try_into().expect("eight bytes"))
}
