//! The few values that a proxy writes: local answers and added attachments.

use crate::Grammar;

/// Most units in one chunk of a string, as Java writes them.
const CHUNK: usize = 0x8000;

/// Appends values of one stream to a buffer.
///
/// The caller keeps the structure: each container gets as many values as it was given a count,
/// each object the fields of its class in their order, each map its end. What is written forms
/// one stream, in which classes and references are numbered from zero.
///
/// ```
/// use crossdock_hessian::{Grammar, Writer};
///
/// let mut body = Vec::new();
/// let mut writer = Writer::new(&mut body, Grammar::V2);
/// writer.int(5);
/// writer.string_map([("dubbo", "2.0.2")]);
/// assert_eq!(body, b"\x95H\x05dubbo\x052.0.2Z");
/// ```
#[derive(Debug)]
pub struct Writer<'o> {
    out: &'o mut Vec<u8>,
    grammar: Grammar,
    classes: i32,
    references: i32,
}

/// A class that a [`Writer`] has defined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClassId(i32);

/// A map, list or object that a [`Writer`] has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reference(i32);

impl<'o> Writer<'o> {
    /// A writer of a new stream at the end of `out`.
    #[must_use]
    pub const fn new(out: &'o mut Vec<u8>, grammar: Grammar) -> Self {
        Self {
            out,
            grammar,
            classes: 0,
            references: 0,
        }
    }

    /// Null.
    pub fn null(&mut self) {
        self.out.push(b'N');
    }

    /// True or false.
    pub fn bool(&mut self, value: bool) {
        self.out.push(if value { b'T' } else { b'F' });
    }

    /// A 32-bit integer in its shortest form.
    pub fn int(&mut self, value: i32) {
        match value {
            -0x10..=0x2f => self.out.push(low(value + 0x90)),
            -0x800..=0x7ff => self.out.extend([low((value >> 8) + 0xc8), low(value)]),
            -0x4_0000..=0x3_ffff => {
                self.out
                    .extend([low((value >> 16) + 0xd4), low(value >> 8), low(value)]);
            }
            _ => {
                self.out.push(b'I');
                self.out.extend(value.to_be_bytes());
            }
        }
    }

    /// A 64-bit integer in its shortest form.
    pub fn long(&mut self, value: i64) {
        let Ok(short) = i32::try_from(value) else {
            self.out.push(b'L');
            self.out.extend(value.to_be_bytes());
            return;
        };
        match short {
            -0x08..=0x0f => self.out.push(low(short + 0xe0)),
            -0x800..=0x7ff => self.out.extend([low((short >> 8) + 0xf8), low(short)]),
            -0x4_0000..=0x3_ffff => {
                self.out
                    .extend([low((short >> 16) + 0x3c), low(short >> 8), low(short)]);
            }
            _ => {
                self.out.push(match self.grammar {
                    Grammar::V2 => b'Y',
                    Grammar::V3 => b'w',
                });
                self.out.extend(short.to_be_bytes());
            }
        }
    }

    /// A string. Supplementary characters become two surrogates of three octets each, because
    /// Java rejects anything else.
    pub fn string(&mut self, text: &str) {
        if text.is_ascii() && text.len() <= CHUNK {
            self.string_head(text.len(), true);
            self.out.extend_from_slice(text.as_bytes());
        } else {
            let units = text.encode_utf16();
            self.chunks(units.clone().count(), units);
        }
    }

