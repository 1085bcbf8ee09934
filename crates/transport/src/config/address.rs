use std::fmt;
use std::io;
use std::net::{Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::str::FromStr;
use std::vec;

use thiserror::Error;

use super::reader::Entry;

pub(super) const CURE: &str =
    "must be a host and a port, such as \"10.0.0.1:7400\", \"[fd00::1]:7400\" or \"replica-0.example:7400\"";

const SCOPE_CURE: &str =
    "must name the interface by its number, which \"ip link\" shows, such as \"[fe80::1%2]:7400\"";

/// The address that an entry of a file is.
pub(super) fn read(entry: &Entry<'_>) -> Option<Address> {
    let text = entry.string(CURE)?;
    entry.word(cure(text), Address::from_text)
}

/// What `text`, which is no address, has to be.
fn cure(text: &str) -> &'static str {
    let address = text.strip_prefix('[').and_then(|text| text.split_once(']'));
    let scope = address.and_then(|(address, _)| address.split_once('%'));
    match scope {
        Some((address, _)) if address.parse::<Ipv6Addr>().is_ok() => SCOPE_CURE,
        _ => CURE,
    }
}

/// Where a replica listens: an IP address or a host name, and a port.
///
/// A name is kept as a name, so that each new link looks it up anew.
///
/// A name comes from text alone, which is checked.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Address {
    /// An IP address and a port.
    Ip(SocketAddr),
    /// A host name, in lower case, and a port.
    #[non_exhaustive]
    Name {
        /// The host name.
        host: String,
        /// The port.
        port: u16,
    },
}

/// Text that is not a host and a port.
#[derive(Error, Clone, Copy, PartialEq, Eq, Debug)]
#[error("not a host and a port")]
#[expect(clippy::exhaustive_structs, reason = "its text says all that there is")]
pub struct InvalidAddress;

impl Address {
    /// The port.
    pub fn port(&self) -> u16 {
        match self {
            Self::Ip(address) => address.port(),
            Self::Name { port, .. } => *port,
        }
    }

    pub(super) fn from_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    /// Whether a peer can dial it: neither the port nor the address are ones that only a listener
    /// may have.
    pub(super) fn is_dialable(&self) -> bool {
        let unspecified = matches!(self, Self::Ip(address) if address.ip().to_canonical().is_unspecified());
        self.port() != 0 && !unspecified
    }

    /// The same for all spellings of the same address.
    pub(super) fn canonical(&self) -> Self {
        match self {
            Self::Ip(address) => Self::Ip(SocketAddr::new(address.ip().to_canonical(), address.port())),
            Self::Name { host, port } => {
                Self::Name { host: host.trim_end_matches('.').to_owned(), port: *port }
            }
        }
    }
}

impl FromStr for Address {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        if let Ok(address) = text.parse() {
            return Ok(Self::Ip(address));
        }
        let (host, port) = text.rsplit_once(':').ok_or(InvalidAddress)?;
        let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        let port = port.parse().ok().filter(|_| digits && is_host_name(host)).ok_or(InvalidAddress)?;
        Ok(Self::Name { host: host.to_ascii_lowercase(), port })
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self::Ip(address)
    }
}

impl ToSocketAddrs for Address {
    type Iter = vec::IntoIter<SocketAddr>;

    /// Looks a name up, which may take as long as the resolver likes.
    fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
        match self {
            Self::Ip(address) => Ok(vec![*address].into_iter()),
            Self::Name { host, port } => (host.as_str(), *port).to_socket_addrs(),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => fmt::Display::fmt(address, f),
            Self::Name { host, port } => write!(f, "{host}:{port}"),
        }
    }
}

/// RFC 1123, and the underscores that names inside container networks have. A name whose last
/// label is a number is a mistyped IPv4 address.
fn is_host_name(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(inner)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let number = |label: &str| label.bytes().all(|byte| byte.is_ascii_digit());
    host.len() <= 253 && host.split('.').all(label) && !host.rsplit('.').next().is_some_and(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_addresses_and_names() -> Result<(), InvalidAddress> {
        for (text, shown) in [
            ("10.0.0.1:7400", "10.0.0.1:7400"),
            ("[::1]:7400", "[::1]:7400"),
            ("[fe80::1%2]:7400", "[fe80::1%2]:7400"),
            ("localhost:0", "localhost:0"),
            ("Replica-0.Orders.svc:7400", "replica-0.orders.svc:7400"),
            ("orders_replica_1:65535", "orders_replica_1:65535"),
            ("3com.example.:80", "3com.example.:80"),
        ] {
            assert_eq!(text.parse::<Address>()?.to_string(), shown);
        }
        let long = format!("{}:80", "a.".repeat(128));
        for text in [
            "",
            ":",
            "7400",
            ":7400",
            "10.0.0.1",
            "10.0.0.1:",
            "10.0.0.1:65536",
            "10.0.0.1:+80",
            "10.0.0.256:80",
            "10.0.0:80",
            "::1:7400",
            "[::1]",
            "[::1:7400",
            "-a:80",
            "a-:80",
            "a..b:80",
            "a b:80",
            ".:80",
            "ö:80",
            "http://a:80",
            "a:80/",
            " a:80",
            &long,
        ] {
            assert_eq!(text.parse::<Address>(), Err(InvalidAddress), "{text}");
        }
        Ok(())
    }

    /// The system has numbers for interfaces, which names stand for until the next start.
    #[test]
    fn an_interface_is_wanted_by_its_number() {
        for text in ["[fe80::1%eth0]:7400", "[fe80::1%]:7400", "[fe80::1%25eth0]:7400"] {
            assert_eq!((text.parse::<Address>(), cure(text)), (Err(InvalidAddress), SCOPE_CURE));
        }
        for text in ["[fe80::1%2]", "eth0%2:7400", "[eth0%2]:7400", "[fe80::1]:x"] {
            let expected = if text == "[fe80::1%2]" { SCOPE_CURE } else { CURE };
            assert_eq!((text.parse::<Address>(), cure(text)), (Err(InvalidAddress), expected), "{text}");
        }
    }

    #[test]
    fn a_listener_may_have_what_a_peer_cannot_dial() -> Result<(), InvalidAddress> {
        for text in ["0.0.0.0:7400", "[::]:7400", "[::ffff:0.0.0.0]:7400", "10.0.0.1:0", "localhost:0"] {
            assert!(!text.parse::<Address>()?.is_dialable(), "{text}");
        }
        for text in ["10.0.0.1:7400", "[::1]:7400", "localhost:7400"] {
            assert!(text.parse::<Address>()?.is_dialable(), "{text}");
        }
        Ok(())
    }

    #[test]
    fn spellings_of_one_address_are_one() -> Result<(), InvalidAddress> {
        for (a, b) in
            [("A.b:80", "a.b.:80"), ("[::ffff:10.0.0.1]:80", "10.0.0.1:80"), ("[0::1]:80", "[::1]:80")]
        {
            assert_eq!(a.parse::<Address>()?.canonical(), b.parse::<Address>()?.canonical());
        }
        Ok(())
    }

    #[test]
    fn an_ip_address_needs_no_look_up() -> io::Result<()> {
        let address: SocketAddr = ([127, 0, 0, 1], 7400).into();
        assert!(Address::Ip(address).to_socket_addrs()?.eq([address]));
        Ok(())
    }
}
