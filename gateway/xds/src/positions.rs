//! Where each field of a configuration stands in the files it was read from.

use std::{collections::HashMap, fmt::Write as _, sync::Arc};

use crate::{problem::Position, tree::At};

/// The places of all fields that a configuration sets, looked up by field path.
///
/// A path is written with the names of the `.proto` files, whatever spelling the file uses:
/// `static_resources.listeners[0].filter_chains[0].filters[0].typed_config.route_config`. The
/// fields of an `Any` follow its name directly; an entry of a map is `metadata["key"]`, or
/// `metadata.key` where the key has neither dot nor bracket.
#[derive(Clone, Debug)]
pub struct Positions {
    files: Vec<Arc<str>>,
    /// Field names and map keys, each once.
    words: Vec<Box<str>>,
    numbers: HashMap<Box<str>, u32>,
    places: Vec<Place>,
    children: HashMap<(Id, Step), Id>,
}

/// A field, an item or an entry that is set; the root has number 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Id(u32);

impl Id {
    pub(crate) const ROOT: Self = Self(0);
}

/// How a place lies within its parent. Words are numbers in [`Positions::words`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Step {
    Field(u32),
    Item(u32),
    Entry(u32),
}

#[derive(Clone, Copy, Debug)]
struct Place {
    parent: Id,
    step: Step,
    file: u16,
    at: At,
}

impl Positions {
    /// Nothing but the root, at the beginning of `file`.
    pub(crate) fn new(file: &str) -> Self {
        let root = Place {
            parent: Id::ROOT,
            step: Step::Item(0),
            file: 0,
            at: At::START,
        };
        Self {
            files: vec![file.into()],
            words: Vec::new(),
            numbers: HashMap::new(),
            places: vec![root],
            children: HashMap::new(),
        }
    }

    /// Adds a further file; what is added to the tree from now on is in it.
    pub(crate) fn begin_file(&mut self, name: &str) {
        self.files.push(name.into());
    }

    pub(crate) fn field(&mut self, parent: Id, name: &str, at: At) -> Id {
        let step = Step::Field(self.word(name));
        self.add(parent, step, at)
    }

    pub(crate) fn item(&mut self, parent: Id, index: usize, at: At) -> Id {
        self.add(
            parent,
            Step::Item(u32::try_from(index).unwrap_or(u32::MAX)),
            at,
        )
    }

    pub(crate) fn entry(&mut self, parent: Id, key: &str, at: At) -> Id {
        let step = Step::Entry(self.word(key));
        self.add(parent, step, at)
    }

    /// Forgets a field and all within it: a later file says it anew.
    pub(crate) fn forget_field(&mut self, parent: Id, name: &str) {
        if let Some(word) = self.numbers.get(name) {
            self.children.remove(&(parent, Step::Field(*word)));
        }
    }

    /// Forgets an entry and all within it: a later file says it anew.
    pub(crate) fn forget_entry(&mut self, parent: Id, key: &str) {
        if let Some(word) = self.numbers.get(key) {
            self.children.remove(&(parent, Step::Entry(*word)));
        }
    }

    /// The position in the file that is being added.
    pub(crate) fn position(&self, at: At) -> Position {
        self.resolve(self.current_file(), at)
    }

    /// The path of a place, as [`Self::locate`] takes it.
    pub(crate) fn path(&self, mut id: Id) -> String {
        let mut steps = Vec::new();
        while id != Id::ROOT {
            let Some(place) = self.places.get(id.0 as usize) else {
                break;
            };
            steps.push(place.step);
            id = place.parent;
        }
        let mut path = String::new();
        for step in steps.into_iter().rev() {
            match step {
                Step::Field(word) => push_field(&mut path, self.text(word)),
                Step::Item(index) => push_item(&mut path, index as usize),
                Step::Entry(word) => push_entry(&mut path, self.text(word)),
            }
        }
        path
    }

    /// Where the field of this path stands; where it is not set, the nearest field around it.
    ///
    /// Takes time in proportion to the length of the path. Text that is no path gives the
    /// beginning of the file.
    #[must_use]
    pub fn locate(&self, path: &str) -> Position {
        let (id, _) = self.find(path);
        match self.places.get(id.0 as usize) {
            Some(place) => self.resolve(place.file, place.at),
            None => self.resolve(0, At::START),
        }
    }

