use core::fmt;

/// The handshake version of a link. It is asked for and answered, never guessed (H-6).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[expect(clippy::exhaustive_enums, reason = "each match has to say what a new version means to it")]
pub enum Version {
    /// The interoperability profile: no flags, no session key, no control frames (H-13).
    V1,
    /// The whole transcript is authenticated (H-5).
    V2,
}

impl Version {
    /// The byte at offset 65 of a handshake frame's reserved bytes.
    pub const fn wire(self) -> u8 {
        match self {
            Self::V1 => 0,
            Self::V2 => 2,
        }
    }

    /// The version that a wire byte stands for; `None` for one this crate does not speak.
    pub const fn from_wire(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::V1),
            2 => Some(Self::V2),
            _ => None,
        }
    }

    /// 1 or 2, as configured and shown to people.
    pub const fn number(self) -> u8 {
        match self {
            Self::V1 => 1,
            Self::V2 => 2,
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.number())
    }
}
