//! The header of the PROXY protocol, by which a proxy in front says who calls (HAProxy's
//! `proxy-protocol.txt`, versions 1 and 2).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::compile::Proxied;

/// How version 2 begins.
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// How version 1 begins.
const WORD: &[u8] = b"PROXY ";

/// The longest header of version 1, its CRLF included.
const LINE: usize = 107;

/// What version 2 has before its addresses.
const FIXED: usize = 16;

/// A version of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// A line of text.
    One,
    /// Bytes.
    Two,
}

/// A header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) version: Version,
    /// Its octets, which may not all be there yet: what version 2 has after the addresses is of no
    /// use here.
    pub(crate) length: usize,
    /// Where the connection came from and where it was meant to go; nothing where it is the proxy's
    /// own, or the proxy does not know.
    pub(crate) ends: Option<(SocketAddr, SocketAddr)>,
}

/// What the first octets of a connection are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Introduced {
    /// A header.
    By(Header),
    /// No header, where none is needed.
    Absent,
    /// More has to come before that is clear.
    More,
}

/// Reads a header.
///
/// # Errors
///
/// Why the connection goes no further.
pub(crate) fn read(begin: &[u8], filter: &Proxied) -> Result<Introduced, &'static str> {
    let may_be = |first: &[u8]| {
        let seen = first.len().min(begin.len());
        first.get(..seen) == begin.get(..seen)
    };
    // As Envoy: what is not allowed is not looked for where a header may be missing.
    let looks_for = |version| version || !filter.optional;
    let header = if may_be(SIGNATURE) && looks_for(filter.two) {
        two(begin)?
    } else if may_be(WORD) && looks_for(filter.one) {
        one(begin)?
    } else if filter.optional {
        return Ok(Introduced::Absent);
    } else {
        return Err("there is no header");
    };
    let Some(header) = header else {
        return Ok(Introduced::More);
    };
    let taken = match header.version {
        Version::One => filter.one,
        Version::Two => filter.two,
    };
    match taken {
        true => Ok(Introduced::By(header)),
        false => Err("its version is not allowed here"),
    }
}

fn one(begin: &[u8]) -> Result<Option<Header>, &'static str> {
    let seen = begin.get(..begin.len().min(LINE)).unwrap_or_default();
    let Some(end) = seen.windows(2).position(|pair| pair == b"\r\n") else {
        return match begin.len() < LINE {
            true => Ok(None),
            false => Err("its line has no end"),
        };
    };
    let line = std::str::from_utf8(begin.get(..end).unwrap_or_default());
    let line = line.map_err(|_| "its line is no text")?;
    let mut words = line.split(' ').skip(1);
    let ends = match words.next() {
        Some("UNKNOWN") => None,
        Some(family @ ("TCP4" | "TCP6")) => {
            let words: Vec<&str> = words.take(5).collect();
            let &[from, to, from_port, to_port] = words.as_slice() else {
                return Err("its line has other than four addresses and ports");
            };
            let address = |text: &str, port: &str| {
                let address: IpAddr = text.parse().ok()?;
                let digits = port.bytes().all(|byte| byte.is_ascii_digit());
                let port: u16 = port.parse().ok().filter(|_| digits)?;
                let fits = address.is_ipv4() == (family == "TCP4");
                fits.then(|| SocketAddr::new(address, port))
            };
            let ends = address(from, from_port).zip(address(to, to_port));
            Some(ends.ok_or("its line has no addresses")?)
        }
        _ => return Err("its line names no protocol"),
    };
    Ok(Some(Header {
        version: Version::One,
        length: end + 2,
        ends,
    }))
}

fn two(begin: &[u8]) -> Result<Option<Header>, &'static str> {
    let (Some(command), Some(family), Some(&[high, low])) = (
        begin.get(12),
        begin.get(13),
        begin.get(14..FIXED).and_then(|length| length.first_chunk()),
    ) else {
        return Ok(None);
    };
    let length = FIXED + usize::from(u16::from_be_bytes([high, low]));
    let addresses = match (command, family) {
        (0x20, _) | (0x21, 0x00) => 0,
        (0x21, 0x11) => 12,
        (0x21, 0x21) => 36,
        (0x21, _) => return Err("it is of another protocol than TCP"),
        _ => return Err("its command is not known"),
    };
    if length < FIXED + addresses {
        return Err("it is too short for its addresses");
    }
    let Some(octets) = begin.get(FIXED..FIXED + addresses) else {
        return Ok(None);
    };
    Ok(Some(Header {
        version: Version::Two,
        length,
        ends: match addresses {
            12 => ends(octets, |octets: [u8; 4]| Ipv4Addr::from(octets).into()),
            36 => ends(octets, |octets: [u8; 16]| Ipv6Addr::from(octets).into()),
            _ => None,
        },
    }))
}

