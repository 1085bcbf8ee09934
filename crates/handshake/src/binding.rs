/// What the handshake runs inside of (section 3, `mode` and `exporter`). Both ends must agree,
/// or their MACs do not.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
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
