//! Calendar time in UTC, as `%START_TIME(FORMAT)%` writes it.

use std::{
    cell::Cell,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// A compiled time format: `strftime` with the additions of Envoy for parts of a second.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeFormat {
    pieces: Vec<Piece>,
    /// It is the default, which nearly every access log writes.
    is_default: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Literal(Box<str>),
    Year,
    YearOfCentury,
    Month,
    MonthName,
    ShortMonthName,
    Day,
    SpacedDay,
    DayOfYear,
    WeekdayName,
    ShortWeekdayName,
    Hour,
    Hour12,
    Noon,
    Minute,
    Second,
    /// Seconds since 1970.
    Epoch,
    /// The first digits of the part of a second.
    Fraction(usize),
    /// Seconds with this many digits of their part, and as many as are needed for `None`.
    SecondsWith(Option<usize>),
}

/// The default of `%START_TIME%`: ISO 8601 with milliseconds.
const ISO_8601: &str = "%Y-%m-%dT%H:%M:%E3SZ";

/// What the default writes before the milliseconds: `2026-01-31T23:59:59.`
type ToSeconds = [u8; 20];

thread_local! {
    /// The last second that the thread wrote by the default: the next line is mostly of the same.
    static LAST: Cell<Option<(u64, ToSeconds)>> = const { Cell::new(None) };
}

impl TimeFormat {
    /// ISO 8601 with milliseconds, such as `2026-01-31T23:59:59.999Z`.
    pub fn iso_8601() -> Self {
        Self::parse(ISO_8601).expect("every piece of the default is known")
    }

    /// Reads a format: the conversions of C's `strftime` that make sense in UTC and without a
    /// locale, `%s`, `%f` and `%1f` … `%9f` as Envoy's access log has them, and `%E3S`, `%E*S`,
    /// `%E3f`, `%Ez` as its time library has them.
    ///
    /// # Errors
    ///
    /// The conversion that is not known.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(percent) = rest.find('%') {
            let (literal, behind) = rest.split_at(percent);
            if !literal.is_empty() {
                pieces.push(Piece::Literal(literal.into()));
            }
            let length = conversion_length(&behind[1..]).ok_or("a single % at the end")?;
            let (conversion, behind) = behind[1..].split_at(length);
            rest = behind;
            expand(conversion, &mut pieces).ok_or_else(|| format!("%{conversion} is not known"))?;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Literal(rest.into()));
        }
        Ok(Self {
            pieces,
            is_default: text == ISO_8601,
        })
    }

    /// Writes a moment.
    pub fn write(&self, moment: SystemTime, out: &mut Vec<u8>) {
        let since = moment.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let millis = since.subsec_millis();
        let digit = |tens: u32| b'0' + (millis / tens % 10) as u8;
        let end = [digit(100), digit(10), digit(1), b'Z'];
        let last = LAST.get().filter(|last| last.0 == since.as_secs());
        if let (true, Some((_, start))) = (self.is_default, last) {
            out.extend_from_slice(&start);
            out.extend_from_slice(&end);
            return;
        }
        let before = out.len();
        let civil = Civil::of(since.as_secs());
        for piece in &self.pieces {
            civil.write(piece, since, out);
        }
        if self.is_default
            && let Some((start, end)) = out.get(before..).and_then(|text| text.split_first_chunk())
            && end.len() == 4
        {
            LAST.set(Some((since.as_secs(), *start)));
        }
    }
}

/// How many bytes of `text`, which is behind a `%`, belong to the conversion.
fn conversion_length(text: &str) -> Option<usize> {
    let digits = |at: usize| text[at..].bytes().take_while(u8::is_ascii_digit).count();
    let first = text.chars().next()?;
    let prefix = match first {
        '1'..='9' => 1,
        'E' if text[1..].starts_with('*') => 2,
        'E' => 1 + digits(1),
        _ => 0,
    };
    Some(prefix + text[prefix..].chars().next()?.len_utf8())
}

fn expand(conversion: &str, pieces: &mut Vec<Piece>) -> Option<()> {
    let piece = match conversion {
        "Y" => Piece::Year,
        "y" => Piece::YearOfCentury,
        "m" => Piece::Month,
        "B" => Piece::MonthName,
        "b" | "h" => Piece::ShortMonthName,
        "d" => Piece::Day,
        "e" => Piece::SpacedDay,
        "j" => Piece::DayOfYear,
        "A" => Piece::WeekdayName,
        "a" => Piece::ShortWeekdayName,
        "H" => Piece::Hour,
        "I" => Piece::Hour12,
        "p" => Piece::Noon,
        "M" => Piece::Minute,
        "S" => Piece::Second,
        "s" => Piece::Epoch,
        "f" => Piece::Fraction(9),
        "%" => Piece::Literal("%".into()),
        "n" => Piece::Literal("\n".into()),
        "t" => Piece::Literal("\t".into()),
        "E*S" => Piece::SecondsWith(None),
        _ => return expand_longer(conversion, pieces),
    };
    pieces.push(piece);
    Some(())
}

