//! Where pushes may go. A callback URL comes from outside: it must not make this machine talk to
//! itself, to its neighbours or to the metadata service of its cloud.
//!
//! Asked for each address that a name resolves to, and the connection goes to the very address that
//! was let through, so a name that resolves to something else a moment later gains nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A network in CIDR notation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: u128,
    prefix: u8,
}

impl Network {
    /// `10.0.0.0/8`, `fd00::/8`, or one address.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix.parse::<u8>().ok()?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.unwrap_or(longest);
        (prefix <= longest).then(|| Self { address: bits(address), prefix: prefix + 128 - longest })
    }

    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let differing = self.address ^ bits(address);
        differing.leading_zeros() >= u32::from(self.prefix)
    }
}

/// IPv4 addresses are compared as what they are mapped to.
fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// What the operator allows.
#[derive(Debug, Clone, Default)]
pub struct Guard {
    pub allow_private: bool,
    pub allowed: Vec<Network>,
}

impl Guard {
    #[must_use]
    pub fn allows(&self, address: IpAddr) -> bool {
        self.allow_private
            || is_public(address)
            || self.allowed.iter().any(|network| network.contains(address))
    }
}

/// Whether an address is anybody's on the internet, as opposed to this machine's or this network's.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => match embedded(v6) {
            Some(v4) => is_public_v4(v4),
            None => is_public_v6(v6),
        },
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_broadcast()
        || address.is_documentation();
    // RFC 6890: this network, carrier-grade NAT, protocol assignments, 6to4 relays, benchmarks,
    // and what is reserved for later.
    let reserved = a == 0
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (18..20).contains(&b))
        || a >= 240;
    !special && !reserved
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    // Only 2000::/3 is given out. Of it: Teredo, ORCHID and the rest of 2001::/23 are tunnels and
    // identifiers, 2001:db8::/32 and 3fff::/20 are for books.
    let [a, b, ..] = address.segments();
    let global = a & 0xe000 == 0x2000;
    let assignments = a == 0x2001 && b < 0x0200;
    let documentation = (a == 0x2001 && b == 0x0db8) || (a == 0x3fff && b < 0x1000);
    global && !assignments && !documentation
}

/// The IPv4 address that an IPv6 one leads to: mapped, compatible, NAT64 and 6to4.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let of = |high: u16, low: u16| {
        let [[p, q], [r, s]] = [high.to_be_bytes(), low.to_be_bytes()];
        Ipv4Addr::new(p, q, r, s)
    };
    match [a, b, c, d, e, f] {
        [0, 0, 0, 0, 0, 0xffff] | [0x64, 0xff9b, 0, 0, 0, 0] => Some(of(g, h)),
        // `::` and `::1` are no compatible addresses.
        [0, 0, 0, 0, 0, 0] if g != 0 || h > 1 => Some(of(g, h)),
        [0x2002, high, low, ..] => Some(of(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn what_is_not_public_is_refused() {
        for text in [
            "127.0.0.1",
            "127.8.8.8",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "100.127.255.255",
            "224.0.0.1",
            "239.255.255.255",
            "0.0.0.0",
            "0.1.2.3",
            "255.255.255.255",
            "240.0.0.1",
            "192.0.0.8",
            "192.0.2.1",
            "198.18.0.1",
            "203.0.113.9",
            "192.88.99.1",
            "::",
            "::1",
            "fe80::1",
            "fc00::1",
            "fd12:3456::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:10.1.2.3",
            "::ffff:169.254.169.254",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::1",
            "2001:db8::1",
            "2001::1",
            "100::1",
            "fec0::1",
            "64:ff9b:1::1",
            "3fff::1",
        ] {
            assert!(!is_public(ip(text)), "{text}");
            assert!(!Guard::default().allows(ip(text)), "{text}");
        }
    }

    #[test]
    fn what_is_public_is_let_through() {
        for text in [
            "8.8.8.8",
            "1.1.1.1",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.0.1",
            "172.32.0.1",
            "192.167.0.1",
            "169.253.0.1",
            "2606:4700::1111",
            "2a00:1450:4001::1",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
            "2002:808:808::1",
        ] {
            assert!(is_public(ip(text)), "{text}");
        }
    }

    #[test]
    fn the_operator_opens_networks() {
        let allowed =
            ["10.1.0.0/16", "fd00::/8", "127.0.0.1"].map(|it| Network::parse(it).unwrap());
        let guard = Guard { allow_private: false, allowed: allowed.to_vec() };
        for text in ["10.1.2.3", "::ffff:10.1.2.3", "fd12::1", "127.0.0.1", "8.8.8.8"] {
            assert!(guard.allows(ip(text)), "{text}");
        }
        for text in ["10.2.0.1", "127.0.0.2", "fc00::1", "::1"] {
            assert!(!guard.allows(ip(text)), "{text}");
        }
        assert!(Guard { allow_private: true, allowed: Vec::new() }.allows(ip("::1")));
        for text in
            ["", "10.0.0.0/33", "fd00::/129", "10.0.0/8", "host", "10.0.0.0/-1", "1.1.1.1/x"]
        {
            assert_eq!(Network::parse(text), None, "{text}");
        }
    }

    proptest! {
        /// An IPv4 address is as public as every IPv6 address that leads to it.
        #[test]
        fn no_way_around_by_ipv6(octets in any::<[u8; 4]>()) {
            let v4 = Ipv4Addr::from(octets);
            let [a, b, c, d] = octets.map(u16::from);
            let (high, low) = (a << 8 | b, c << 8 | d);
            let mapped = v4.to_ipv6_mapped();
            let nat64 = Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low);
            let six_to_four = Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1);
            for v6 in [mapped, nat64, six_to_four] {
                prop_assert_eq!(is_public(v6.into()), is_public(v4.into()));
            }
        }

        #[test]
        fn a_network_contains_what_shares_its_prefix(
            base in any::<u32>(), other in any::<u32>(), prefix in 0_u8..=32,
        ) {
            let network = Network::parse(&format!("{}/{prefix}", Ipv4Addr::from(base))).unwrap();
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
            let expected = base & mask == other & mask;
            prop_assert_eq!(network.contains(Ipv4Addr::from(other).into()), expected);
        }
    }
}
