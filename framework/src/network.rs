//! Networks: addresses with a common prefix.

use std::net::IpAddr;

/// Addresses with a common prefix (RFC 4632, RFC 4291 section 2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    first: IpAddr,
    length: u32,
}

impl Network {
    /// The addresses that have the first `length` bits of `address`; `None` when it has fewer.
    pub fn new(address: IpAddr, length: u32) -> Option<Self> {
        let bits = match address {
            IpAddr::V4(_) => 32,
            IpAddr::V6(_) => 128,
        };
        let first = cut(address, length);
        (length <= bits).then_some(Self { first, length })
    }

    /// Whether `address` is one of them. Addresses of the other family never are.
    pub fn holds(&self, address: IpAddr) -> bool {
        cut(address, self.length) == self.first
    }

    /// How many bits they have in common.
    pub fn length(&self) -> u32 {
        self.length
    }
}

/// An address with only its first bits.
fn cut(address: IpAddr, length: u32) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32_u32.saturating_sub(length));
            IpAddr::V4((v4.to_bits() & mask.unwrap_or(0)).into())
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128_u32.saturating_sub(length));
            IpAddr::V6((v6.to_bits() & mask.unwrap_or(0)).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_network_holds_what_begins_like_it() {
        for (first, length, within, outside) in [
            ("10.1.2.3", 8, "10.255.0.1", "11.0.0.1"),
            ("10.1.2.3", 32, "10.1.2.3", "10.1.2.4"),
            ("0.0.0.0", 0, "255.255.255.255", "::1"),
            ("fd00::1", 8, "fdff::", "fe00::"),
            ("::", 0, "ffff::", "0.0.0.0"),
        ] {
            let network = Network::new(address(first), length).expect("not too long");
            assert!(network.holds(address(within)), "{first}/{length}");
            assert!(!network.holds(address(outside)), "{first}/{length}");
        }
        assert_eq!(Network::new(address("10.0.0.1"), 33), None);
        assert_eq!(Network::new(address("::1"), 129), None);
    }
}
