//! What is counted. Every input is the same each time.

mod codecs;
mod handshake;

/// How often an operation is run; and in another run twice as often. A multiple of [`BATCH`].
pub(crate) const TIMES: usize = 1024;

/// Frames that come or go together, where that is more than one.
const BATCH: usize = 64;

/// Something that is done a number of times.
pub(crate) struct Operation {
    pub(crate) name: &'static str,
    /// Sets up, does it this many times, tears down. Only what is done each time may depend on how many
    /// times that are, up to twice [`TIMES`].
    pub(crate) run: fn(usize),
}

/// All of them. `docs/performance.md` says what each is.
pub(crate) const OPERATIONS: &[Operation] = &[
    Operation { name: "header", run: codecs::header },
    Operation { name: "admit", run: codecs::admit },
    Operation { name: "admit_single", run: codecs::admit_single },
    Operation { name: "admit_lent", run: codecs::admit_lent },
    Operation { name: "admit_sealed", run: codecs::admit_sealed },
    Operation { name: "admit_sealed_single", run: codecs::admit_sealed_single },
    Operation { name: "queue", run: codecs::queue },
    Operation { name: "queue_sealed", run: codecs::queue_sealed },
    Operation { name: "send", run: codecs::send },
    Operation { name: "send_blocked", run: codecs::send_blocked },
    Operation { name: "send_lent", run: codecs::send_lent },
    Operation { name: "seal", run: codecs::seal },
    Operation { name: "seal_64KiB", run: codecs::seal_full },
    Operation { name: "open", run: codecs::open },
    Operation { name: "open_64KiB", run: codecs::open_full },
    Operation { name: "mac", run: handshake::mac },
    Operation { name: "dialer", run: handshake::dialer },
    Operation { name: "acceptor", run: handshake::acceptor },
];