    /// Whether the file says something about the field of this path, be it its default value.
    #[must_use]
    pub fn is_set(&self, path: &str) -> bool {
        self.find(path).1
    }

    /// The place of this path, or else the last one on the way to it.
    fn find(&self, path: &str) -> (Id, bool) {
        let mut id = Id::ROOT;
        let mut segments = Segments(path);
        for segment in segments.by_ref() {
            let word = |text: &str| self.numbers.get(text).copied();
            let child = |step: Option<Step>| self.children.get(&(id, step?));
            let found = match &segment {
                Segment::Item(index) => child(Some(Step::Item(*index))),
                // `fields.name` finds `fields["name"]` too, where the key looks like a name.
                Segment::Field(name) => child(word(name).map(Step::Field))
                    .or_else(|| child(word(name).map(Step::Entry))),
                Segment::Entry(key) => child(word(key).map(Step::Entry)),
            };
            match found {
                Some(child) => id = *child,
                None => return (id, false),
            }
        }
        (id, segments.0.is_empty())
    }

    fn add(&mut self, parent: Id, step: Step, at: At) -> Id {
        let file = self.current_file();
        if let Some(id) = self.children.get(&(parent, step)) {
            return *id;
        }
        let id = Id(u32::try_from(self.places.len()).expect("MAX_NODES is below this"));
        self.places.push(Place {
            parent,
            step,
            file,
            at,
        });
        self.children.insert((parent, step), id);
        id
    }

    fn word(&mut self, text: &str) -> u32 {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let number = u32::try_from(self.words.len()).expect("MAX_NODES is below this");
        self.words.push(text.into());
        self.numbers.insert(text.into(), number);
        number
    }

    fn text(&self, word: u32) -> &str {
        self.words
            .get(word as usize)
            .map(|word| &**word)
            .unwrap_or_default()
    }

    fn current_file(&self) -> u16 {
        u16::try_from(self.files.len() - 1).expect("a bootstrap has two files at most")
    }

    fn resolve(&self, file: u16, at: At) -> Position {
        let file = self
            .files
            .get(usize::from(file))
            .cloned()
            .unwrap_or_else(|| "".into());
        Position {
            file,
            line: at.line,
            column: at.column,
        }
    }
}

pub(crate) fn push_field(path: &mut String, name: &str) {
    if !path.is_empty() {
        path.push('.');
    }
    path.push_str(name);
}

pub(crate) fn push_item(path: &mut String, index: usize) {
    write!(path, "[{index}]").expect("a string takes everything");
}

/// Quotes and backslashes in a key are escaped with a backslash.
pub(crate) fn push_entry(path: &mut String, key: &str) {
    path.push_str("[\"");
    for char in key.chars() {
        if matches!(char, '"' | '\\') {
            path.push('\\');
        }
        path.push(char);
    }
    path.push_str("\"]");
}

#[derive(Debug, PartialEq)]
enum Segment<'p> {
    Field(&'p str),
    Item(u32),
    Entry(String),
}

/// The rest of a path that is being taken apart. Ends at what is no path.
struct Segments<'p>(&'p str);

impl<'p> Iterator for Segments<'p> {
    type Item = Segment<'p>;

    fn next(&mut self) -> Option<Segment<'p>> {
        let rest = self.0.strip_prefix('.').unwrap_or(self.0);
        if let Some(key) = rest.strip_prefix("[\"") {
            let mut text = String::new();
            let mut chars = key.char_indices();
            while let Some((at, char)) = chars.next() {
                match char {
                    '"' => {
                        self.0 = key.get(at..)?.strip_prefix("\"]")?;
                        return Some(Segment::Entry(text));
                    }
                    '\\' => text.push(chars.next()?.1),
                    _ => text.push(char),
                }
            }
            return None;
        }
        if let Some(index) = rest.strip_prefix('[') {
            let (index, rest) = index.split_once(']')?;
            self.0 = rest;
            return index.parse().ok().map(Segment::Item);
        }
        let end = rest.find(['.', '[']).unwrap_or(rest.len());
        let (name, rest) = rest.split_at(end);
        self.0 = rest;
        (!name.is_empty()).then_some(Segment::Field(name))
    }
}

#[cfg(test)]
mod tests;
