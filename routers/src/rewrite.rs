//! Rewrites of `:authority` and `:path` when a call is forwarded, and of paths in redirects.
//!
//! As in Envoy they come after all header changes, the host before the path, and what was there
//! before is told in `x-envoy-original-host`, `x-envoy-original-path` and `x-forwarded-host`.

mod compile;
mod substitute;

use std::borrow::Cow;

use crossdock_framework::{
    edits::{Edit, Edits, Effect},
    route::Scene,
    view::Key,
};

use crate::{
    changes::{Side, Sight, Value},
    rules::path,
};

pub(crate) use compile::{host, path as path_rewrite, redirect_path};
pub(crate) use substitute::Substitute;

/// What becomes of host and path.
#[derive(Debug, Default)]
pub(crate) struct Rewrite {
    pub(crate) host: Option<HostRewrite>,
    /// Keep the former host in `x-forwarded-host`.
    pub(crate) forward_host: bool,
    pub(crate) path: Option<PathRewrite>,
    /// Tell the host nothing of what was there before (`suppress_envoy_headers`).
    pub(crate) quiet: bool,
}

/// What `:authority` becomes.
#[derive(Debug)]
pub(crate) enum HostRewrite {
    Literal(Box<str>),
    /// The same for one of several clusters: says nothing of the former host.
    OfCluster(Box<str>),
    /// The first value of a header, if it has one.
    Header(Box<str>),
    /// Made from the path.
    FromPath(Substitute),
    Format(Value),
}

/// What the path becomes; its query stays.
#[derive(Debug)]
pub(crate) enum PathRewrite {
    /// Something else instead of the first so many bytes.
    Prefix(usize, Box<str>),
    /// Something else instead of all of it.
    Whole(Box<str>),
    Regex(Substitute),
    Format(Value),
}

impl Rewrite {
    pub(crate) fn is_empty(&self) -> bool {
        self.host.is_none() && self.path.is_none()
    }

    /// Adds the rewrites to the changes made before.
    pub(crate) fn apply(&self, scene: &Scene<'_>, edits: &mut Edits) {
        if let Some(host) = &self.host {
            self.rewrite_host(host, scene, edits);
        }
        let Some(rewrite) = &self.path else {
            return;
        };
        let sight = sight(scene, edits);
        let Some(old) = sight.first(Side::Request, ":path") else {
            return;
        };
        if let Some(new) = rewrite.of(&old, &sight) {
            let old: Box<str> = old.into();
            if !self.quiet {
                edits.push(Edit::Set("x-envoy-original-path".into(), old));
            }
            edits.push(Edit::Set(":path".into(), new.into()));
        }
    }

    fn rewrite_host(&self, host: &HostRewrite, scene: &Scene<'_>, edits: &mut Edits) {
        let sight = sight(scene, edits);
        let Some(new) = host.of(&sight) else {
            return;
        };
        let old = sight.first(Side::Request, ":authority");
        let old: Box<str> = old.unwrap_or_default().into();
        if !matches!(host, HostRewrite::OfCluster(_)) {
            if !self.quiet {
                edits.push(Edit::Set("x-envoy-original-host".into(), old.clone()));
            }
            if self.forward_host && !old.is_empty() {
                append_forwarded(&old, scene, edits);
            }
        }
        edits.push(Edit::Set(":authority".into(), new));
    }
}

fn sight<'s>(scene: &'s Scene<'s>, edits: &'s Edits) -> Sight<'s> {
    Sight {
        side: Side::Request,
        scene,
        edits,
    }
}

/// Appends the former host to `x-forwarded-host`, unless it is the last there already.
fn append_forwarded(old: &str, scene: &Scene<'_>, edits: &mut Edits) {
    const NAME: &str = "x-forwarded-host";
    let before = scene.message.get(Key::Header(NAME));
    let before = match edits.effect(NAME, before.as_deref()) {
        Effect::Keep => before.unwrap_or_default(),
        Effect::Remove => Cow::Borrowed(""),
        Effect::Become(value) => Cow::Owned(value),
    };
    let value = match before.split(',').rfind(|host| !host.is_empty()) {
        Some(last) if last == old => return,
        _ if before.is_empty() => old.into(),
        _ => format!("{before},{old}").into(),
    };
    edits.push(Edit::Set(NAME.into(), value));
}

impl HostRewrite {
    fn of(&self, sight: &Sight<'_>) -> Option<Box<str>> {
        let new: Box<str> = match self {
            Self::Literal(host) | Self::OfCluster(host) => host.clone(),
            Self::Header(name) => sight.first(Side::Request, name)?.into(),
            Self::FromPath(substitute) => {
                let path = sight.first(Side::Request, ":path")?;
                substitute.apply(path::bare(&path)).into()
            }
            Self::Format(value) => value.evaluate(sight),
        };
        (!new.is_empty()).then_some(new)
    }
}

impl PathRewrite {
    /// The new path with the old query, or `None` if the path stays, because nothing would be
    /// left of it.
    pub(crate) fn of(&self, old: &str, sight: &Sight<'_>) -> Option<String> {
        let bare = path::bare(old);
        let query = old.get(bare.len()..).unwrap_or_default();
        let new: Cow<'_, str> = match self {
            Self::Prefix(length, new) => {
                let rest = bare.get(*length..).unwrap_or_default();
                format!("{new}{rest}").into()
            }
            Self::Whole(new) => Cow::Borrowed(new),
            Self::Regex(substitute) => substitute.apply(bare),
            Self::Format(value) => String::from(value.evaluate(sight)).into(),
        };
        (!new.is_empty()).then(|| format!("{new}{query}"))
    }
}
