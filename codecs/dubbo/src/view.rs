//! A message in the words of rules, read as far as a rule asks and no further.

use std::{borrow::Cow, cell::OnceCell, time::Duration};

use crossdock_framework::{
    frame::{Frame, Head as _, Kind},
    notes::Noted,
    view::{Key, RoutingView},
};

use crate::{
    NAME,
    body::Values,
    call::Call,
    head::{HEADER_LEN, Head, Serialization},
    noted,
    path::Path,
    plain::Found,
    reply,
};

/// A Dubbo message as rules see it.
///
/// Three steps, each taken once and only when a word needs it: the first four strings (authority,
/// path, method), the arguments passed over, the attachments walked (every other header). Nothing
/// allocates unless a name holds a supplementary character or a path is over 256 octets.
///
/// | header | meaning |
/// |---|---|
/// | any attachment | names ignore ASCII case; of several, the last counts, as in Java's map |
/// | `x-dubbo-version` | version of the service; absent when it is null, empty or `0.0.0`, which Dubbo takes for the same |
/// | `x-dubbo-group` | the attachment `group` |
/// | `x-dubbo-generic` | the attachment `generic` of a generic call |
/// | `x-dubbo-serialization` | `hessian2`, `fastjson2`, ...: the only word of a body that is not read |
///
/// The method of a generic call (`$invoke`, `$invokeAsync`) is the one that its first argument
/// names. Numbers and booleans among the attachments show as text; other objects do not show.
#[derive(Debug)]
pub struct View<'f> {
    head: Head,
    body: &'f [u8],
    call: OnceCell<Option<Call<'f>>>,
    path: OnceCell<Option<Path>>,
    notes: Noted<'f>,
    /// The walker at the attachments, for those that are not plain.
    attachments: OnceCell<Option<Values<'f>>>,
}

impl<'f> View<'f> {
    pub(crate) fn new(frame: &'f Frame<Head>) -> Self {
        Self::noted(frame, Noted::default())
    }

    pub(crate) fn noted(frame: &'f Frame<Head>, notes: Noted<'f>) -> Self {
        Self {
            head: frame.head,
            body: frame.bytes.get(HEADER_LEN..).unwrap_or_default(),
            call: OnceCell::new(),
            path: OnceCell::new(),
            notes,
            attachments: OnceCell::new(),
        }
    }

    fn serialization(&self) -> Serialization {
        self.head.serialization()
    }

    fn call(&self) -> Option<&Call<'f>> {
        let read = || match self.head.kind() {
            Kind::Request | Kind::Oneway => {
                Call::read(self.serialization(), self.body, &self.notes)?.ok()
            }
            _ => None,
        };
        self.call.get_or_init(read).as_ref()
    }

    fn path(&self) -> Option<&str> {
        let build = || {
            let call = self.call()?;
            Some(Path::new(&call.interface, call.real_method()))
        };
        self.path.get_or_init(build).as_ref().map(Path::as_str)
    }

    /// The values at the attachments.
    fn attachments(&self) -> Option<Values<'f>> {
        let find = || match self.head.kind() {
            Kind::Response => reply::attachments(self.head, self.body)?.ok(),
            _ => {
                let behind = self.call()?.attachments(self.serialization(), self.body)?;
                behind.ok().map(|(_, values)| values)
            }
        };
        self.attachments.get_or_init(find).clone()
    }

    fn attachments_at(&self) -> Option<usize> {
        let find = || match self.head.kind() {
            Kind::Response => reply::attachments_at(self.head, self.body),
            _ => self.call()?.attachments_at(self.serialization(), self.body),
        };
        noted::attachments_at(&self.notes, find)
    }

    /// The attachment of this name, the last if there are several.
    fn attachment(&self, name: &str) -> Option<Cow<'f, str>> {
        if noted::lacks(name, &self.notes) {
            return None;
        }
        let map = self.body.get(self.attachments_at()?..)?;
        match noted::find(self.serialization(), map, name, &self.notes) {
            Found::Value(value) => Some(Cow::Borrowed(value.as_str())),
            Found::Absent => None,
            Found::Unknown => self.walked_attachment(name),
        }
    }

    #[cold]
    fn walked_attachment(&self, name: &str) -> Option<Cow<'f, str>> {
        let mut values = self.attachments()?;
        let mut entries = values.map().ok()??;
        let mut found = None;
        while let Some(entry) = entries.next().ok()? {
            if entry.key.is_some_and(|key| key.eq_ignore_ascii_case(name)) {
                found = Some(entry.value);
            }
        }
        found?.to_cow()
    }

    fn header(&self, name: &str) -> Option<Cow<'_, str>> {
        match name {
            "x-dubbo-version" => self.version().map(Cow::Borrowed),
            "x-dubbo-group" => self.attachment("group"),
            "x-dubbo-generic" => self.attachment("generic"),
            "x-dubbo-serialization" => self.serialization().name().map(Cow::Borrowed),
            _ => self.attachment(name),
        }
    }

    fn version(&self) -> Option<&str> {
        let version = self.call()?.version.as_ref()?.as_str();
        (!matches!(version, "" | "0.0.0")).then_some(version)
    }
}

impl RoutingView for View<'_> {
    fn get(&self, key: Key<'_>) -> Option<Cow<'_, str>> {
        match key {
            Key::Authority => Some(Cow::Borrowed(self.call()?.interface.as_str())),
            Key::Path => self.path().map(Cow::Borrowed),
            Key::HttpMethod => self.head.is_request().then_some(Cow::Borrowed("POST")),
            Key::Scheme => self.head.is_request().then_some(Cow::Borrowed("http")),
            Key::Header(name) => self.header(name),
        }
    }

    fn method(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(self.call()?.real_method().as_str()))
    }

    fn timeout(&self) -> Option<Duration> {
        let timeout = self.attachment("timeout")?;
        match timeout.trim().parse() {
            Ok(0) | Err(_) => None,
            Ok(ms) => Some(Duration::from_millis(ms)),
        }
    }

    fn headers(&self, each: &mut dyn FnMut(&str, &str)) {
        let Some(mut values) = self.attachments() else {
            return;
        };
        let Ok(Some(mut entries)) = values.map() else {
            return;
        };
        while let Ok(Some(entry)) = entries.next() {
            if let (Some(key), Some(value)) = (entry.key, entry.value.to_cow()) {
                each(&key.to_cow(), &value);
            }
        }
    }

    fn protocol(&self) -> &'static str {
        NAME
    }
}
