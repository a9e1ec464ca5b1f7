//! What rules and filters may change of a message, collected until it is written.

/// A change of one header. Names are in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// Gives the header this value and no other.
    Set(Box<str>, Box<str>),
    /// Adds a value beside those that are there. A protocol whose headers hold one value each
    /// (Dubbo, Bolt) sets the header if it is absent and else joins with `,` as HTTP does.
    Append(Box<str>, Box<str>),
    /// Gives the header this value if it has none.
    AddIfAbsent(Box<str>, Box<str>),
    /// Gives the header this value if it has one.
    OverwriteIfExists(Box<str>, Box<str>),
    /// Takes every value of the header away.
    Remove(Box<str>),
}

impl Edit {
    /// The name of the header that is changed.
    pub fn name(&self) -> &str {
        match self {
            Self::Set(name, _)
            | Self::Append(name, _)
            | Self::AddIfAbsent(name, _)
            | Self::OverwriteIfExists(name, _)
            | Self::Remove(name) => name,
        }
    }
}

/// The changes to one message, in the order in which they apply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edits {
    list: Vec<Edit>,
}

impl Edits {
    /// No change at all.
    pub const fn none() -> Self {
        Self { list: Vec::new() }
    }

    /// Whether the message stays as it is.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Adds a change after those that are there.
    pub fn push(&mut self, edit: Edit) {
        self.list.push(edit);
    }

    /// Adds changes after those that are there.
    pub fn extend(&mut self, more: Self) {
        self.list.extend(more.list);
    }

    /// The name of the first pseudo header (`:path`, `:authority`) that is changed. Messages whose
    /// words are not headers cannot follow such a change.
    pub fn pseudo(&self) -> Option<&str> {
        self.list
            .iter()
            .map(Edit::name)
            .find(|name| name.starts_with(':'))
    }

    /// The changes in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Edit> {
        self.list.iter()
    }
}

/// What becomes of the value of one header under [`Edits`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// As it was.
    Keep,
    /// It is gone.
    Remove,
    /// It is this now.
    Become(String),
}

impl Edits {
    /// Folds every edit of `name` over its `current` value, for protocols whose headers hold one
    /// value each.
    pub fn effect(&self, name: &str, current: Option<&str>) -> Effect {
        let mut value: Option<String> = None;
        let mut touched = false;
        let present = |touched: bool, value: &Option<String>| {
            if touched {
                value.is_some()
            } else {
                current.is_some()
            }
        };
        for edit in self.iter().filter(|edit| edit.name() == name) {
            match edit {
                Edit::Set(_, new) => value = Some(new.to_string()),
                Edit::Append(_, new) if present(touched, &value) => {
                    let old = value.as_deref().or(current).unwrap_or_default();
                    value = Some(format!("{old},{new}"));
                }
                Edit::Append(_, new) => value = Some(new.to_string()),
                Edit::AddIfAbsent(_, new) if !present(touched, &value) => {
                    value = Some(new.to_string());
                }
                Edit::OverwriteIfExists(_, new) if present(touched, &value) => {
                    value = Some(new.to_string());
                }
                Edit::AddIfAbsent(..) | Edit::OverwriteIfExists(..) => continue,
                Edit::Remove(_) => value = None,
            }
            touched = true;
        }
        match (touched, value) {
            (false, _) => Effect::Keep,
            (true, None) if current.is_none() => Effect::Keep,
            (true, None) => Effect::Remove,
            (true, Some(value)) if Some(value.as_str()) == current => Effect::Keep,
            (true, Some(value)) => Effect::Become(value),
        }
    }

    /// The distinct names that edits touch, in the order of their first edit.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.list.iter().enumerate().filter_map(|(at, edit)| {
            let earlier = self
                .list
                .iter()
                .take(at)
                .any(|other| other.name() == edit.name());
            (!earlier).then(|| edit.name())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edits(list: impl IntoIterator<Item = Edit>) -> Edits {
        let mut edits = Edits::none();
        list.into_iter().for_each(|edit| edits.push(edit));
        edits
    }

    #[test]
    fn later_edits_see_earlier_ones() {
        let edits = edits([
            Edit::Remove("a".into()),
            Edit::AddIfAbsent("a".into(), "1".into()),
            Edit::Append("a".into(), "2".into()),
            Edit::OverwriteIfExists("b".into(), "3".into()),
        ]);
        assert_eq!(edits.effect("a", Some("0")), Effect::Become("1,2".into()));
        assert_eq!(edits.effect("b", None), Effect::Keep);
        assert_eq!(edits.effect("b", Some("0")), Effect::Become("3".into()));
        assert_eq!(edits.effect("c", Some("0")), Effect::Keep);
        assert_eq!(edits.names().collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn an_edit_without_effect_keeps_the_bytes() {
        let edits = edits([Edit::Set("a".into(), "1".into()), Edit::Remove("b".into())]);
        assert_eq!(edits.effect("a", Some("1")), Effect::Keep);
        assert_eq!(edits.effect("b", None), Effect::Keep);
        assert_eq!(edits.effect("b", Some("x")), Effect::Remove);
    }
}
