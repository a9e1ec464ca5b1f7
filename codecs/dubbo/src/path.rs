//! `/<interface>/<method>` without an allocation.

use std::fmt;

use crate::plain::Name;

/// Paths up to this many octets are kept in place. Java's own limit of a class name is 65 535;
/// names longer than this have not been seen.
const INLINE: usize = 256;

/// A path, built once for each view that is asked for it.
#[expect(
    clippy::large_enum_variant,
    reason = "the box is what the large variant avoids"
)]
pub(crate) enum Path {
    Inline { octets: [u8; INLINE], len: usize },
    Heap(Box<str>),
}

impl Path {
    pub(crate) fn new(interface: &Name<'_>, method: &Name<'_>) -> Self {
        let mut octets = [0; INLINE];
        let mut len = 0;
        for part in [b"/", interface.octets(), b"/", method.octets()] {
            match octets.get_mut(len..len + part.len()) {
                Some(slot) => slot.copy_from_slice(part),
                None => {
                    let path = format!("/{}/{}", interface.as_str(), method.as_str());
                    return Self::Heap(path.into());
                }
            }
            len += part.len();
        }
        Self::Inline { octets, len }
    }

    pub(crate) fn as_str(&self) -> &str {
        match self {
            // Whole strings were copied, so the octets are UTF-8.
            Self::Inline { octets, len } => octets
                .get(..*len)
                .and_then(|octets| std::str::from_utf8(octets).ok())
                .unwrap_or_default(),
            Self::Heap(path) => path,
        }
    }
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_paths_leave_the_inline_buffer() {
        for length in [0, 1, INLINE - 6, INLINE - 5, INLINE] {
            let interface = "i".repeat(length);
            let path = Path::new(
                &Name::Text(interface.as_str().into()),
                &Name::Text("any".into()),
            );
            assert_eq!(path.as_str(), format!("/{interface}/any"));
            assert_eq!(matches!(path, Path::Inline { .. }), length + 5 <= INLINE);
        }
    }
}
