//! Source addresses that may connect.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};

pub(super) const CURE: &str = "must be an address such as \"127.0.0.1\" or a network such as \"10.0.0.0/8\"";

/// An address or a network. Bits behind the prefix length are dropped, and IPv4 in the clothes of
/// IPv6 becomes IPv4, as do the addresses that are asked for.
pub(super) fn network(text: &str) -> Option<IpNet> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(IpNet::from(address.to_canonical()));
    }
    text.parse().ok().map(canonical)
}

/// The same network, written as the addresses are that are asked about.
pub(super) fn canonical(network: IpNet) -> IpNet {
    let network = network.trunc();
    let (IpAddr::V4(address), IpNet::V6(v6)) = (network.addr().to_canonical(), network) else {
        return network;
    };
    let v4 = v6.prefix_len().checked_sub(96).and_then(|len| Ipv4Net::new(address, len).ok());
    v4.map_or(network, IpNet::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::allows;

    fn shown(text: &str) -> Option<String> {
        network(text).map(|network| network.to_string())
    }

    #[test]
    fn reads_addresses_and_networks() {
        for (text, network) in [
            ("127.0.0.1", "127.0.0.1/32"),
            ("::1", "::1/128"),
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("10.1.2.3/8", "10.0.0.0/8"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("fd00::/8", "fd00::/8"),
            ("::ffff:10.0.0.1", "10.0.0.1/32"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("::ffff:0:0/96", "0.0.0.0/0"),
            ("::/0", "::/0"),
        ] {
            assert_eq!(shown(text).as_deref(), Some(network), "{text}");
        }
        for text in ["", "10.0.0.0/33", "10.0.0.0/", "10.0.0/8", "::/129", "localhost", "10.0.0.1:7400", "*"]
        {
            assert_eq!(shown(text), None, "{text}");
        }
    }

    #[test]
    fn a_mapped_address_is_the_ipv4_address_that_it_is() -> Result<(), Box<dyn std::error::Error>> {
        let networks: Vec<IpNet> = ["10.0.0.0/8", "fd00::/8"].into_iter().filter_map(network).collect();
        for (address, allowed) in [
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("11.0.0.1", false),
            ("::ffff:11.0.0.1", false),
            ("fd12::1", true),
            ("fe80::1", false),
        ] {
            assert_eq!(allows(&networks, address.parse()?), allowed, "{address}");
        }
        assert!(allows(&[], "11.0.0.1".parse()?));
        Ok(())
    }
}
