//! The thread that writes what waits.

use std::io::{self, ErrorKind, Write};
use std::thread;
use std::time::Duration;

use super::queue::Queue;

/// How long to wait for an output that takes nothing just now and does not block.
const AGAIN: Duration = Duration::from_millis(10);

/// Writes what comes, as long as the process lives.
pub(super) fn run(queue: &Queue, mut to: impl Write, notice: impl Fn(u64) -> String) {
    let (mut batch, mut torn) = (Vec::new(), false);
    loop {
        queue.take(&mut batch);
        write_batch(queue, &mut to, &mut torn, &batch, &notice);
    }
}

/// Writes the lines of `batch` and tells of those that were dropped before; or counts what could not be written.
/// `torn` says that the last line that was begun has no end.
fn write_batch(
    queue: &Queue,
    to: &mut impl Write,
    torn: &mut bool,
    batch: &[u8],
    notice: impl Fn(u64) -> String,
) {
    let mut write = |text: &[u8]| {
        if *torn && write_all(to, b"\n").is_ok() {
            *torn = false;
        }
        // The end of what was torn first, or its rest would look like a part of a line of ours.
        let written = if *torn { Err(0) } else { write_all(to, text) };
        if let Err(written @ 1..) = written {
            *torn = text[written - 1] != b'\n';
        }
        written
    };
    if let Err(written) = write(batch) {
        return queue.lose(&batch[written..]);
    }
    let dropped = queue.take_untold();
    if dropped > 0 && write(notice(dropped).as_bytes()).is_err() {
        queue.put_back_untold(dropped);
    }
}

/// Writes all of it, or says how much was written.
fn write_all(to: &mut impl Write, text: &[u8]) -> Result<(), usize> {
    let mut written = 0;
    while written < text.len() {
        match to.write(&text[written..]) {
            Ok(0) => return Err(written),
            Ok(count) => written += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(AGAIN),
            Err(_) => return Err(written),
        }
    }
    to.flush().or_else(|error: io::Error| match error.kind() {
        ErrorKind::Interrupted | ErrorKind::WouldBlock => Ok(()),
        _ => Err(written),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    /// Takes as much as it is told to at each write, or fails with it.
    struct Scripted {
        script: VecDeque<Result<usize, ErrorKind>>,
        taken: Vec<u8>,
    }

    impl Write for Scripted {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = self.script.pop_front().unwrap_or(Ok(usize::MAX))?.min(bytes.len());
            self.taken.extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_is_lost_is_counted_and_told_of_once() {
        let queue = Queue::default();
        let full = Err(ErrorKind::StorageFull);
        let script = VecDeque::from([
            // The first batch: in pieces, with what is tried again, until the disk is full in its second line.
            Ok(2),
            Err(ErrorKind::Interrupted),
            Err(ErrorKind::WouldBlock),
            Ok(4),
            full,
            // The second: not even the end of the torn line.
            full,
        ]);
        let mut to = Scripted { script, taken: Vec::new() };
        let mut torn = false;
        let notice = |count| format!("{count} dropped\n");
        for batch in [&b"one\ntwo\nthree\n"[..], b"four\n", b"five\n", b"six\n"] {
            write_batch(&queue, &mut to, &mut torn, batch, notice);
        }
        assert_eq!(String::from_utf8(to.taken).unwrap(), "one\ntw\nfive\n3 dropped\nsix\n");
        assert_eq!(queue.dropped(), 3);
    }

    #[test]
    fn a_notice_that_can_not_be_written_is_told_later() {
        let queue = Queue::default();
        queue.lose(b"gone\n");
        let script = VecDeque::from([Ok(usize::MAX), Err(ErrorKind::BrokenPipe)]);
        let mut to = Scripted { script, taken: Vec::new() };
        for batch in [&b"one\n"[..], b"two\n", b"three\n"] {
            write_batch(&queue, &mut to, &mut false, batch, |count| format!("{count} dropped\n"));
        }
        assert_eq!(String::from_utf8(to.taken).unwrap(), "one\ntwo\n1 dropped\nthree\n");
    }
}
