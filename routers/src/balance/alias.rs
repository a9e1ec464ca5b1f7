//! Draws hosts by weight in constant time (Vose's alias method).

use super::below;

/// A weighted distribution over ranks.
#[derive(Debug)]
pub(super) struct Alias {
    hosts: usize,
    /// Empty if all weights are equal.
    cells: Box<[Cell]>,
}

/// One of as many cells of equal size as there are hosts.
#[derive(Clone, Copy, Debug)]
struct Cell {
    /// The share of the cell that its own host keeps, of 2^64.
    keep: u64,
    /// Whose the rest of the cell is.
    other: u32,
}

impl Alias {
    /// The distribution of `weights`, which are above zero.
    pub(super) fn new(weights: &[u32]) -> Self {
        let hosts = weights.len();
        let equal = weights.windows(2).all(|pair| pair[0] == pair[1]);
        Self {
            hosts,
            cells: if equal {
                Box::default()
            } else {
                cells(weights)
            },
        }
    }

    /// The rank that `random` falls upon.
    pub(super) fn choose(&self, random: u64) -> usize {
        let (rank, rest) = below(random, self.hosts);
        match self.cells.get(rank) {
            Some(cell) if rest >= cell.keep => cell.other as usize,
            _ => rank,
        }
    }

    /// The bytes that the table takes.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.cells)
    }
}

fn cells(weights: &[u32]) -> Box<[Cell]> {
    let total: u128 = weights.iter().map(|weight| u128::from(*weight)).sum();
    // In units of 1/total of a cell: each cell holds `total`, all weights together fill all cells.
    let mut left: Vec<u128> = weights
        .iter()
        .map(|weight| u128::from(*weight) * weights.len() as u128)
        .collect();
    let (mut small, mut large): (Vec<u32>, Vec<u32>) =
        (0..weights.len() as u32).partition(|rank| left[*rank as usize] < total);
    let full = |rank: usize| Cell {
        keep: u64::MAX,
        other: rank as u32,
    };
    let mut cells: Box<[_]> = (0..weights.len()).map(full).collect();
    while let (Some(&giver), Some(taker)) = (large.last(), small.pop()) {
        let (giver_at, taker_at) = (giver as usize, taker as usize);
        cells[taker_at] = Cell {
            keep: ((left[taker_at] << 64) / total) as u64,
            other: giver,
        };
        left[giver_at] -= total - left[taker_at];
        if left[giver_at] < total {
            large.pop();
            small.push(giver);
        }
    }
    cells
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The exact share of each rank, of 2^64 times the number of hosts.
    fn shares(alias: &Alias) -> Vec<u128> {
        let mut shares = vec![0; alias.hosts];
        for (rank, cell) in alias.cells.iter().enumerate() {
            let keep = if cell.other as usize == rank {
                1 << 64
            } else {
                u128::from(cell.keep)
            };
            shares[rank] += keep;
            shares[cell.other as usize] += (1 << 64) - keep;
        }
        shares
    }

    #[test]
    fn shares_are_those_of_the_weights() {
        for weights in [
            &[1, 1, 2, 3, 3][..],
            &[1, 1_000_000],
            &[u32::MAX, 1, u32::MAX],
            &[7, 1, 1, 1, 1, 1, 1],
        ] {
            let total: u128 = weights.iter().map(|weight| u128::from(*weight)).sum();
            let alias = Alias::new(weights);
            for (share, weight) in shares(&alias).into_iter().zip(weights) {
                let wanted = (u128::from(*weight) * weights.len() as u128) << 64;
                let wanted = wanted / total;
                assert!(
                    share.abs_diff(wanted) <= weights.len() as u128,
                    "{weights:?}"
                );
            }
        }
    }

    #[test]
    fn equal_weights_need_no_table() {
        let alias = Alias::new(&[5; 1000]);
        assert_eq!(alias.bytes(), 0);
        assert_eq!(alias.choose(u64::MAX), 999);
        assert_eq!(alias.choose(0), 0);
    }
}