fn expand_longer(conversion: &str, pieces: &mut Vec<Piece>) -> Option<()> {
    let written = match conversion {
        "T" => "%H:%M:%S",
        "R" => "%H:%M",
        "F" => "%Y-%m-%d",
        "D" => "%m/%d/%y",
        "c" => "%a %b %e %H:%M:%S %Y",
        "Z" => "UTC",
        "z" => "+0000",
        "Ez" => "+00:00",
        _ if !conversion.is_ascii() => return None,
        _ => {
            let (digits, what) = conversion.split_at(conversion.len() - 1);
            let digits: usize = digits.trim_start_matches('E').parse().ok()?;
            pieces.push(match what {
                "f" if (1..=9).contains(&digits) => Piece::Fraction(digits),
                "S" if conversion.starts_with('E') && digits <= 9 => {
                    Piece::SecondsWith(Some(digits))
                }
                _ => return None,
            });
            return Some(());
        }
    };
    pieces.extend(TimeFormat::parse(written).ok()?.pieces);
    Some(())
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

const WEEKDAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];

/// A date and a time of day.
struct Civil {
    year: u64,
    /// From 1.
    month: u64,
    /// From 1.
    day: u64,
    /// From 1.
    day_of_year: u64,
    /// From Sunday, 0.
    weekday: usize,
    hour: u64,
    minute: u64,
    second: u64,
}

impl Civil {
    /// The Gregorian calendar by eras of 400 years that begin in March, so that a leap day is the
    /// last of its year (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
    fn of(epoch: u64) -> Self {
        let days = epoch / 86_400;
        let shifted = days + 719_468;
        let (era, of_era) = (shifted / 146_097, shifted % 146_097);
        let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let since_march = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * since_march + 2) / 153;
        let month = if shifted_month < 10 {
            shifted_month + 3
        } else {
            shifted_month - 9
        };
        let year = era * 400 + year_of_era + u64::from(month <= 2);
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let day_of_year = match month {
            1 | 2 => since_march - 306 + 1,
            _ => since_march + 59 + u64::from(leap) + 1,
        };
        Self {
            year,
            month,
            day: since_march - (153 * shifted_month + 2) / 5 + 1,
            day_of_year,
            weekday: ((days + 4) % 7) as usize,
            hour: epoch / 3600 % 24,
            minute: epoch / 60 % 60,
            second: epoch % 60,
        }
    }

    fn write(&self, piece: &Piece, since: Duration, out: &mut Vec<u8>) {
        let short = |name: &'static str| &name[..3];
        let month = MONTHS[self.month as usize - 1];
        let weekday = WEEKDAYS[self.weekday];
        match piece {
            Piece::Literal(text) => out.extend_from_slice(text.as_bytes()),
            Piece::Year => padded(self.year, 4, out),
            Piece::YearOfCentury => padded(self.year % 100, 2, out),
            Piece::Month => padded(self.month, 2, out),
            Piece::MonthName => out.extend_from_slice(month.as_bytes()),
            Piece::ShortMonthName => out.extend_from_slice(short(month).as_bytes()),
            Piece::Day => padded(self.day, 2, out),
            Piece::SpacedDay => match self.day {
                day @ 0..10 => out.extend_from_slice(&[b' ', b'0' + day as u8]),
                day => padded(day, 2, out),
            },
            Piece::DayOfYear => padded(self.day_of_year, 3, out),
            Piece::WeekdayName => out.extend_from_slice(weekday.as_bytes()),
            Piece::ShortWeekdayName => out.extend_from_slice(short(weekday).as_bytes()),
            Piece::Hour => padded(self.hour, 2, out),
            Piece::Hour12 => padded((self.hour + 11) % 12 + 1, 2, out),
            Piece::Noon => out.extend_from_slice(if self.hour < 12 { b"AM" } else { b"PM" }),
            Piece::Minute => padded(self.minute, 2, out),
            Piece::Second => padded(self.second, 2, out),
            Piece::Epoch => padded(since.as_secs(), 1, out),
            Piece::Fraction(count) => out.extend_from_slice(&digits(since)[..*count]),
            Piece::SecondsWith(count) => {
                padded(self.second, 2, out);
                let digits = digits(since);
                let zeros = digits.iter().rev().take_while(|digit| **digit == b'0');
                let count = count.unwrap_or(9 - zeros.count());
                if count > 0 {
                    out.push(b'.');
                    out.extend_from_slice(&digits[..count]);
                }
            }
        }
    }
}

