//! Source addresses that may connect.

use std::net::IpAddr;

use ipnet::IpNet;

/// Whether `address` is in one of `networks`, or there are none.
pub fn allows(networks: &[IpNet], address: IpAddr) -> bool {
    let address = address.to_canonical();
    networks.is_empty() || networks.iter().any(|network| network.contains(&address))
}
