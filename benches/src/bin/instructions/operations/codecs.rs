//! Frames of 256 bytes on an established link: a header, and no body. And what such a link's records cost.

use std::hint::black_box;
use std::io::{self, IoSlice};
use std::sync::atomic::{AtomicBool, Ordering};

use replink_tests::frames::{Ends, LinkKind, ROOMY, plain, wire};
use replink_transport::frame::{GenericHeader, ReplicatedHeader, Version};
use replink_transport::handshake::{RECORD_CIPHERTEXT_MAX, RECORD_OVERHEAD, RecordOpener, RecordSealer};
use replink_transport::{GatherWrite, Inbound, Loan, Outbound, Received, SharedOutbound};

use super::{BATCH, TIMES};

const FRAME_SIZE: usize = 256;
const RECORD_LEN: usize = FRAME_SIZE + RECORD_OVERHEAD;

/// The view of a header, and its check.
pub(crate) fn header(times: usize) {
    let frame = frame();
    let cluster = GenericHeader::view(&frame).cluster;
    let (cluster, limit, version) = black_box((cluster, ROOMY.frame_size, Version::V2));
    for _ in 0..times {
        let header = GenericHeader::view(black_box(&frame));
        black_box(ReplicatedHeader::check(header, cluster, limit, version).unwrap().body_len());
    }
}

/// Frames that come together.
pub(crate) fn admit(times: usize) {
    receive(LinkKind::V2, BATCH, times);
}

/// Each comes by itself.
pub(crate) fn admit_single(times: usize) {
    receive(LinkKind::V2, 1, times);
}

/// Each by itself, in memory that the codec lent and takes back.
pub(crate) fn admit_lent(times: usize) {
    let mut inbound = Inbound::new(Ends::new(LinkKind::V2).acceptor.0, ROOMY.frame_size);
    let frame = frame();
    for _ in 0..times {
        let mut memory = inbound.lend();
        let [_, ahead] = memory.slices();
        ahead[..FRAME_SIZE].copy_from_slice(black_box(&frame));
        inbound.take_back(memory, FRAME_SIZE);
        take_all(&mut inbound);
    }
    assert!(inbound.is_at_frame_boundary());
}

/// One record for frames that come together.
pub(crate) fn admit_sealed(times: usize) {
    receive(LinkKind::Sealed, BATCH, times);
}

/// A record for each.
pub(crate) fn admit_sealed_single(times: usize) {
    receive(LinkKind::Sealed, 1, times);
}

/// Frames that go together, and as a whole to whoever writes.
pub(crate) fn queue(times: usize) {
    queue_on(LinkKind::V2, times);
}

/// The same in one record.
pub(crate) fn queue_sealed(times: usize) {
    queue_on(LinkKind::Sealed, times);
}

/// A frame on a link where nobody writes: each send writes.
pub(crate) fn send(times: usize) {
    let shared = SharedOutbound::new(outbound(LinkKind::V2), Sink(AtomicBool::new(true)), |_| {});
    let (header, body) = plain(0, 0);
    for _ in 0..times {
        black_box(shared.send(black_box(&header), body.clone()).unwrap());
    }
}

/// A frame on a link that takes no more: most sends only queue, and all go out at once later.
pub(crate) fn send_blocked(times: usize) {
    let shared = SharedOutbound::new(outbound(LinkKind::V2), Sink(AtomicBool::new(false)), |_| {});
    let (header, body) = plain(0, 0);
    for _ in 0..times / BATCH {
        for _ in 0..BATCH {
            black_box(shared.send(black_box(&header), body.clone()).unwrap());
        }
        shared.writer().0.store(true, Ordering::Relaxed);
        black_box(shared.flush().unwrap());
        shared.writer().0.store(false, Ordering::Relaxed);
    }
}

/// A frame that is queued, lent to whoever writes it, and taken back.
pub(crate) fn send_lent(times: usize) {
    let shared = SharedOutbound::new(outbound(LinkKind::V2), Sink(AtomicBool::new(true)), |_| {});
    let (header, body) = plain(0, 0);
    for _ in 0..times {
        shared.queue(black_box(&header), body.clone()).unwrap();
        let Loan::Batch(batch) = shared.lend().unwrap() else { unreachable!("a frame waits") };
        let len = black_box(batch.only()).map_or(0, <[u8]>::len);
        shared.take_back(batch, Ok(len));
    }
}

/// A frame as a record of its own.
pub(crate) fn seal(times: usize) {
    seal_of(&frame(), times);
}