    /// A string, or null.
    pub fn string_or_null(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.string(text),
            None => self.null(),
        }
    }

    /// A string of UTF-16 units, among which lone surrogates are legal.
    pub fn string_units(&mut self, units: &[u16]) {
        self.chunks(units.len(), units.iter().copied());
    }

    /// A whole map of strings, as Java writes a `HashMap`.
    pub fn string_map<'s>(&mut self, entries: impl IntoIterator<Item = (&'s str, &'s str)>) {
        self.begin_map();
        for (key, value) in entries {
            self.string(key);
            self.string(value);
        }
        self.end_map();
    }

    /// Begins a map without a type: keys and values follow in turn, then [`Writer::end_map`].
    ///
    /// In [`Grammar::V3`] the first key must not be `true`: its octet there means a type.
    pub fn begin_map(&mut self) -> Reference {
        self.out.push(match self.grammar {
            Grammar::V2 => b'H',
            Grammar::V3 => b'M',
        });
        self.reference()
    }

    /// Ends the map.
    pub fn end_map(&mut self) {
        self.out.push(self.grammar.end());
    }

    /// Begins a list of `count` values of a type such as `[java.lang.StackTraceElement`; they
    /// follow, then [`Writer::end_list`].
    ///
    /// # Panics
    /// When `count` is over `i32::MAX`, or `kind` longer than 65 535 units.
    pub fn begin_list(&mut self, kind: &str, count: usize) -> Reference {
        let length = i32::try_from(count).expect("a list has at most i32::MAX values");
        match (self.grammar, u8::try_from(count)) {
            (Grammar::V2, Ok(count @ 0..=7)) => {
                self.out.push(0x70 + count);
                self.string(kind);
            }
            (Grammar::V2, _) => {
                self.out.push(b'V');
                self.string(kind);
                self.int(length);
            }
            (Grammar::V3, short) => {
                self.out.extend(b"Vt");
                self.raw_type(kind);
                match short {
                    Ok(count) => self.out.extend([b'n', count]),
                    Err(_) => {
                        self.out.push(b'l');
                        self.out.extend(length.to_be_bytes());
                    }
                }
            }
        }
        self.reference()
    }

    /// Ends the list.
    pub fn end_list(&mut self) {
        if self.grammar == Grammar::V3 {
            self.out.push(self.grammar.end());
        }
    }

    /// Defines a class. A value has to follow, the object in most cases.
    ///
    /// # Panics
    /// When there are over `i32::MAX` fields, or the name is that long.
    pub fn define_class(&mut self, name: &str, fields: &[&str]) -> ClassId {
        self.out.push(self.grammar.definition());
        match self.grammar {
            Grammar::V2 => self.string(name),
            Grammar::V3 => {
                self.int(length(name.encode_utf16().count()));
                self.raw_units(name.encode_utf16());
            }
        }
        self.int(length(fields.len()));
        for field in fields {
            self.string(field);
        }
        self.classes += 1;
        ClassId(self.classes - 1)
    }

    /// Begins an object: the values of its fields follow, in the order of the definition.
    pub fn object(&mut self, class: ClassId) -> Reference {
        match (self.grammar, class.0) {
            (Grammar::V2, short @ 0..=15) => self.out.push(low(0x60 + short)),
            (Grammar::V2, long) => {
                self.out.push(b'O');
                self.int(long);
            }
            (Grammar::V3, index) => {
                self.out.push(b'o');
                self.int(index);
            }
        }
        self.reference()
    }

    /// The map, list or object that has begun as `target`, once more.
    pub fn refer(&mut self, target: Reference) {
        match self.grammar {
            Grammar::V2 => {
                self.out.push(b'Q');
                self.int(target.0);
            }
            Grammar::V3 => {
                if let Ok(short) = u8::try_from(target.0) {
                    self.out.extend([b'J', short]);
                } else if let Ok(middle) = u16::try_from(target.0) {
                    self.out.push(b'K');
                    self.out.extend(middle.to_be_bytes());
                } else {
                    self.out.push(b'R');
                    self.out.extend(target.0.to_be_bytes());
                }
            }
        }
    }

    /// A whole exception without stack: the int fields of its class, then those of `Throwable`.
    /// Its cause is itself, as Java writes one without cause.
    pub fn throwable(&mut self, class: &str, ints: &[(&str, i32)], message: &str) {
        let own = ints.iter().map(|(name, _)| *name);
        let inherited = ["detailMessage", "cause", "stackTrace"];
        let fields: Vec<&str> = own.chain(inherited).collect();
        let class = self.define_class(class, &fields);
        let this = self.object(class);
        for (_, value) in ints {
            self.int(*value);
        }
        self.string(message);
        self.refer(this);
        self.begin_list("[java.lang.StackTraceElement", 0);
        self.end_list();
    }

    /// The number of the container that has just begun.
    const fn reference(&mut self) -> Reference {
        self.references += 1;
        Reference(self.references - 1)
    }

    /// Splits units into chunks; a surrogate pair stays in one.
    fn chunks(&mut self, count: usize, units: impl Iterator<Item = u16> + Clone) {
        let mut units = units;
        let mut left = count;
        while left > CHUNK {
            let splits_pair = units
                .clone()
                .nth(CHUNK - 1)
                .is_some_and(|unit| matches!(unit, 0xd800..=0xdbff));
            let chunk = if splits_pair { CHUNK - 1 } else { CHUNK };
            self.string_head(chunk, false);
            self.raw_units(units.by_ref().take(chunk));
            left -= chunk;
        }
        self.string_head(left, true);
        self.raw_units(units);
    }

    /// The head of a chunk of at most [`CHUNK`] units.
    fn string_head(&mut self, units: usize, last: bool) {
        let [high, low] = (units as u16).to_be_bytes();
        match (self.grammar, last, high) {
            (_, true, 0) if low < 0x20 => self.out.push(low),
            (Grammar::V2, true, 0..=3) => self.out.extend([0x30 + high, low]),
            (_, true, _) => self.out.extend([b'S', high, low]),
            (Grammar::V2, false, _) => self.out.extend([b'R', high, low]),
            (Grammar::V3, false, _) => self.out.extend([b's', high, low]),
        }
    }

    /// A type name of the 3.x draft: its length in units, then its units.
    fn raw_type(&mut self, name: &str) {
        let units = u16::try_from(name.encode_utf16().count()).expect("a type name is short");
        self.out.extend(units.to_be_bytes());
        self.raw_units(name.encode_utf16());
    }

    fn raw_units(&mut self, units: impl Iterator<Item = u16>) {
        for unit in units {
            let (high, middle) = ((unit >> 12) as u8, (unit >> 6) as u8);
            let last = 0x80 | (unit as u8 & 0x3f);
            match unit {
                0x0000..=0x007f => self.out.push(unit as u8),
                0x0080..=0x07ff => self.out.extend([0xc0 | middle, last]),
                _ => self.out.extend([0xe0 | high, 0x80 | (middle & 0x3f), last]),
            }
        }
    }
}

/// The lowest octet.
const fn low(value: i32) -> u8 {
    value as u8
}

/// A count as the formats carry it.
fn length(count: usize) -> i32 {
    i32::try_from(count).expect("a name or a field list is short")
}
