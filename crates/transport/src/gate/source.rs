use std::net::{IpAddr, Ipv6Addr};

/// What connections are counted by.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Source {
    /// An address of its own.
    Address(IpAddr),
    /// An IPv6 network of 64 bits, by its first address.
    Network(Ipv6Addr),
}

impl Source {
    /// One host may own a whole /64, so strangers in it count as one. `address` is canonical.
    pub(crate) fn of_stranger(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::Address(address),
            IpAddr::V6(v6) => Self::Network(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
        }
    }
}
