//! Which addresses outgoing calls may reach: public ones, and those that the operator allowed.
//!
//! Pure: it judges addresses and origins, it does not resolve names. `mod.rs` asks it for every address that it connects
//! to. The ranges are IANA's special-purpose registries:
//! <https://www.iana.org/assignments/iana-ipv4-special-registry>, <https://www.iana.org/assignments/iana-ipv6-special-registry>.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use url::{Host, Url};

/// Judges where calls may go.
#[derive(Debug, Clone, Default)]
pub struct Guard {
    allowed: Vec<IpNet>,
    origins: BTreeSet<String>,
}

/// What is known about a URL before its name is resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ruling {
    /// An exception by origin, or a literal address that may be reached.
    Trusted,
    /// A name: each address that it resolves to must be judged.
    Resolve,
    /// A literal address that may not be reached, or no HTTP URL at all.
    Refused,
}

impl Guard {
    /// `allowed`: networks that may be reached although private (`PAIDUP_ALLOW_PRIVATE_TARGETS`). `upstreams`: URLs of
    /// vendors as the operator set them; their exact origins (scheme, host, port) are exceptions.
    #[must_use]
    pub fn new(allowed: Vec<IpNet>, upstreams: &[&str]) -> Guard {
        let origins = upstreams.iter().filter_map(|text| Url::parse(text).ok()).map(|url| origin(&url)).collect();
        Guard { allowed, origins }
    }

    /// Judges a URL. `url` normalizes odd spellings of addresses (`0x7f.1`, `2130706433`, full-width digits), so what is
    /// judged here is what would be connected to.
    #[must_use]
    pub fn rule(&self, url: &Url) -> Ruling {
        if !matches!(url.scheme(), "http" | "https") {
            return Ruling::Refused;
        }
        if self.origins.contains(&origin(url)) {
            return Ruling::Trusted;
        }
        let literal = match url.host() {
            Some(Host::Domain(_)) => return Ruling::Resolve,
            Some(Host::Ipv4(v4)) => IpAddr::V4(v4),
            Some(Host::Ipv6(v6)) => IpAddr::V6(v6),
            None => return Ruling::Refused,
        };
        if self.permits(literal) { Ruling::Trusted } else { Ruling::Refused }
    }

    /// Whether a connection to this address may be made.
    #[must_use]
    pub fn permits(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.allowed.iter().any(|net| net.contains(&address)) || is_public(address)
    }
}

fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

const fn v4(a: u8, b: u8, c: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, 0), prefix)
}

/// IPv4 that is not for the public internet.
const RESERVED_V4: [Ipv4Net; 15] = [
    v4(0, 0, 0, 8),       // this network
    v4(10, 0, 0, 8),      // private
    v4(100, 64, 0, 10),   // carrier-grade NAT
    v4(127, 0, 0, 8),     // loopback
    v4(169, 254, 0, 16),  // link-local, and the clouds' metadata services
    v4(172, 16, 0, 12),   // private
    v4(192, 0, 0, 24),    // IETF protocol assignments
    v4(192, 0, 2, 24),    // documentation
    v4(192, 88, 99, 24),  // 6to4 relay, deprecated
    v4(192, 168, 0, 16),  // private
    v4(198, 18, 0, 15),   // benchmarks
    v4(198, 51, 100, 24), // documentation
    v4(203, 0, 113, 24),  // documentation
    v4(224, 0, 0, 4),     // multicast
    v4(240, 0, 0, 4),     // reserved, and broadcast
];

const fn v6(a: u16, b: u16, c: u16, prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0), prefix)
}

/// What IANA has given out as global unicast. Everything else (`::1`, `fc00::/7`, `fe80::/10`, `ff00::/8` ...) is not.
const GLOBAL_V6: Ipv6Net = v6(0x2000, 0, 0, 3);
/// Inside of it, what is not for the public internet.
const RESERVED_V6: [Ipv6Net; 3] = [
    v6(0x2001, 0, 0, 23),     // IETF protocol assignments, Teredo, ORCHID
    v6(0x2001, 0xdb8, 0, 32), // documentation
    v6(0x3fff, 0, 0, 20),     // documentation
];
/// The well-known NAT64 prefix: a translator reaches the IPv4 address in the last 32 bits.
const NAT64: Ipv6Net = v6(0x64, 0xff9b, 0, 96);
/// 6to4: a relay reaches the IPv4 address in bits 16 to 48.
const SIX_TO_FOUR: Ipv6Net = v6(0x2002, 0, 0, 16);

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => !RESERVED_V4.iter().any(|net| net.contains(&v4)),
        IpAddr::V6(v6) => match embedded(v6) {
            Some((v4, carried)) => carried && is_public(IpAddr::V4(v4)),
            None => GLOBAL_V6.contains(&v6) && !RESERVED_V6.iter().any(|net| net.contains(&v6)),
        },
    }
}

