//! Lines that wait for their writer.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Most that waits: some minutes of what a replica has to say, some seconds of one that is attacked.
const BYTES_MAX: usize = 1 << 20;
const LINES_MAX: u64 = 8192;

/// Lines on their way from any thread to one writer.
#[derive(Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    /// There is something to write.
    filled: Condvar,
    /// All is written.
    written: Condvar,
    dropped: AtomicU64,
}

#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
    lines: u64,
    /// Whether the writer has something in hand.
    writing: bool,
    /// Dropped, and not told of.
    untold: u64,
}

impl Queue {
    /// Adds whole lines if there is room, and never waits for the writer.
    pub(super) fn push(&self, text: &[u8]) {
        let lines = count(text);
        let mut waiting = self.lock();
        if waiting.bytes.len() + text.len() > BYTES_MAX || waiting.lines + lines > LINES_MAX {
            waiting.untold += lines;
            self.dropped.fetch_add(lines, Ordering::Relaxed);
            return;
        }
        waiting.bytes.extend_from_slice(text);
        waiting.lines += lines;
        drop(waiting);
        self.filled.notify_one();
    }

    /// Waits for lines and swaps them for `written`, whose memory serves again.
    pub(super) fn take(&self, written: &mut Vec<u8>) {
        written.clear();
        let mut waiting = self.lock();
        waiting.writing = false;
        if waiting.bytes.is_empty() {
            self.written.notify_all();
        }
        let empty = |waiting: &mut Waiting| waiting.bytes.is_empty();
        let mut waiting = self.filled.wait_while(waiting, empty).unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(&mut waiting.bytes, written);
        (waiting.lines, waiting.writing) = (0, true);
    }

    /// What of `text` could not be written is lost.
    pub(super) fn lose(&self, text: &[u8]) {
        let lines = count(text);
        self.lock().untold += lines;
        self.dropped.fetch_add(lines, Ordering::Relaxed);
    }

    /// How many were dropped since this was asked last.
    pub(super) fn take_untold(&self) -> u64 {
        std::mem::take(&mut self.lock().untold)
    }

    /// It could not be told after all that `count` were dropped.
    pub(super) fn put_back_untold(&self, count: u64) {
        self.lock().untold += count;
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    pub(super) fn wait_until_written(&self, patience: Duration) {
        let pending = |waiting: &mut Waiting| waiting.writing || !waiting.bytes.is_empty();
        let _ = self.written.wait_timeout_while(self.lock(), patience, pending);
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many lines end in `text`.
pub(super) fn count(text: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', text).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_room_is_counted_and_nothing_waits() {
        let by_lines = Queue::default();
        for _ in 0..LINES_MAX + 5 {
            by_lines.push(b"line\n");
        }
        assert_eq!((by_lines.dropped(), by_lines.take_untold(), by_lines.take_untold()), (5, 5, 0));
        let mut batch = Vec::new();
        by_lines.take(&mut batch);
        assert_eq!(count(&batch), LINES_MAX);

        let by_bytes = Queue::default();
        by_bytes.push(&[&vec![b'x'; BYTES_MAX - 1][..], b"\n"].concat());
        by_bytes.push(b"two\nlines\n");
        assert_eq!(by_bytes.dropped(), 2);
        by_bytes.take(&mut batch);
        by_bytes.push(b"room again\n");
        assert_eq!((batch.len(), by_bytes.dropped()), (BYTES_MAX, 2));
    }
}
