//! What is told of one frame.

use serde::{Serialize, Serializer, ser::SerializeMap};

/// One line of the output; the order of the fields is the order of the keys. `None` is null.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Line {
    /// The name of the file.
    pub(crate) file: String,
    /// `bolt1`, `bolt2` or `dubbo2`; null for a bare value.
    pub(crate) protocol: Option<&'static str>,
    /// What the frame is for.
    pub(crate) kind: Option<&'static str>,
    /// The id as a signed number, as Java shows it.
    pub(crate) id: Option<i64>,
    /// The interface that is called.
    pub(crate) service: Option<String>,
    /// The method as it stands on the wire.
    pub(crate) method: Option<String>,
    /// The version of the service.
    pub(crate) version: Option<String>,
    /// Bolt's timeout field, Dubbo's attachment; in milliseconds.
    pub(crate) timeout: Option<i64>,
    /// Header map entries or attachments in the order of the wire.
    pub(crate) headers: Option<Headers>,
    /// The status of a response.
    pub(crate) status: Option<u16>,
    /// The outcome class of a response.
    pub(crate) class: Option<&'static str>,
    /// Whether the frame was cut, its checksum holds and its body was walked to the last byte.
    pub(crate) ok: bool,
    /// Why it is not.
    #[serde(skip)]
    pub(crate) reason: Option<String>,
}

impl Line {
    /// A line of what is no frame.
    pub(crate) fn broken(reason: impl Into<String>) -> Self {
        Self {
            reason: Some(reason.into()),
            ..Self::default()
        }
    }
}

/// Names and values in the order of the wire. Of equal names the last value counts.
#[derive(Debug)]
pub(crate) struct Headers(Vec<(String, String)>);

impl Headers {
    /// `None` when there are none.
    pub(crate) fn of(entries: Vec<(String, String)>) -> Option<Self> {
        let mut unique: Vec<(String, String)> = Vec::with_capacity(entries.len());
        for (name, value) in entries {
            match unique.iter_mut().find(|(known, _)| *known == name) {
                Some((_, known)) => *known = value,
                None => unique.push((name, value)),
            }
        }
        (!unique.is_empty()).then_some(Self(unique))
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(known, _)| known == name)?;
        Some(value)
    }
}

impl Serialize for Headers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}
