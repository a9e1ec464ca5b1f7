//! Cells that one worker writes and anybody reads.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Cells of one line.
const LINE: usize = 16;

/// Two cache lines, the unit that prefetchers share: no other worker's cells lie in it.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Line([AtomicU64; LINE]);

/// The cells of one worker.
#[derive(Debug)]
pub(super) struct Row(Box<[Line]>);

impl Row {
    /// This many cells, all zero.
    pub(super) fn new(cells: usize) -> Self {
        let lines = cells.div_ceil(LINE);
        Self((0..lines).map(|_| Line::default()).collect())
    }

    /// Adds to a cell. Not a read-modify-write instruction: the worker is the only writer of its
    /// row.
    #[inline]
    pub(super) fn add(&self, index: usize, by: u64) {
        if let Some(line) = self.0.get(index / LINE) {
            let cell = &line.0[index % LINE];
            cell.store(cell.load(Relaxed).wrapping_add(by), Relaxed);
        }
    }

    /// What a cell holds.
    pub(super) fn get(&self, index: usize) -> u64 {
        let line = self.0.get(index / LINE);
        line.map_or(0, |line| line.0[index % LINE].load(Relaxed))
    }
}

/// The sum of a cell over workers; a gauge that one counts up and another down may pass zero.
pub(super) fn sum<'r>(rows: impl Iterator<Item = &'r Row>, index: usize) -> u64 {
    rows.fold(0, |sum, row| sum.wrapping_add(row.get(index)))
}