/// The nine digits of a part of a second.
fn digits(since: Duration) -> [u8; 9] {
    let mut nanos = since.subsec_nanos();
    let mut digits = [0; 9];
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (nanos % 10) as u8;
        nanos /= 10;
    }
    digits
}

/// A number with zeros before it, at least `width` digits.
fn padded(mut number: u64, width: usize, out: &mut Vec<u8>) {
    let mut digits = [b'0'; 20];
    let mut start = digits.len();
    while number > 0 {
        start -= 1;
        digits[start] += (number % 10) as u8;
        number /= 10;
    }
    out.extend_from_slice(&digits[start.min(digits.len() - width)..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(format: &str, seconds: u64, nanos: u32) -> String {
        let format = TimeFormat::parse(format).expect(format);
        let mut out = Vec::new();
        format.write(UNIX_EPOCH + Duration::new(seconds, nanos), &mut out);
        String::from_utf8(out).expect("dates are ASCII")
    }

    #[test]
    fn envoy_writes_the_same() {
        // Both lines are from the access log of Envoy 1.40.
        let format = "%Y/%m/%d %s %3f %f %E3S %6f %%";
        assert_eq!(
            written(format, 1_795_431_942, 357_093_000),
            "2026/11/23 1795431942 357 357093000 42.357 357093 %"
        );
        let format = "%Y-%m-%dT%T.%3fZ %e %j %a %b %H:%M:%S %9f %E*S %Ez %z %Z %1f %2f";
        assert_eq!(
            written(format, 1_795_431_942, 357_093_000),
            "2026-11-23T11:05:42.357Z 23 327 Mon Nov 11:05:42 357093000 42.357093 +00:00 +0000 \
             UTC 3 35"
        );
    }

    #[test]
    fn the_default_is_iso_8601_in_milliseconds() {
        let mut out = Vec::new();
        TimeFormat::iso_8601().write(UNIX_EPOCH + Duration::from_micros(1_999), &mut out);
        assert_eq!(out, b"1970-01-01T00:00:00.001Z");
    }

    #[test]
    fn lines_of_one_second_differ_in_milliseconds_alone() {
        let format = TimeFormat::iso_8601();
        for (millis, expected) in [
            (999, "1970-01-01T00:00:00.999Z"),
            (7, "1970-01-01T00:00:00.007Z"),
            (1_070, "1970-01-01T00:00:01.070Z"),
            (1_071, "1970-01-01T00:00:01.071Z"),
            (0, "1970-01-01T00:00:00.000Z"),
            // A year of five digits is longer than what is kept.
            (253_402_300_800_000, "10000-01-01T00:00:00.000Z"),
            (253_402_300_800_001, "10000-01-01T00:00:00.001Z"),
        ] {
            let mut out = Vec::new();
            format.write(UNIX_EPOCH + Duration::from_millis(millis), &mut out);
            assert_eq!(String::from_utf8_lossy(&out), expected);
        }
    }

    #[test]
    fn days_fall_where_the_calendar_has_them() {
        // As `date -u -d @SECONDS` says.
        for (seconds, date) in [
            (0, "1970-01-01 001 Thu"),
            (68_169_600, "1972-02-29 060 Tue"),
            (951_782_399, "2000-02-28 059 Mon"),
            (951_868_800, "2000-03-01 061 Wed"),
            (978_220_800, "2000-12-31 366 Sun"),
            (4_107_542_400, "2100-03-01 060 Mon"),
            (1_704_067_199, "2023-12-31 365 Sun"),
        ] {
            assert_eq!(written("%F %j %a", seconds, 0), date);
        }
    }

    #[test]
    fn every_conversion_is_written() {
        let format = "%y %B %h|%e %A %I%p %R %D %c %n%t%E0S %E*S %E2f";
        assert_eq!(
            written(format, 13 * 3600, 0),
            "70 January Jan| 1 Thursday 01PM 13:00 01/01/70 Thu Jan  1 13:00:00 1970 \n\t00 00 00"
        );
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for format in [
            "%", "%Q", "a%E", "%E10S", "%0f", "%12f", "%E3d", "%3S", "%\u{e9}",
        ] {
            assert!(TimeFormat::parse(format).is_err(), "{format}");
        }
    }
}
