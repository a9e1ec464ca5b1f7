//! A count of the frames of a client that cost work and no credit: the h2 crate answers or stores
//! each, and would go on for ever (CVE-2019-9512 to 9518, CVE-2023-44487).

use crossdock_framework::time::Moment;

use super::PREFACE;

/// Control frames that a client may send at once and, beside what its streams and bytes earn, each
/// second.
const CONTROL: u32 = 1000;

/// Control frames that the head of a stream earns (Envoy: 100 PRIORITY frames for each stream).
const FOR_STREAM: u32 = 10;

/// Bytes sent to the client that earn it one WINDOW_UPDATE or PING.
const FOR_BYTES: u32 = 1024;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const END_STREAM: u8 = 1;

/// Follows the frames of one connection.
#[derive(Debug)]
pub(crate) struct Flood {
    /// Bytes of the preface or a payload that come before the next frame.
    skip: usize,
    head: [u8; 9],
    known: usize,
    control: Bucket,
    resets: Bucket,
    /// Bytes sent that have earned nothing yet.
    sent: u32,
}

/// What may still be spent.
#[derive(Debug)]
struct Bucket {
    left: u32,
    most: u32,
    filled: Moment,
}

impl Bucket {
    fn new(most: u32, now: Moment) -> Self {
        Self {
            left: most,
            most,
            filled: now,
        }
    }

    fn earn(&mut self, count: u32) {
        self.left = self.left.saturating_add(count).min(self.most);
    }

    /// `false` if that is too much.
    fn spend(&mut self, count: u32, now: Moment) -> bool {
        if self.left < count {
            let seconds = now.since(self.filled).as_secs();
            if seconds > 0 {
                self.filled = now;
                self.left = self.most;
            }
        }
        let fits = self.left >= count;
        self.left = self.left.saturating_sub(count);
        fits
    }
}

impl Flood {
    /// For a connection from its first byte. Of the streams that it opens, half may be reset beyond
    /// the `resets` that are allowed at once and each second.
    pub(crate) fn new(resets: u32, now: Moment) -> Self {
        Self {
            skip: PREFACE.len(),
            head: [0; 9],
            known: 0,
            control: Bucket::new(CONTROL, now),
            resets: Bucket::new(resets.saturating_mul(2), now),
            sent: 0,
        }
    }

    /// Notes bytes that were sent to the client.
    pub(crate) fn sent(&mut self, count: usize) {
        let sent = self
            .sent
            .saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
        self.control.earn(sent / FOR_BYTES);
        self.sent = sent % FOR_BYTES;
    }

    /// Follows what the client sends.
    ///
    /// # Errors
    ///
    /// When there are too many frames of a kind.
    pub(crate) fn judge(&mut self, mut bytes: &[u8], now: Moment) -> Result<(), &'static str> {
        while !bytes.is_empty() {
            if self.skip > 0 {
                let skipped = self.skip.min(bytes.len());
                self.skip -= skipped;
                bytes = bytes.get(skipped..).unwrap_or_default();
                continue;
            }
            let wanted = self.head.len() - self.known;
            let (taken, rest) = bytes.split_at(wanted.min(bytes.len()));
            if let Some(place) = self.head.get_mut(self.known..self.known + taken.len()) {
                place.copy_from_slice(taken);
            }
            self.known += taken.len();
            bytes = rest;
            if self.known == self.head.len() {
                self.known = 0;
                self.judge_frame(now)?;
            }
        }
        Ok(())
    }

    fn judge_frame(&mut self, now: Moment) -> Result<(), &'static str> {
        let [high, middle, low, kind, flags, ..] = self.head;
        self.skip = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
        let fine = match kind {
            DATA if self.skip > 0 || flags & END_STREAM != 0 => true,
            HEADERS => {
                self.control.earn(FOR_STREAM);
                self.resets.earn(1);
                true
            }
            RST_STREAM => {
                return match self.resets.spend(2, now) {
                    true => Ok(()),
                    false => Err("too many streams are reset"),
                };
            }
            _ => self.control.spend(1, now),
        };
        match fine {
            true => Ok(()),
            false => Err("too many control frames"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(length: usize, kind: u8, flags: u8) -> Vec<u8> {
        let head = [
            0,
            (length >> 8) as u8,
            length as u8,
            kind,
            flags,
            0,
            0,
            0,
            1,
        ];
        [&head[..], &vec![0; length]].concat()
    }

    fn fresh() -> Flood {
        let mut flood = Flood::new(100, Moment(0));
        assert_eq!(flood.judge(PREFACE, Moment(0)), Ok(()));
        flood
    }

    /// How many of these frames may be sent at once.
    fn allowed(flood: &mut Flood, frames: &[u8]) -> usize {
        let fine = |_: &usize| flood.judge(frames, Moment(0)).is_ok();
        (0..10_000).take_while(fine).count()
    }

    #[test]
    fn frames_without_effect_have_a_limit() {
        for (length, kind, flags) in [
            (8, 6, 0),
            (0, 4, 0),
            (5, 2, 0),
            (4, 8, 0),
            (0, DATA, 0),
            (3, 9, 0),
            (3, 99, 0),
        ] {
            let limit = allowed(&mut fresh(), &frame(length, kind, flags));
            assert_eq!(limit, CONTROL as usize, "frame {kind}");
        }
        let opened_and_reset = [frame(3, HEADERS, 5), frame(4, RST_STREAM, 0)].concat();
        assert_eq!(allowed(&mut fresh(), &opened_and_reset), 199);
    }

    #[test]
    fn frames_with_effect_have_none() {
        for frames in [
            frame(1, DATA, 0),
            frame(0, DATA, END_STREAM),
            frame(3, HEADERS, 4),
            [frame(3, HEADERS, 5), frame(5, 2, 0), frame(8, 6, 0)].concat(),
            [
                frame(3, HEADERS, 5),
                frame(3, HEADERS, 5),
                frame(4, RST_STREAM, 0),
            ]
            .concat(),
        ] {
            assert_eq!(allowed(&mut fresh(), &frames), 10_000);
        }
    }

    #[test]
    fn readers_may_say_so_and_time_forgives() {
        let mut flood = fresh();
        let update = frame(4, 8, 0);
        for _ in 0..10_000 {
            flood.sent(4096);
            assert_eq!(flood.judge(&update, Moment(0)), Ok(()));
        }
        while flood.judge(&update, Moment(0)).is_ok() {}
        assert_eq!(flood.judge(&update, Moment(2000)), Ok(()));
    }

    #[test]
    fn frames_may_come_in_any_pieces() {
        let pings = frame(8, 6, 0).repeat(CONTROL as usize);
        let last = frame(0, 6, 0);
        let bytes = [PREFACE, &frame(300, DATA, 0), &pings, &last].concat();
        for step in [1, 7, 9, 1000] {
            let mut flood = Flood::new(100, Moment(0));
            let mut pieces = bytes.chunks(step);
            let last = pieces.next_back().expect("some");
            assert!(
                pieces.all(|piece| flood.judge(piece, Moment(0)).is_ok()),
                "{step}"
            );
            assert!(flood.judge(last, Moment(0)).is_err(), "{step}");
        }
    }
}
