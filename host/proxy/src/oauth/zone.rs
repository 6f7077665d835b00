//! Where an address is, as seen from this machine, and which addresses a server may name.

use std::net::{IpAddr, Ipv6Addr};

use url::{Host, Url};

use understudy::http::resolver::is_public;

/// Where a server is. A server may name addresses in its zone and in the zones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Zone {
    /// On the public internet.
    Public,
    /// In a private network: RFC 1918, RFC 6598 (shared address space), unique local addresses of IPv6.
    Private,
    /// On this machine.
    Loopback,
}

impl Zone {
    /// The zone of an address; `None` for those that no server may name: link-local (a cloud's metadata among them), unspecified, multicast,
    /// reserved, and addresses of IPv6 that embed a private one.
    #[must_use]
    pub fn of(address: IpAddr) -> Option<Self> {
        let address = address.to_canonical();
        if is_public(address) {
            return Some(Self::Public);
        }
        if address.is_loopback() {
            return Some(Self::Loopback);
        }
        let is_private = match address {
            IpAddr::V4(address) => {
                let [a, b, ..] = address.octets();
                address.is_private() || (a == 100 && (64..=127).contains(&b))
            }
            IpAddr::V6(address) => is_unique_local(address),
        };
        is_private.then_some(Self::Private)
    }

    /// The zone of a server with several addresses: the one that allows the least.
    pub(super) fn of_all(addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        addresses.into_iter().map(|address| Self::of(address).unwrap_or(Self::Public)).min().unwrap_or(Self::Public)
    }

    /// Whether a server in this zone may name this address.
    #[must_use]
    pub fn may_name(self, address: IpAddr) -> bool {
        Self::of(address).is_some_and(|other| other <= self)
    }
}

/// The address of AWS's metadata service, which is a unique local one.
fn is_unique_local(address: Ipv6Addr) -> bool {
    address.segments()[0] & 0xfe00 == 0xfc00 && address != Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254)
}

/// The zone that follows from a URL without resolving its name. Names of this machine count as its address (RFC 6761).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    Address(IpAddr),
    Loopback,
    /// A name, whose addresses are checked when the connection is made.
    Name,
}

impl Said {
    pub(super) fn by(url: &Url) -> Self {
        match url.host() {
            Some(Host::Ipv4(address)) => Self::Address(address.into()),
            Some(Host::Ipv6(address)) => Self::Address(address.into()),
            Some(Host::Domain(name)) => {
                let name = name.strip_suffix('.').unwrap_or(name);
                if name == "localhost" || name.ends_with(".localhost") { Self::Loopback } else { Self::Name }
            }
            None => Self::Name,
        }
    }

    pub(super) fn is_loopback(self) -> bool {
        match self {
            Self::Address(address) => Zone::of(address) == Some(Zone::Loopback),
            Self::Loopback => true,
            Self::Name => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_has_its_zone_or_none() {
        let of = |address: &str| Zone::of(address.parse().unwrap());
        for address in ["1.1.1.1", "2606:4700:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"] {
            assert_eq!(of(address), Some(Zone::Public), "{address}");
        }
        for address in
            ["10.0.0.1", "172.31.0.1", "192.168.1.1", "100.64.0.1", "100.127.1.1", "fd12::1", "::ffff:10.0.0.1"]
        {
            assert_eq!(of(address), Some(Zone::Private), "{address}");
        }
        for address in ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(of(address), Some(Zone::Loopback), "{address}");
        }
        for address in [
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "fe80::1",
            "0.0.0.0",
            "::",
            "224.0.0.1",
            "255.255.255.255",
            "192.0.2.1",
            "fd00:ec2::254",
            "64:ff9b::7f00:1",
            "2002:a00:1::1",
            "fec0::1",
        ] {
            assert_eq!(of(address), None, "{address}");
        }
    }

    #[test]
    fn a_server_names_its_own_zone_and_those_before_it() {
        let may = |zone: Zone, address: &str| zone.may_name(address.parse().unwrap());
        assert_eq!(
            ["1.1.1.1", "10.0.0.1", "127.0.0.1", "169.254.169.254"].map(|a| may(Zone::Public, a)),
            [true, false, false, false]
        );
        assert_eq!(
            ["1.1.1.1", "10.0.0.1", "127.0.0.1", "169.254.169.254"].map(|a| may(Zone::Private, a)),
            [true, true, false, false]
        );
        assert_eq!(
            ["1.1.1.1", "10.0.0.1", "127.0.0.1", "169.254.169.254"].map(|a| may(Zone::Loopback, a)),
            [true, true, true, false]
        );
        let mixed = ["10.0.0.1", "1.1.1.1"].map(|address| address.parse().unwrap());
        assert_eq!(Zone::of_all(mixed), Zone::Public, "a name of both is not a private server's");
    }
}
