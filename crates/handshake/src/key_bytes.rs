//! Where keys are kept, so that nothing is left of them (`docs/security.md`).

use alloc::boxed::Box;
use core::hint::black_box;
use core::ops::Deref;

use zeroize::Zeroize;

/// A key in memory of its own: whatever holds it can be moved, and leaves no copy where it was. Wiped when
/// dropped; what others' code has left of it on the stack is for [`wiping`].
pub(crate) struct KeyBytes(Box<[u8; 32]>);

impl KeyBytes {
    pub(crate) fn new(bytes: &[u8; 32]) -> Self {
        let mut key = Box::new([0; 32]);
        key.copy_from_slice(bytes);
        Self(key)
    }

    /// Another key in the same memory: of the one before nothing is left there.
    pub(crate) fn replace(&mut self, bytes: &[u8; 32]) {
        self.0.copy_from_slice(bytes);
    }
}

impl Deref for KeyBytes {
    type Target = [u8; 32];

    fn deref(&self) -> &[u8; 32] {
        &self.0
    }
}

impl Drop for KeyBytes {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// More than a whole step of a handshake takes, with the calls below it that hash or multiply with a key.
const STACK_WIPED: usize = 16 * 1024;

/// Does `work` with keys, and then overwrites what it has left on this thread's stack. Once for a step that
/// uses many: to wipe takes as long as to hash some frames.
pub(crate) fn wiping<T>(work: impl FnOnce() -> T) -> T {
    let result = below(work);
    wipe_stack();
    result
}

/// More than sealing or opening a record takes: states of 448 bytes, moved a few times where nothing is optimized.
const RECORD_STACK_WIPED: usize = 8 * 1024;

/// As [`wiping`], for `work` on one record. Less is wiped, since there are many.
pub(crate) fn wiping_record<T>(work: impl FnOnce() -> T) -> T {
    let result = below(work);
    wipe::<RECORD_STACK_WIPED>();
    result
}

/// Has all of it in frames below the caller's, which are wiped.
#[inline(never)]
fn below<T>(work: impl FnOnce() -> T) -> T {
    work()
}

/// Overwrites what calls that have returned left on this thread's stack: copies of keys among it, which
/// others' code and the compiler make.
pub(crate) fn wipe_stack() {
    wipe::<STACK_WIPED>();
}

#[inline(never)]
fn wipe<const LEN: usize>() {
    let mut left = [0_u8; LEN];
    black_box(&mut left);
}
