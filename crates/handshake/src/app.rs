use alloc::sync::Arc;
use core::fmt;

use thiserror::Error;

/// Longest name of an embedding product, in bytes.
const APP_LEN_MAX: usize = 64;

/// The embedding product's constant name: the domain that keeps its keys and MACs apart from
/// every other product's (section 3, `app`).
#[derive(Clone, PartialEq, Eq)]
pub struct App(Arc<str>);

/// An app name that is empty, longer than 64 bytes, or holds control characters.
#[derive(Error, Clone, Copy, PartialEq, Eq, Debug)]
#[error("app must be 1 to {APP_LEN_MAX} bytes without control characters")]
#[expect(clippy::exhaustive_structs, reason = "its text says all that there is")]
pub struct InvalidApp;

impl App {
    /// Names the product.
    ///
    /// # Errors
    ///
    /// [`InvalidApp`] for an empty name, one above 64 bytes, or one with control characters.
    pub fn new(name: &str) -> Result<Self, InvalidApp> {
        let valid = !name.is_empty() && name.len() <= APP_LEN_MAX && !name.chars().any(char::is_control);
        if valid { Ok(Self(name.into())) } else { Err(InvalidApp) }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for App {
    /// `replink`, for those who embed without a domain of their own.
    fn default() -> Self {
        Self("replink".into())
    }
}

impl fmt::Display for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}
