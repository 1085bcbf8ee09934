use alloc::string::String;

use replink_frame::Flags;

use crate::ChannelBinding;

/// Which link features this end can and must have.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct FlagPolicy {
    /// What a dialer offers and an acceptor is willing to select.
    pub supported: Flags,
    /// Without which there is no link; counts as supported.
    pub required: Flags,
}

impl FlagPolicy {
    /// Takes part in `supported`, and insists on `required`.
    pub const fn new(supported: Flags, required: Flags) -> Self {
        Self { supported, required }
    }

    /// All flags that this end takes part in.
    pub fn offered(self) -> Flags {
        self.supported | self.required
    }

    /// What a dialer offers where its handshake is bound to `binding`. Inside a TLS session, which encrypts
    /// already, it offers seals only where it requires them (S-6).
    pub(crate) fn offered_in(self, binding: &ChannelBinding) -> Flags {
        match binding {
            ChannelBinding::None => self.offered(),
            ChannelBinding::TlsExporter(_) => self.supported.without(Flags::SEALED) | self.required,
        }
    }

    /// What an acceptor with this policy selects of what the dialer offers: nothing that it does not know (D-3).
    pub(crate) fn select(self, offered: Flags) -> Flags {
        offered & self.offered()
    }
}

/// The flags that a setting of `[cluster.link]` is for, each with it.
const SETTINGS: [(Flags, &str); 2] =
    [(Flags::SEALED, "cluster.link.sealed"), (Flags::EPHEMERAL, "cluster.link.forward_secrecy")];

/// The settings of a configuration that these flags come from, to be read by whoever has it; of none of them,
/// both.
pub fn settings_of(flags: Flags) -> String {
    let of = |&(flag, setting): &(Flags, &'static str)| flags.contains(flag).then_some(setting);
    let (one, other) = (of(&SETTINGS[0]), of(&SETTINGS[1]));
    match (one, other) {
        (Some(only), None) | (None, Some(only)) => only.into(),
        _ => [SETTINGS[0].1, SETTINGS[1].1].join(" and "),
    }
}
