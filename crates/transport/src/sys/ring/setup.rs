use std::io;

use io_uring::{IoUring, Probe, opcode};

use super::ProvidedBlocks;

/// Entries of the submission queue: what one system call takes. More is submitted in several.
const SUBMISSIONS: u32 = 256;

/// Entries of the completion queue. What does not fit is kept by the kernel.
const COMPLETIONS: u32 = 4096;

/// `IORING_RECVSEND_POLL_FIRST`. Linux 5.19.
pub(super) const POLL_FIRST: u16 = 1;

/// `IORING_SEND_ZC_REPORT_USAGE`. Linux 6.2.
pub(super) const REPORT_USAGE: u16 = 8;

/// `IORING_NOTIF_USAGE_ZC_COPIED`, in the result of the notification.
pub(super) fn was_copied(result: i32) -> bool {
    result < 0
}

/// What of `io_uring` is used.
#[expect(clippy::struct_excessive_bools, reason = "a kernel has each of them or has it not")]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Features {
    /// One thread submits, and completions are worked on when it asks for them. Linux 6.1.
    pub(crate) single_issuer: bool,
    /// Any thread may put a message into a ring. Linux 6.13.
    pub(crate) messages: bool,
    /// Sending without a copy, and learning whether that was so. Linux 6.2.
    pub(crate) zero_copy: bool,
    /// Blocks of memory are provided, out of which the kernel picks one when there is something to receive.
    /// Linux 5.19, but not everything that confines a process lets it have them.
    pub(crate) provided_blocks: bool,
}

impl Features {
    /// What Linux 5.19 has, the oldest that is supported.
    pub(crate) const OLDEST: Self =
        Self { single_issuer: false, messages: false, zero_copy: false, provided_blocks: true };

    /// What this kernel has.
    ///
    /// # Errors
    ///
    /// Why there is no `io_uring`: the kernel is too old, or does not let this process use it.
    pub(crate) fn find() -> io::Result<Self> {
        let newest = Self { single_issuer: true, ..Self::OLDEST };
        let (ring, single_issuer) = match build(newest) {
            Ok(ring) => (ring, true),
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => (build(Self::OLDEST)?, false),
            Err(error) => return Err(error),
        };
        let mut probe = Probe::new();
        ring.submitter().register_probe(&mut probe)?;
        // To poll before receiving is as old as this one, and can't be asked for.
        let poll_first = opcode::Socket::CODE;
        let needed = [
            poll_first,
            opcode::Accept::CODE,
            opcode::Connect::CODE,
            opcode::RecvMsg::CODE,
            opcode::Recv::CODE,
            opcode::SendMsg::CODE,
            opcode::PollAdd::CODE,
            opcode::AsyncCancel::CODE,
        ];
        let parameters = ring.params();
        let features = [
            parameters.is_feature_nodrop(),
            parameters.is_feature_ext_arg(),
            parameters.is_feature_fast_poll(),
            parameters.is_feature_submit_stable(),
        ];
        if !needed.iter().all(|&code| probe.is_supported(code)) || features.contains(&false) {
            let old = "the kernel's io_uring lacks operations that are needed: Linux 5.19 has them";
            return Err(io::Error::new(io::ErrorKind::Unsupported, old));
        }
        // Reporting the usage came one release after sending without copies; `ReadMulti` later still.
        let zero_copy =
            probe.is_supported(opcode::SendMsgZc::CODE) && probe.is_supported(opcode::ReadMulti::CODE);
        let messages = single_issuer && has_messages(&ring);
        let provided_blocks = ProvidedBlocks::register(&ring).is_ok_and(|provided| {
            // The kernel is to forget of them before they are gone.
            drop(ring);
            drop(provided);
            true
        });
        Ok(Self { single_issuer, messages, zero_copy, provided_blocks })
    }
}

/// A ring that was not enabled takes no message, and a kernel that knows such messages says so.
fn has_messages(ring: &IoUring) -> bool {
    let woken = super::RingAddress::of(ring).and_then(|address| address.wake());
    woken.is_err_and(|error| error.raw_os_error() == Some(libc::EBADFD))
}

pub(super) fn build(features: Features) -> io::Result<IoUring> {
    let mut builder = IoUring::builder();
    builder.dontfork().setup_submit_all().setup_cqsize(COMPLETIONS).setup_taskrun_flag();
    if features.single_issuer {
        // Disabled until the thread is known that submits.
        builder.setup_single_issuer().setup_defer_taskrun().setup_r_disabled();
    } else {
        builder.setup_coop_taskrun();
    }
    builder.build(SUBMISSIONS)
}
