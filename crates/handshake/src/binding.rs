use core::fmt;

use blake3::Hash;

/// What the handshake runs inside of (section 3, `mode` and `exporter`). Both ends must agree,
/// or their MACs do not. The exporter value is silent in `Debug`.
#[derive(Clone, Copy, Default)]
#[non_exhaustive]
pub enum ChannelBinding {
    /// A bare socket.
    #[default]
    None,
    /// A TLS session, bound by its exporter value: a relay that terminates TLS on both sides
    /// has two sessions with two values, and is refused.
    TlsExporter([u8; 32]),
}

impl ChannelBinding {
    pub(crate) fn mode(&self) -> u8 {
        match self {
            Self::None => 0,
            Self::TlsExporter(_) => 1,
        }
    }

    pub(crate) fn exporter(&self) -> &[u8; 32] {
        match self {
            Self::None => &[0; 32],
            Self::TlsExporter(value) => value,
        }
    }
}

/// The exporter value is a secret: comparing it takes the same time wherever the difference is.
impl PartialEq for ChannelBinding {
    fn eq(&self, other: &Self) -> bool {
        // `blake3::Hash` compares in constant time.
        let equal = Hash::from_bytes(*self.exporter()) == Hash::from_bytes(*other.exporter());
        equal && self.mode() == other.mode()
    }
}

impl Eq for ChannelBinding {}

impl fmt::Debug for ChannelBinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::TlsExporter(_) => "TlsExporter(redacted)",
        })
    }
}