/// The IPv4 address that an IPv6 address stands for, and whether such addresses are reachable from the public internet
/// at all (when the IPv4 address is).
fn embedded(v6: Ipv6Addr) -> Option<(Ipv4Addr, bool)> {
    let part = v6.segments();
    let join = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    if NAT64.contains(&v6) {
        return Some((join(part[6], part[7]), true));
    }
    if SIX_TO_FOUR.contains(&v6) {
        return Some((join(part[1], part[2]), true));
    }
    // ISATAP: the interface part is 0000:5efe or 0200:5efe and an IPv4 address (RFC 5214).
    if GLOBAL_V6.contains(&v6) && part[4] & !0x0200 == 0 && part[5] == 0x5efe {
        return Some((join(part[6], part[7]), true));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_judged_by_range() {
        let guard = Guard::default();
        let refused = [
            ("this network", "0.0.0.0"),
            ("private 10", "10.255.255.255"),
            ("carrier-grade NAT, first", "100.64.0.0"),
            ("carrier-grade NAT, last", "100.127.255.255"),
            ("loopback", "127.0.0.1"),
            ("loopback, last", "127.255.255.254"),
            ("link-local", "169.254.169.254"),
            ("private 172, first", "172.16.0.0"),
            ("private 172, last", "172.31.255.255"),
            ("protocol assignments", "192.0.0.8"),
            ("documentation 1", "192.0.2.1"),
            ("6to4 relay", "192.88.99.1"),
            ("private 192.168", "192.168.0.1"),
            ("benchmarks", "198.19.255.255"),
            ("documentation 2", "198.51.100.7"),
            ("documentation 3", "203.0.113.7"),
            ("multicast", "224.0.0.1"),
            ("reserved", "240.0.0.1"),
            ("broadcast", "255.255.255.255"),
            ("unspecified", "::"),
            ("loopback v6", "::1"),
            ("IPv4-compatible", "::8.8.8.8"),
            ("mapped private", "::ffff:10.0.0.1"),
            ("mapped loopback", "::ffff:127.0.0.1"),
            ("translated", "::ffff:0:8.8.8.8"),
            ("NAT64 of private", "64:ff9b::10.0.0.1"),
            ("NAT64 of metadata", "64:ff9b::a9fe:a9fe"),
            ("local NAT64", "64:ff9b:1::8.8.8.8"),
            ("6to4 of private", "2002:c0a8:0001::1"),
            ("ISATAP of private", "2606:4700::5efe:10.0.0.1"),
            ("ISATAP of loopback, global bit", "2606:4700::200:5efe:127.0.0.1"),
            ("discard only", "100::1"),
            ("Teredo", "2001:0:53aa:64c:0:0:0:1"),
            ("ORCHID", "2001:20::1"),
            ("documentation v6", "2001:db8::1"),
            ("documentation v6, new", "3fff::1"),
            ("segment routing", "5f00::1"),
            ("unique local", "fd00::1"),
            ("link-local v6", "fe80::1"),
            ("site-local", "fec0::1"),
            ("multicast v6", "ff02::1"),
        ];
        for (name, address) in refused {
            assert!(!guard.permits(address.parse().unwrap()), "{name}: {address} must be refused");
        }
        let permitted = [
            ("before carrier-grade NAT", "100.63.255.255"),
            ("after carrier-grade NAT", "100.128.0.0"),
            ("before private 172", "172.15.255.255"),
            ("after private 172", "172.32.0.0"),
            ("after link-local", "169.255.0.0"),
            ("before multicast", "223.255.255.254"),
            ("public", "8.8.8.8"),
            ("public v6", "2606:4700:4700::1111"),
            ("mapped public", "::ffff:8.8.8.8"),
            ("NAT64 of public", "64:ff9b::8.8.8.8"),
            ("6to4 of public", "2002:808:808::1"),
        ];
        for (name, address) in permitted {
            assert!(guard.permits(address.parse().unwrap()), "{name}: {address} must be permitted");
        }
    }

    #[test]
    fn urls_are_judged_by_what_would_be_connected_to() {
        let guard = Guard::new(
            vec!["10.1.0.0/16".parse().unwrap()],
            &["http://127.0.0.1:9000/api/v10", "https://vendor.example"],
        );
        let cases = [
            ("a name", "https://example.com/hook", Ruling::Resolve),
            ("localhost is a name", "http://localhost/", Ruling::Resolve),
            ("public literal", "http://8.8.8.8/", Ruling::Trusted),
            ("loopback", "http://127.0.0.1/", Ruling::Refused),
            ("loopback, hexadecimal", "http://0x7f.1/", Ruling::Refused),
            ("loopback, one number", "http://2130706433/", Ruling::Refused),
            ("loopback, octal", "http://0177.0.0.1/", Ruling::Refused),
            ("loopback, short", "http://127.1/", Ruling::Refused),
            ("loopback, full-width digits", "http://１２７.0.0.1/", Ruling::Refused),
            ("loopback v6", "http://[::1]/", Ruling::Refused),
            ("mapped", "http://[::ffff:169.254.169.254]/", Ruling::Refused),
            ("allowed network", "http://10.1.2.3/", Ruling::Trusted),
            ("allowed network, mapped", "http://[::ffff:10.1.2.3]/", Ruling::Trusted),
            ("beside it", "http://10.2.2.3/", Ruling::Refused),
            ("exact origin", "http://127.0.0.1:9000/anything", Ruling::Trusted),
            ("other port", "http://127.0.0.1:9001/api/v10", Ruling::Refused),
            ("other scheme", "https://127.0.0.1:9000/api/v10", Ruling::Refused),
            ("origin by name", "https://vendor.example:443/x", Ruling::Trusted),
            ("no HTTP", "ftp://8.8.8.8/", Ruling::Refused),
            ("file", "file:///etc/passwd", Ruling::Refused),
        ];
        for (name, url, expected) in cases {
            assert_eq!(guard.rule(&Url::parse(url).unwrap()), expected, "{name}: {url}");
        }
    }
}
