use core::fmt;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// The status byte of a `ReplicaChallenge` (section 2.1): 0 is ok, all else is a reject.
///
/// Total over `u8`: a code that this version does not know is a reject that keeps its number.
#[derive(
    FromBytes,
    IntoBytes,
    KnownLayout,
    Immutable,
    Unaligned,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
)]
#[repr(transparent)]
#[expect(clippy::exhaustive_structs, reason = "a number on the wire")]
pub struct Status(pub u8);

macro_rules! statuses {
    ($($name:ident = $value:literal, $label:literal, $advice:literal;)*) => {
        impl Status {
            $(#[doc = concat!("`", $label, "`: ", $advice)] pub const $name: Self = Self($value);)*

            /// The name of a code that has one.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($value => Some($label),)*
                    _ => None,
                }
            }

            /// What the one who reads the log should look at.
            pub const fn advice(self) -> &'static str {
                match self.0 {
                    $($value => $advice,)*
                    _ => "the peer speaks a newer protocol; look its number up in its documentation",
                }
            }
        }
    };
}

statuses! {
    OK = 0, "ok", "nothing to do";
    UNKNOWN_COMMAND = 1, "unknown_command", "the first frame was not what the handshake expects; or a version 1 dialer got a reason that has no version 1 code, such as cluster.auth.min_version or cluster.auth.enabled of the acceptor";
    CLUSTER_MISMATCH = 2, "cluster_mismatch", "both ends must have the same cluster.name";
    DIRECTIONAL_RULE = 3, "directional_rule", "the replica with the lower id dials; check replica ids and addresses";
    AUTH_REQUIRED = 4, "auth_required", "the acceptor authenticates its peers, and the dialer does not; set cluster.auth.enabled = true on the dialer too";
    MAC_MISMATCH = 5, "mac_mismatch", "someone altered the handshake on its way, or the dialer does not hold the key that it names; in version 1 also: the two ends hold different secrets or differ in cluster.auth.app";
    UNSUPPORTED_VERSION = 6, "unsupported_version", "raise the dialer's cluster.auth.version, or lower the acceptor's cluster.auth.min_version";
    UNKNOWN_KEY = 7, "unknown_key", "the acceptor does not hold the dialer's key: the two ends have different secrets, differ in cluster.auth.app, or are in the middle of a rotation";
    NOT_ALLOWED = 8, "not_allowed", "the dialer's id is not in the acceptor's cluster.nodes";
    BUSY = 9, "busy", "the acceptor has too many handshakes under way; try again after retry_after_ms";
    DRAINING = 10, "draining", "the acceptor is shutting down; try again after retry_after_ms";
    DUPLICATE_REPLICA = 11, "duplicate_replica", "another process is connected under the same replica id";
    RELEASE_MISMATCH = 12, "release_mismatch", "cluster.release of one end is not within cluster.releases of the other";
    POLICY_MISMATCH = 13, "policy_mismatch", "one end requires what the other does not offer, cluster.link.sealed or cluster.link.forward_secrecy; or cluster.auth.enabled is false on one end alone";
    MALFORMED_FRAME = 14, "malformed_frame", "the frame has the wrong size or bytes set that must be zero";
}

impl Status {
    /// Whether the code accepts the handshake.
    pub const fn is_ok(self) -> bool {
        self.0 == 0
    }

    /// The code that carries this reason to a version 1 peer: 0 to 5 keep theirs, all else is
    /// [`Status::UNKNOWN_COMMAND`] (section 2.1).
    pub const fn to_v1(self) -> Self {
        if self.0 <= 5 { self } else { Self::UNKNOWN_COMMAND }
    }

    /// Whether a reject with this code may carry a `retry_after_ms`.
    pub const fn carries_retry(self) -> bool {
        self.0 == Self::BUSY.0 || self.0 == Self::DRAINING.0
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name().unwrap_or("unknown status"), self.0)
    }
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn total_over_u8() {
        for code in 0..=255 {
            let status = Status(code);
            assert_eq!(status.name().is_some(), code <= 14);
            assert_eq!(status.is_ok(), code == 0);
            assert!(!status.advice().is_empty());
            assert!(status.to_v1().0 <= 5, "a v1 reject uses codes 0 to 5 only");
            assert_eq!(status.to_v1().is_ok(), status.is_ok(), "a reject stays a reject");
        }
    }
}
