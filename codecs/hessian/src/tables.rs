//! The class definitions of a stream.

/// Class definitions kept without an allocation.
const INLINE: usize = 16;

/// Where a class is defined and how many fields its objects have.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Class {
    /// Offset of the definition, after its tag.
    pub(crate) offset: usize,
    /// Values that follow each object of the class.
    pub(crate) fields: u32,
}

/// Classes in the order of their definition. Names stay in the stream.
#[derive(Debug, Clone, Default)]
pub(crate) struct Classes {
    count: u32,
    first: [Class; INLINE],
    more: Vec<Class>,
}

impl Classes {
    #[inline]
    pub(crate) const fn count(&self) -> u32 {
        self.count
    }

    #[inline]
    pub(crate) fn push(&mut self, class: Class) {
        match self.first.get_mut(self.count as usize) {
            Some(slot) => *slot = class,
            None => self.more.push(class),
        }
        self.count += 1;
    }

    #[inline]
    pub(crate) fn get(&self, index: i32) -> Option<Class> {
        let index = u32::try_from(index)
            .ok()
            .filter(|&index| index < self.count)? as usize;
        match self.first.get(index) {
            Some(class) => Some(*class),
            None => self.more.get(index - INLINE).copied(),
        }
    }
}
