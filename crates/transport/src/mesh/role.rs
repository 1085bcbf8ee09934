//! What a replica does in its cluster.

/// What a replica does in the cluster.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[non_exhaustive]
pub enum Role {
    /// Takes part in decisions.
    #[default]
    Voter,
    /// Follows, and takes no part.
    Standby,
}

impl Role {
    /// The word for it in a `cluster.toml`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Voter => "voter",
            Self::Standby => "standby",
        }
    }
}
