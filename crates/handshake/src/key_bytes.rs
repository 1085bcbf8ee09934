//! Where keys are kept, so that nothing is left of them (`docs/security.md`).

use alloc::boxed::Box;
use core::hint::black_box;
use core::ops::Deref;

use zeroize::Zeroize;

/// A key in memory of its own: whatever holds it can be moved, and leaves no copy where it was. Wiped when
/// dropped, and the stack with it.
pub(crate) struct KeyBytes(Box<[u8; 32]>);

impl KeyBytes {
    pub(crate) fn new(bytes: &[u8; 32]) -> Self {
        let mut key = Box::new([0; 32]);
        key.copy_from_slice(bytes);
        Self(key)
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
        wipe_stack();
    }
}

/// More than the calls below us take that hash or multiply with a key.
const STACK_WIPED: usize = 16 * 1024;

/// Overwrites what calls that have returned left on this thread's stack: copies of keys among it, which
/// others' code and the compiler make.
#[inline(never)]
pub(crate) fn wipe_stack() {
    let mut left = [0_u8; STACK_WIPED];
    black_box(&mut left);
}
