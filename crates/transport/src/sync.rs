//! The synchronization that lock-sharing code is built on: the standard library's, or under
//! `cfg(loom)` that of the model checker, which runs it in every order.

#[cfg(loom)]
pub(crate) use loom::sync::{Mutex, MutexGuard};
#[cfg(not(loom))]
pub(crate) use std::sync::{Mutex, MutexGuard};
