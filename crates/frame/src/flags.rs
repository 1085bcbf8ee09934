use core::fmt;
use core::ops::{BitAnd, BitOr};

/// The link features that a handshake negotiates (section 2). Unknown bits survive.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
#[expect(clippy::exhaustive_structs, reason = "a number on the wire")]
pub struct Flags(pub u16);

impl Flags {
    /// No feature.
    pub const NONE: Self = Self(0);
    /// X25519 shares are exchanged and bound into the session key (K-4).
    pub const EPHEMERAL: Self = Self(4);
    /// What follows the handshake is encrypted and proved, record by record (section 5).
    pub const SEALED: Self = Self(8);

    /// Whether every flag of `other` is set here.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// These but for those of `other`.
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl BitOr for Flags {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitAnd for Flags {
    type Output = Self;
    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = [(Self::SEALED, "sealed"), (Self::EPHEMERAL, "ephemeral")];
        let mut unknown = self.0;
        let mut separator = "";
        for (flag, name) in named {
            if self.contains(flag) {
                write!(f, "{separator}{name}")?;
                separator = "+";
                unknown &= !flag.0;
            }
        }
        match (unknown, separator) {
            (0, "") => f.write_str("none"),
            (0, _) => Ok(()),
            (bits, _) => write!(f, "{separator}{bits:#06x}"),
        }
    }
}
