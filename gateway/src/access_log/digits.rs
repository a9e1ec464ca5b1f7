//! Numbers and addresses in digits, without the turns of `std::fmt`: each line has several.

use std::{
    cell::RefCell,
    io::Write as _,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

/// Writes a number.
pub(super) fn number(number: u64, out: &mut Vec<u8>) {
    let digit = |number: u64| b'0' + (number % 10) as u8;
    match number {
        0..10 => out.push(digit(number)),
        10..100 => out.extend_from_slice(&[digit(number / 10), digit(number)]),
        100..1000 => {
            out.extend_from_slice(&[digit(number / 100), digit(number / 10), digit(number)]);
        }
        _ => {
            let mut digits = [0; 20];
            let (mut start, mut left) = (digits.len(), number);
            while left > 0 {
                start -= 1;
                digits[start] = digit(left);
                left /= 10;
            }
            out.extend_from_slice(&digits[start..]);
        }
    }
}

thread_local! {
    /// The address that was written last, and its text: calls go to few hosts.
    static LAST: RefCell<Option<(SocketAddr, Vec<u8>)>> = const { RefCell::new(None) };
}

/// Writes an address and its port.
pub(super) fn address(address: SocketAddr, out: &mut Vec<u8>) {
    LAST.with_borrow_mut(|last| match last {
        Some((known, text)) if *known == address => out.extend_from_slice(text),
        Some((known, text)) => {
            text.clear();
            parts(address, text);
            out.extend_from_slice(text);
            *known = address;
        }
        None => {
            let mut text = Vec::new();
            parts(address, &mut text);
            out.extend_from_slice(&text);
            *last = Some((address, text));
        }
    });
}

fn parts(address: SocketAddr, out: &mut Vec<u8>) {
    match address {
        SocketAddr::V4(v4) => {
            octets(*v4.ip(), out);
            out.push(b':');
            number(v4.port().into(), out);
        }
        // Writing to memory cannot fail.
        SocketAddr::V6(v6) => drop(write!(out, "{v6}")),
    }
}

/// Writes an address.
pub(super) fn ip(ip: IpAddr, out: &mut Vec<u8>) {
    match ip {
        IpAddr::V4(v4) => octets(v4, out),
        IpAddr::V6(v6) => drop(write!(out, "{v6}")),
    }
}

fn octets(ip: Ipv4Addr, out: &mut Vec<u8>) {
    let [a, b, c, d] = ip.octets().map(u64::from);
    number(a, out);
    for octet in [b, c, d] {
        out.push(b'.');
        number(octet, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_fmt_writes() {
        let written = |write: &dyn Fn(&mut Vec<u8>)| {
            let mut out = Vec::new();
            write(&mut out);
            String::from_utf8(out).expect("digits are ASCII")
        };
        let around = |number: u64| [number - 1, number, number + 1];
        let numbers = (1..20).flat_map(|power| around(10_u64.pow(power)));
        for value in numbers.chain([0, 1, u64::MAX]) {
            assert_eq!(written(&|out| number(value, out)), value.to_string());
        }
        for text in ["0.0.0.0:0", "127.0.0.1:65535", "[::1]:80", "[fe80::1%3]:1"] {
            let value: SocketAddr = text.parse().expect(text);
            for _ in 0..2 {
                assert_eq!(written(&|out| address(value, out)), text);
            }
            let value = value.ip();
            assert_eq!(written(&|out| ip(value, out)), value.to_string());
        }
    }
}
