use replink_frame::Flags;

/// Which link features this end can and must have.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FlagPolicy {
    /// What a dialer offers and an acceptor is willing to select.
    pub supported: Flags,
    /// Without which there is no link; counts as supported.
    pub required: Flags,
}

impl FlagPolicy {
    /// All flags that this end takes part in.
    pub fn offered(self) -> Flags {
        self.supported | self.required
    }
}
