//! Bolt frames in the words that rules use.

use std::{borrow::Cow, cell::OnceCell, fmt, ops::Range};

use crossdock_framework::{
    frame::{Frame, Kind},
    notes::Noted,
    view::{Key, RoutingView},
};

use crate::{
    head::Head,
    header_map::{HeaderMap, text},
    noted,
    sofa::{self, Target},
};

/// The version part of the service's unique name.
const VERSION: &str = "x-sofa-version";
/// The unique id part of the service's unique name.
const UNIQUE_ID: &str = "x-sofa-unique-id";
/// The class name, by which raw Bolt servers dispatch.
const CLASS: &str = "x-bolt-class";
/// The number of the serialisation.
const CODEC: &str = "x-bolt-codec";

/// Paths up to this length need no heap.
const INLINE: usize = 255;

/// A Bolt frame as rules see it.
///
/// | word | value |
/// |---|---|
/// | authority | the interface: the unique name (header `service`, else `sofa_head_target_service`, else `targetServiceUniqueName` in a hessian2 content) up to its first `:` |
/// | path | `/<interface>/<method>` (header `sofa_head_method_name`, else `methodName` in the content) |
/// | method, scheme | `POST`, `http` |
/// | `x-sofa-version`, `x-sofa-unique-id` | the rest of the unique name |
/// | `x-bolt-class` | the class name |
/// | `x-bolt-codec` | the number of the serialisation, such as `1` for hessian2, `11` for protobuf |
/// | any other header | the entry of the header map |
///
/// Authority and path are words of requests; a raw Bolt request, which is no SOFARPC call, has
/// neither and is known by its class.
pub struct View<'f> {
    frame: &'f Frame<Head>,
    notes: Noted<'f>,
    target: OnceCell<Target<'f>>,
    path: OnceCell<Option<Path>>,
}

/// Whether `name` is a word that no header of the message stands for.
pub(crate) fn is_derived(name: &str) -> bool {
    name.starts_with(':') || [VERSION, UNIQUE_ID, CLASS, CODEC].contains(&name)
}

impl<'f> View<'f> {
    pub(crate) fn new(frame: &'f Frame<Head>) -> Self {
        Self::noted(frame, Noted::default())
    }

    pub(crate) fn noted(frame: &'f Frame<Head>, notes: Noted<'f>) -> Self {
        Self {
            frame,
            notes,
            target: OnceCell::new(),
            path: OnceCell::new(),
        }
    }

    /// The header map. Empty where the frame has none.
    pub fn header_map(&self) -> HeaderMap<'f> {
        HeaderMap::new(self.part(self.frame.head.header_range()))
    }

    /// The class name.
    pub fn class(&self) -> Cow<'f, str> {
        text(self.part(self.frame.head.class_range()))
    }

    /// The octets after the header map, without the checksum.
    pub fn content(&self) -> &'f [u8] {
        self.part(self.frame.head.content_range())
    }

    /// The unique name of the service, `interface:version[:uniqueId]`.
    pub fn unique_name(&self) -> Option<&str> {
        self.target().service.as_deref()
    }

    fn part(&self, range: Range<usize>) -> &'f [u8] {
        self.frame.bytes.get(range).unwrap_or_default()
    }

    fn target(&self) -> &Target<'f> {
        self.target.get_or_init(|| {
            let head = &self.frame.head;
            if !matches!(head.kind, Kind::Request | Kind::Oneway) {
                return Target::default();
            }
            let target = noted::target(self.part(head.header_range()), &self.notes);
            match head.codec {
                sofa::HESSIAN => target.or_content(self.content()),
                _ => target,
            }
        })
    }

    fn interface(&self) -> Option<&str> {
        self.unique_name().map(sofa::interface)
    }

    fn path(&self) -> Option<&str> {
        let made = self.path.get_or_init(|| {
            let method = self.target().method.as_deref()?;
            Some(Path::new(self.interface()?, method))
        });
        made.as_ref()?.as_str()
    }

    fn header(&self, name: &str) -> Option<Cow<'_, str>> {
        match name {
            VERSION => sofa::version(self.unique_name()?).map(Cow::Borrowed),
            UNIQUE_ID => sofa::unique_id(self.unique_name()?).map(Cow::Borrowed),
            CLASS => Some(self.class()).filter(|class| !class.is_empty()),
            CODEC => Some(number(self.frame.head.codec)),
            _ => {
                let block = self.part(self.frame.head.header_range());
                noted::find(block, name, &self.notes).map(text)
            }
        }
    }
}

impl RoutingView for View<'_> {
    fn get(&self, key: Key<'_>) -> Option<Cow<'_, str>> {
        match key {
            Key::Authority => self.interface().map(Cow::Borrowed),
            Key::Path => self.path().map(Cow::Borrowed),
            Key::HttpMethod => Some(Cow::Borrowed("POST")),
            Key::Scheme => Some(Cow::Borrowed("http")),
            Key::Header(name) => self.header(name),
        }
    }

    fn method(&self) -> Option<Cow<'_, str>> {
        self.target().method.as_deref().map(Cow::Borrowed)
    }

    fn headers(&self, each: &mut dyn FnMut(&str, &str)) {
        if self.header_map().entries().any(|entry| entry.is_err()) {
            return;
        }
        let entries = self.header_map().entries().filter_map(Result::ok);
        for (key, value) in entries.filter_map(|entry| entry.text()) {
            each(&key, &value);
        }
    }

    fn protocol(&self) -> &'static str {
        "bolt"
    }
}

impl fmt::Debug for View<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View")
            .field("head", &self.frame.head)
            .field("path", &self.path())
            .finish_non_exhaustive()
    }
}

/// `/<interface>/<method>`: on the stack, because every routed call asks for it.
#[expect(clippy::large_enum_variant, reason = "its place is the stack")]
enum Path {
    Inline { len: u8, octets: [u8; INLINE] },
    Heap(String),
}

impl Path {
    fn new(interface: &str, method: &str) -> Self {
        let mut octets = [0; INLINE];
        let mut len = 0;
        for piece in ["/", interface, "/", method] {
            let Some(place) = octets.get_mut(len..len + piece.len()) else {
                return Self::Heap(format!("/{interface}/{method}"));
            };
            place.copy_from_slice(piece.as_bytes());
            len += piece.len();
        }
        let len = u8::try_from(len).expect("an inline path is at most 255 octets");
        Self::Inline { len, octets }
    }

    fn as_str(&self) -> Option<&str> {
        match self {
            Self::Inline { len, octets } => octets
                .get(..usize::from(*len))
                .and_then(|path| std::str::from_utf8(path).ok()),
            Self::Heap(path) => Some(path),
        }
    }
}

/// `codec` in digits; the known ones need no heap.
fn number(codec: u8) -> Cow<'static, str> {
    Cow::Borrowed(match codec {
        1 => "1",
        2 => "2",
        4 => "4",
        11 => "11",
        12 => "12",
        13 => "13",
        14 => "14",
        22 => "22",
        23 => "23",
        other => return Cow::Owned(other.to_string()),
    })
}
