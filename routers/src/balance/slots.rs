//! A table of ranks, as narrow as the number of hosts allows.

/// Ranks by slot.
#[derive(Debug)]
pub(super) enum Slots {
    /// Up to 256 hosts.
    Narrow(Box<[u8]>),
    /// Up to 65,536 hosts: 128 KiB for a Maglev table of the usual size.
    Middle(Box<[u16]>),
    /// More.
    Wide(Box<[u32]>),
}

impl Slots {
    /// A table of `size` slots for `hosts` hosts, all of them 0, filled by `fill`.
    pub(super) fn filled(size: usize, hosts: usize, fill: impl Fill) -> Self {
        if hosts <= 1 << 8 {
            let mut slots = vec![0; size];
            fill.fill(&mut slots, |rank| rank as u8);
            Self::Narrow(slots.into())
        } else if hosts <= 1 << 16 {
            let mut slots = vec![0; size];
            fill.fill(&mut slots, |rank| rank as u16);
            Self::Middle(slots.into())
        } else {
            let mut slots = vec![0; size];
            fill.fill(&mut slots, |rank| rank as u32);
            Self::Wide(slots.into())
        }
    }

    /// How many slots there are.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Narrow(slots) => slots.len(),
            Self::Middle(slots) => slots.len(),
            Self::Wide(slots) => slots.len(),
        }
    }

    /// The rank in a slot.
    #[inline]
    pub(super) fn rank(&self, slot: usize) -> usize {
        match self {
            Self::Narrow(slots) => usize::from(slots[slot]),
            Self::Middle(slots) => usize::from(slots[slot]),
            Self::Wide(slots) => slots[slot] as usize,
        }
    }

    /// The bytes that the table takes.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Narrow(slots) => size_of_val(&**slots),
            Self::Middle(slots) => size_of_val(&**slots),
            Self::Wide(slots) => size_of_val(&**slots),
        }
    }
}

/// Fills a table of any width.
pub(super) trait Fill {
    /// Gives every slot the rank of a host, made narrow by `narrow`.
    fn fill<T: Copy>(self, slots: &mut [T], narrow: impl Fn(usize) -> T);
}
