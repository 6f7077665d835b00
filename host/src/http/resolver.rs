//! DNS resolution that only yields addresses which may be connected to: the connection is made to what was checked.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Whether an address belongs to the public internet: not this machine, its network, the metadata service of a cloud, an address for
/// documentation, or one that embeds such an address.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

/// By the IANA's registry of special-purpose addresses (RFC 6890 and its updates).
fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || matches!((a, b, c), (0, ..) | (100, 64..=127, _) | (192, 0, 0) | (192, 88, 99) | (198, 18 | 19, _))
        || a >= 224;
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let embedded = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match address.segments() {
        // NAT64, 6to4 and mapped IPv4: as public as what is inside.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] | [0, 0, 0, 0, 0, 0xffff, high, low] => {
            embedded(high, low)
        }
        // Teredo, benchmarks, ORCHID, documentation.
        [0x2001, 0..=0x1ff | 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => false,
        // Only these are given out at all (RFC 4291 section 2.4); loopback, compatible, link-local, unique local, multicast are not.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

/// A name that resolves to no public address, where only those are allowed.
#[derive(Debug, thiserror::Error)]
#[error("`{name}` stands for {address}, which is no public address")]
pub(crate) struct NotPublic {
    name: String,
    address: IpAddr,
}

type HostLookup = Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync>;

/// Resolves names to addresses that may be connected to. The connection is made to one of them, so the address that was checked is the one
/// that is reached.
#[derive(Clone)]
pub(crate) struct Resolver {
    /// Whether an address may be connected to.
    allowed: fn(IpAddr) -> bool,
    lookup: HostLookup,
}

impl Resolver {
    /// A resolver that yields public addresses, or any.
    pub(crate) fn new(any: bool) -> Self {
        Self::of(if any { |_| true } else { is_public })
    }

    /// A resolver that yields the addresses for which `allowed` holds.
    pub(crate) fn of(allowed: fn(IpAddr) -> bool) -> Self {
        let lookup: HostLookup =
            Arc::new(|name| Box::pin(async move { Ok(tokio::net::lookup_host((name, 0)).await?.collect()) }));
        Self { allowed, lookup }
    }

    #[cfg(test)]
    fn by(any: bool, lookup: HostLookup) -> Self {
        Self { lookup, ..Self::new(any) }
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver").finish_non_exhaustive()
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let allowed = self.allowed;
        let name = name.as_str().to_owned();
        let found = (self.lookup)(name.clone());
        Box::pin(async move {
            let (kept, refused): (Vec<SocketAddr>, Vec<SocketAddr>) =
                found.await?.into_iter().partition(|address| allowed(address.ip()));
            match refused.first() {
                Some(address) if kept.is_empty() => Err(NotPublic { name, address: address.ip() }.into()),
                _ => Ok(Box::new(kept.into_iter()) as Addrs),
            }
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A resolver of one address for every name.
    pub(crate) fn always(any: bool, address: IpAddr) -> Resolver {
        Resolver::by(any, Arc::new(move |_| Box::pin(async move { Ok(vec![SocketAddr::new(address, 0)]) })))
    }

    #[test]
    fn an_address_is_public_or_it_is_not() {
        let public = [
            "1.1.1.1",
            "9.255.255.255",
            "100.63.255.255",
            "100.128.0.0",
            "169.253.255.255",
            "172.15.255.255",
            "172.32.0.0",
            "192.167.1.1",
            "198.17.255.255",
            "223.255.255.255",
            "2606:4700:4700::1111",
            "2a00:1450::1",
            "64:ff9b::101:101",
            "::ffff:1.1.1.1",
            "2002:101:101::1",
        ];
        let others = [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.255",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::7f00:1",
            "::1.1.1.1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:2::1",
            "2001:db8::1",
            "2002:7f00:1::1",
            "2002:a00:1::1",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd12:3456::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ];
        for address in public {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
        for address in others {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
    }

    #[tokio::test]
    async fn a_name_keeps_its_public_addresses_only() {
        let mixed = |any| {
            let found = || Ok(vec![SocketAddr::from(([10, 0, 0, 1], 0)), SocketAddr::from(([1, 1, 1, 1], 0))]);
            Resolver::by(any, Arc::new(move |_| Box::pin(async move { found() })))
        };
        let count = async |any| mixed(any).resolve("x".parse().unwrap()).await.unwrap().count();
        assert_eq!((count(false).await, count(true).await), (1, 2));
        let refused = always(false, IpAddr::from([127, 0, 0, 1])).resolve("rebound.example".parse().unwrap()).await;
        let refused = refused.map(Iterator::count).unwrap_err().to_string();
        assert_eq!(refused, "`rebound.example` stands for 127.0.0.1, which is no public address");
    }
}
