//! Distinguished names as text (RFC 2253).

use std::fmt::Write as _;

use x509_parser::x509::X509Name;

/// The short names that OpenSSL writes, by object identifier. Others are written as numbers.
const SHORT: [(&str, &str); 16] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.4", "SN"),
    ("2.5.4.5", "serialNumber"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.9", "street"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.12", "title"),
    ("2.5.4.17", "postalCode"),
    ("2.5.4.42", "GN"),
    ("2.5.4.46", "dnQualifier"),
    ("0.9.2342.19200300.100.1.1", "UID"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("1.2.840.113549.1.9.1", "emailAddress"),
];

/// A name in the form of RFC 2253, most specific part first, as Envoy logs and forwards it.
pub(super) fn rfc2253(name: &X509Name<'_>) -> String {
    let mut text = String::new();
    let parts: Vec<_> = name.iter().collect();
    for part in parts.into_iter().rev() {
        let mut between = ",";
        for attribute in part.iter() {
            if !text.is_empty() {
                text.push_str(between);
            }
            between = "+";
            let id = attribute.attr_type().to_id_string();
            let known = SHORT.iter().find(|(known, _)| *known == id);
            match (known, attribute.as_str()) {
                (Some((_, short)), Ok(value)) => {
                    text.push_str(short);
                    text.push('=');
                    escape(value, &mut text);
                }
                (known, _) => {
                    text.push_str(known.map_or(id.as_str(), |(_, short)| short));
                    text.push_str("=#");
                    text.push_str(&super::certificate::hex(attribute.attr_value().data));
                }
            }
        }
    }
    text
}

/// Escapes what would end the value, and octets that are no printable ASCII.
fn escape(value: &str, text: &mut String) {
    let last = value.len().saturating_sub(1);
    for (at, byte) in value.bytes().enumerate() {
        match byte {
            b',' | b'+' | b'"' | b'\\' | b'<' | b'>' | b';' => {
                text.push('\\');
                text.push(char::from(byte));
            }
            b' ' if at == 0 || at == last => text.push_str("\\ "),
            b'#' if at == 0 => text.push_str("\\#"),
            b' '..=b'~' => text.push(char::from(byte)),
            // Writing to memory cannot fail.
            _ => drop(write!(text, "\\{byte:02X}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn values_cannot_end_before_their_end() {
        for (value, escaped) in [
            ("plain = text", "plain = text"),
            ("a,b+c\"d\\e<f>g;h", "a\\,b\\+c\\\"d\\\\e\\<f\\>g\\;h"),
            (" # ", "\\ #\\ "),
            ("#x", "\\#x"),
            ("é\n", "\\C3\\A9\\0A"),
            ("", ""),
        ] {
            let mut text = String::new();
            escape(value, &mut text);
            assert_eq!(text, escaped);
        }
    }
}