/// Two addresses and two ports.
fn ends<const N: usize>(
    octets: &[u8],
    address: fn([u8; N]) -> IpAddr,
) -> Option<(SocketAddr, SocketAddr)> {
    let (from, rest) = octets.split_first_chunk::<N>()?;
    let (to, rest) = rest.split_first_chunk::<N>()?;
    let (from_port, rest) = rest.split_first_chunk::<2>()?;
    let to_port = rest.first_chunk::<2>()?;
    let at = |ip, port: &[u8; 2]| SocketAddr::new(address(ip), u16::from_be_bytes(*port));
    Some((at(*from, from_port), at(*to, to_port)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEEDED: Proxied = Proxied::taking(false, true, true);
    const OPTIONAL: Proxied = Proxied::taking(true, true, true);

    fn header(begin: &[u8]) -> Header {
        match read(begin, &NEEDED) {
            Ok(Introduced::By(header)) => header,
            other => panic!("{begin:?}: {other:?}"),
        }
    }

    fn ends_of(begin: &[u8]) -> Option<(String, String)> {
        let (from, to) = header(begin).ends?;
        Some((from.to_string(), to.to_string()))
    }

    fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).expect("short").to_be_bytes();
        [SIGNATURE, &[command, family], &length, rest].concat()
    }

    #[test]
    fn lines_name_both_ends() {
        let four = b"PROXY TCP4 10.1.2.3 10.9.8.7 4711 443\r\nGET /";
        let both = ("10.1.2.3:4711".to_owned(), "10.9.8.7:443".to_owned());
        assert_eq!(ends_of(four), Some(both));
        assert_eq!(header(four).length, four.len() - 5);
        let six = ends_of(b"PROXY TCP6 2001:db8::1 ::1 1 65535\r\n");
        let both = ("[2001:db8::1]:1".to_owned(), "[::1]:65535".to_owned());
        assert_eq!(six, Some(both));
        assert_eq!(ends_of(b"PROXY UNKNOWN\r\n"), None);
        assert_eq!(ends_of(b"PROXY UNKNOWN ffff::1 ::1 1 2\r\n"), None);
    }

    #[test]
    fn octets_name_both_ends_and_what_follows_is_skipped() {
        let four = [10, 1, 2, 3, 10, 9, 8, 7, 0x12, 0x67, 1, 0xbb];
        let both = ("10.1.2.3:4711".to_owned(), "10.9.8.7:443".to_owned());
        assert_eq!(ends_of(&v2(0x21, 0x11, &four)), Some(both.clone()));
        // Known before the last octet of a TLV is there.
        let long = v2(0x21, 0x11, &[&four[..], &[4, 0, 3, 1, 2, 3]].concat());
        assert_eq!(ends_of(&long[..long.len() - 2]), Some(both));
        assert_eq!(header(&long).length, long.len());
        let mut six = [0; 36];
        (six[15], six[31], six[33], six[35]) = (1, 2, 80, 81);
        let both = ("[::1]:80".to_owned(), "[::2]:81".to_owned());
        assert_eq!(ends_of(&v2(0x21, 0x21, &six)), Some(both));
        assert_eq!(ends_of(&v2(0x20, 0, b"")), None);
        assert_eq!(ends_of(&v2(0x21, 0, b"xxx")), None);
    }

    #[test]
    fn a_header_may_come_octet_by_octet() {
        let two = v2(0x21, 0x11, &[1; 12]);
        for whole in [&b"PROXY TCP4 1.1.1.1 1.1.1.1 1 1\r\n"[..], &two] {
            for length in 0..whole.len() {
                let begin = &whole[..length];
                assert_eq!(read(begin, &NEEDED), Ok(Introduced::More), "{begin:?}");
            }
            header(whole);
        }
    }

    #[test]
    fn what_is_no_header_is_refused_unless_it_may_be_missing() {
        let endless = [WORD, &[b'x'; LINE]].concat();
        for begin in [
            &b"PROXY TCP4 1.1.1.1 1.1.1.1 1\r\n"[..],
            b"PROXY TCP4 1.1.1.1 1.1.1.1 1 1 1\r\n",
            b"PROXY TCP4 ::1 ::1 1 1\r\n",
            b"PROXY TCP4 1.1.1.1 1.1.1.1 +1 1\r\n",
            b"PROXY TCP4 1.1.1.1 1.1.1.1 1 65536\r\n",
            b"PROXY UDP4 1.1.1.1 1.1.1.1 1 1\r\n",
            b"PROXY \xff\r\n",
            b"PROXY \r\n",
            &endless,
            &v2(0x11, 0x11, &[1; 12]),
            &v2(0x22, 0x11, &[1; 12]),
            &v2(0x21, 0x12, &[1; 12]),
            &v2(0x21, 0x31, &[1; 216]),
            &v2(0x21, 0x11, &[1; 11]),
        ] {
            assert!(read(begin, &NEEDED).is_err(), "{begin:?}");
            assert!(read(begin, &OPTIONAL).is_err(), "{begin:?}");
        }
        for begin in [&b"GET / HTTP/1.1"[..], b"PROXYX", b"\r\n\r\nG", b"\xda\xbb"] {
            assert!(read(begin, &NEEDED).is_err(), "{begin:?}");
            assert_eq!(read(begin, &OPTIONAL), Ok(Introduced::Absent), "{begin:?}");
        }
    }

    #[test]
    fn versions_may_be_shut_out() {
        let (one, two) = (&b"PROXY UNKNOWN\r\n"[..], v2(0x20, 0, b""));
        let (only_two, only_one) = (
            Proxied::taking(false, false, true),
            Proxied::taking(false, true, false),
        );
        assert!(read(one, &only_two).is_err() && read(&two, &only_one).is_err());
        assert!(read(one, &only_one).is_ok() && read(&two, &only_two).is_ok());
        let optional = Proxied::taking(true, false, true);
        assert_eq!(read(one, &optional), Ok(Introduced::Absent));
    }
}