/// A full record. What is counted is mostly the cipher; a copy more than it needs would show.
pub(crate) fn seal_full(times: usize) {
    seal_of(&vec![7; RECORD_CIPHERTEXT_MAX], times);
}

fn seal_of(content: &[u8], times: usize) {
    let (mut sealer, _) = records();
    let mut record = vec![0; content.len() + RECORD_OVERHEAD];
    for _ in 0..times {
        sealer.seal([black_box(content)], &mut record).unwrap();
        black_box(&record);
    }
}

/// A record of one frame.
pub(crate) fn open(times: usize) {
    open_of(frame().into(), times);
}

/// A full record.
pub(crate) fn open_full(times: usize) {
    open_of(vec![7; RECORD_CIPHERTEXT_MAX], times);
}

fn open_of(content: Vec<u8>, times: usize) {
    let (mut sealer, mut opener) = records();
    let record_len = content.len() + RECORD_OVERHEAD;
    let mut wire = vec![0; record_len * prepared(times)];
    for record in wire.chunks_mut(record_len) {
        sealer.seal([&content[..]], record).unwrap();
    }
    let mut plaintext = content;
    for record in wire.chunks(record_len).take(times) {
        let (head, behind) = black_box(record).split_first_chunk().unwrap();
        let (ciphertext, tag) = behind.split_at(opener.ciphertext_len(*head).unwrap());
        opener.open(ciphertext, tag.try_into().unwrap(), &mut plaintext).unwrap();
        black_box(&plaintext);
    }
}

/// Prepares as much however often an operation is run, so that it cancels.
fn prepared(times: usize) -> usize {
    times.max(2 * TIMES)
}

fn frame() -> [u8; FRAME_SIZE] {
    wire(&plain(0, 0)).try_into().expect("a header alone")
}

fn outbound(kind: LinkKind) -> Outbound {
    Outbound::new(Ends::new(kind).dialer.1, ROOMY)
}

fn receive(kind: LinkKind, together: usize, times: usize) {
    let ends = Ends::new(kind);
    let mut outbound = Outbound::new(ends.dialer.1, ROOMY);
    let mut inbound = Inbound::new(ends.acceptor.0, ROOMY.frame_size);
    let (header, body) = plain(0, 0);
    let mut bytes = Vec::with_capacity(prepared(times) * RECORD_LEN);
    for _ in 0..prepared(times) / together {
        for _ in 0..together {
            outbound.push(&header, body.clone()).unwrap();
        }
        write_out(&mut outbound, |slice| bytes.extend_from_slice(slice));
    }
    let chunk_len = bytes.len() / (prepared(times) / together);
    for chunk in bytes.chunks(chunk_len).take(times / together) {
        assert_eq!(inbound.push(black_box(chunk)), chunk.len());
        take_all(&mut inbound);
    }
    assert!(inbound.is_at_frame_boundary());
}

/// The only place where frames are taken: so it is compiled to the same for all.
fn take_all(inbound: &mut Inbound) {
    while let Some(received) = inbound.next().unwrap() {
        match received {
            Received::Frame(frame) => black_box(frame.header().view.get()),
            Received::Control(_) => unreachable!("none was sent"),
        };
    }
}

fn queue_on(kind: LinkKind, times: usize) {
    let mut outbound = outbound(kind);
    let (header, body) = plain(0, 0);
    for _ in 0..times / BATCH {
        for _ in 0..BATCH {
            outbound.push(black_box(&header), body.clone()).unwrap();
        }
        write_out(&mut outbound, |slice| {
            black_box(slice);
        });
    }
}

/// Takes all that waits, as a gathered write would.
fn write_out(outbound: &mut Outbound, mut write: impl FnMut(&[u8])) {
    while !outbound.is_empty() {
        let mut slices = [IoSlice::new(&[]); 64];
        let count = outbound.slices(&mut slices);
        let mut len = 0;
        for slice in &slices[..count] {
            write(slice);
            len += slice.len();
        }
        outbound.advance(len);
    }
}

/// Takes all bytes, or none.
struct Sink(AtomicBool);

impl GatherWrite for Sink {
    fn write_gathered(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        if !self.0.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(black_box(slices).iter().map(|slice| slice.len()).sum())
    }
}

/// Of one direction: what seals, and what opens.
fn records() -> (RecordSealer, RecordOpener) {
    let (sending, receiving) = Ends::new(LinkKind::Sealed).direction(true);
    (sending.into_parts().1.unwrap(), receiving.into_parts().1.unwrap())
}
