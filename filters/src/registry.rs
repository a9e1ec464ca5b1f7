//! The filters that configuration can ask for.

use std::{fmt, marker::PhantomData, sync::Arc};

use crossdock_framework::filter::Filter;
use crossdock_routers::Problem;
use crossdock_xds::{
    envoy_types::pb::google::protobuf::{Any, Struct},
    support::{Extension, Extensions, HTTP_FILTERS, Message, ROUTE_FILTERS},
};
use prost::{Message as _, Name};

use crate::{Configure, RoutePlace, Site, fault::Fault, local_ratelimit::LocalRateLimit};

/// The filters that configuration can ask for.
#[derive(Debug, Default)]
pub struct Registry {
    kinds: Vec<Box<dyn Kind>>,
}

impl Registry {
    /// Every filter that comes with Crossdock.
    pub fn standard() -> Self {
        Self::default().with::<Fault>().with::<LocalRateLimit>()
    }

    /// These filters and one more.
    #[must_use]
    pub fn with<F: Configure>(mut self) -> Self {
        self.kinds.push(Box::new(Of::<F>(PhantomData)));
        self
    }

    /// What the loader of configuration has to know of the filters.
    pub fn extensions(&self) -> Extensions {
        let kinds = self.kinds.iter();
        let extensions = kinds.map(|kind| Extension {
            slots: vec![
                (HTTP_FILTERS, kind.type_name()),
                (ROUTE_FILTERS, kind.route_type_name()),
            ],
            messages: kind.messages(),
        });
        extensions.collect()
    }

    /// The filter that `config` asks for, or `None` if none of these is asked for.
    pub(crate) fn configure(
        &self,
        config: &Any,
        site: &Site<'_>,
    ) -> Option<Result<Arc<dyn Made>, Vec<Problem>>> {
        let (name, _) = named(config);
        let kind = self.kinds.iter().find(|kind| kind.type_name() == name)?;
        Some(kind.configure(config, site))
    }
}

/// A [`Configure`] without its type.
trait Kind: fmt::Debug + Send + Sync {
    fn type_name(&self) -> String;
    fn route_type_name(&self) -> String;
    fn messages(&self) -> &'static [Message];
    fn configure(&self, config: &Any, site: &Site<'_>) -> Result<Arc<dyn Made>, Vec<Problem>>;
}

struct Of<F>(PhantomData<fn() -> F>);

impl<F> fmt::Debug for Of<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::any::type_name::<F>())
    }
}

impl<F: Configure> Kind for Of<F> {
    fn type_name(&self) -> String {
        F::type_name()
    }

    fn route_type_name(&self) -> String {
        F::route_type_name()
    }

    fn messages(&self) -> &'static [Message] {
        F::FIELDS
    }

    fn configure(&self, config: &Any, site: &Site<'_>) -> Result<Arc<dyn Made>, Vec<Problem>> {
        let filter = F::configure(decode(config, &F::type_name())?, site)?;
        Ok(Arc::new(Filtering(Arc::new(filter))))
    }
}

/// A filter that was made of configuration, without its type.
pub(crate) trait Made: fmt::Debug + Send + Sync {
    /// The filter itself.
    fn filter(&self) -> Arc<dyn Filter>;

    /// The filter that takes its place where `config` says so.
    fn on_route(&self, config: &Any, site: &Site<'_>) -> Result<Arc<dyn Made>, Vec<Problem>>;

    /// The filter that takes its place for one route.
    fn for_route(&self, place: &RoutePlace<'_>) -> Result<Option<Arc<dyn Made>>, Vec<Problem>>;
}

#[derive(Debug)]
struct Filtering<F>(Arc<F>);

impl<F: Configure> Made for Filtering<F> {
    fn filter(&self) -> Arc<dyn Filter> {
        Arc::clone(&self.0) as _
    }

    fn on_route(&self, config: &Any, site: &Site<'_>) -> Result<Arc<dyn Made>, Vec<Problem>> {
        let filter = self
            .0
            .on_route(decode(config, &F::route_type_name())?, site)?;
        Ok(Arc::new(Self(Arc::new(filter))))
    }

    fn for_route(&self, place: &RoutePlace<'_>) -> Result<Option<Arc<dyn Made>>, Vec<Problem>> {
        let filter = self.0.for_route(place)?;
        Ok(filter.map(|filter| Arc::new(Self(Arc::new(filter))) as Arc<dyn Made>))
    }
}

/// JSON with the name of its type (`xds.type.v3.TypedStruct`).
#[derive(Clone, PartialEq, prost::Message)]
struct TypedStruct {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(message, optional, tag = "2")]
    value: Option<Struct>,
}

/// Messages that are a [`TypedStruct`].
const TYPED_STRUCTS: [&str; 2] = ["xds.type.v3.TypedStruct", "udpa.type.v1.TypedStruct"];

/// The type that configuration is of, and the JSON if it is given so.
pub(crate) fn named(config: &Any) -> (String, Option<Struct>) {
    let last = |url: &str| url.rsplit('/').next().unwrap_or_default().to_owned();
    let own = last(&config.type_url);
    if TYPED_STRUCTS.contains(&own.as_str())
        && let Ok(typed) = TypedStruct::decode(config.value.as_slice())
    {
        return (last(&typed.type_url), Some(typed.value.unwrap_or_default()));
    }
    (own, None)
}

fn decode<M: prost::Message + Name + Default>(
    config: &Any,
    wanted: &str,
) -> Result<M, Vec<Problem>> {
    let problem = |reason: String, cure: String| {
        let path = String::new();
        vec![Problem { path, reason, cure }]
    };
    let (name, json) = named(config);
    if name != wanted {
        let reason = format!("{name} is no configuration of this filter");
        return Err(problem(reason, format!("give a {wanted}")));
    }
    let json = json.map(|json| json.encode_to_vec());
    if json.is_some() && M::full_name() != Struct::full_name() {
        let reason = "a message of Envoy's API is given as JSON of an unknown type".to_owned();
        return Err(problem(
            reason,
            format!("write \"@type\": type.googleapis.com/{wanted}"),
        ));
    }
    let bytes = json.as_deref().unwrap_or(&config.value);
    M::decode(bytes)
        .map_err(|error| problem(format!("not a message of its type: {error}"), String::new()))
}
