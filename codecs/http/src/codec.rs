//! HTTP as the framework's stream relay asks of it.

use std::{rc::Rc, time::Duration};

use bytes::Bytes;
use crossdock_framework::{
    edits::Edits,
    status::{Cause, Class, Status, class_of_http},
    stream::{Attempt, Failure, StreamCodec, Upload, UpstreamVersion},
    worker::Worker,
};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Version, header, request,
    response,
};
use http_body::Body as _;

use crate::{
    edits, grpc,
    grpc_web::Web,
    h1, h2, outbound,
    payload::Payload,
    pools::Pools,
    triple,
    view::{RequestView, ResponseView},
};

const EXPECTED_TIMEOUT: HeaderName = HeaderName::from_static("x-envoy-expected-rq-timeout-ms");
const OVERLOADED: HeaderName = HeaderName::from_static("x-envoy-overloaded");
const ATTEMPTS: HeaderName = HeaderName::from_static("x-envoy-attempt-count");
const SERVICE_TIME: HeaderName = HeaderName::from_static("x-envoy-upstream-service-time");

/// HTTP of every version.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Http;

impl StreamCodec for Http {
    type Body = Payload;
    type Request<'h> = RequestView<'h>;
    type Response<'h> = ResponseView<'h>;
    type Pools = Pools;

    fn pools(worker: &Worker) -> Rc<Pools> {
        Pools::of(worker)
    }

    fn request(head: &request::Parts) -> RequestView<'_> {
        RequestView(head)
    }

    fn response<'h>(
        head: &'h response::Parts,
        trailers: Option<&'h HeaderMap>,
    ) -> ResponseView<'h> {
        ResponseView { head, trailers }
    }

    fn upgrade(head: &request::Parts) -> Option<&str> {
        if head.method == Method::CONNECT {
            return Some("CONNECT");
        }
        head.headers.get(header::UPGRADE)?.to_str().ok()
    }

    fn edit_request(head: &mut request::Parts, edits: &Edits) -> Result<(), String> {
        edits::request(head, edits)
    }

    fn edit_response(head: &mut response::Parts, edits: &Edits) -> Result<(), String> {
        edits::response(head, edits)
    }

    fn tell_deadline(head: &mut request::Parts, left: Duration) {
        grpc::tell_timeout(&mut head.headers, left);
        triple::tell_timeout(&mut head.headers, left);
    }

    fn tell_timeout(head: &mut request::Parts, timeout: Duration) {
        head.headers.insert(EXPECTED_TIMEOUT, milliseconds(timeout));
    }

    fn tell_attempts(headers: &mut HeaderMap, attempts: usize) {
        headers.insert(ATTEMPTS, HeaderValue::from(attempts));
    }

    fn tell_service_time(head: &mut response::Parts, took: Duration) {
        head.headers.insert(SERVICE_TIME, milliseconds(took));
    }

    fn classify(head: &response::Parts) -> Class {
        let outcomes = [grpc::STATUS, triple::EXCEPTION];
        // Most answers have none, and looking is cheaper than searching twice.
        if !head.headers.keys().any(|name| outcomes.contains(name)) {
            return match head.status {
                StatusCode::OK => Class::Ok,
                other => class_of_http(other.as_u16()),
            };
        }
        if let Some(exception) = triple::class(&head.headers) {
            return exception;
        }
        match head.status {
            StatusCode::OK => grpc::class(&head.headers).unwrap_or(Class::Ok),
            other => class_of_http(other.as_u16()),
        }
    }

    fn classify_trailers(trailers: &HeaderMap) -> Option<Class> {
        triple::class(trailers).or_else(|| grpc::class(trailers))
    }

    fn grpc_status(headers: &HeaderMap) -> Option<u32> {
        grpc::status(headers)
    }

    fn conceals(headers: &HeaderMap) -> bool {
        triple::class(headers).is_some() && grpc::class(headers).is_none_or(|it| it == Class::Ok)
    }

    fn answer(request: &request::Parts, status: &Status) -> Response<Bytes> {
        let kind = request.headers.get(header::CONTENT_TYPE);
        let grpc = kind.is_some() && grpc::is_grpc(&request.headers);
        let mut response = match kind {
            Some(_) if grpc => grpc::answer(status),
            Some(_) if triple::is_unary(&request.headers) => {
                triple::answer(status).unwrap_or_else(|| plain(status))
            }
            _ => plain(status),
        };
        if status.cause == Cause::Overload {
            let overloaded = HeaderValue::from_static("true");
            response.headers_mut().insert(OVERLOADED, overloaded);
        }
        if request.method == Method::HEAD {
            // Its length stays: it is that of the answer to GET.
            response.body_mut().clear();
        }
        if !status.headers.is_empty() {
            let (mut head, body) = response.into_parts();
            // A field that cannot be written is left out: there is nobody else to tell.
            let _ = edits::response(&mut head, &status.headers);
            // Whatever is said of the kind of texts, a caller of gRPC reads its own.
            if grpc {
                let kind = HeaderValue::from_static("application/grpc");
                head.headers.insert(header::CONTENT_TYPE, kind);
            }
            response = Response::from_parts(head, body);
        }
        response
    }

    async fn send(
        pools: &Rc<Pools>,
        attempt: Attempt<'_>,
        mut head: request::Parts,
        body: Upload<Payload>,
    ) -> Result<Response<Payload>, Failure> {
        let way = pools.way(attempt, &head)?;
        let version = match attempt.cluster.http.version {
            UpstreamVersion::Usual if !grpc::is_grpc(&head.headers) => Version::HTTP_11,
            UpstreamVersion::Usual if Web::of(&head).is_some() => Version::HTTP_2,
            UpstreamVersion::Usual | UpstreamVersion::Downstream => head.version,
            UpstreamVersion::Http1 => Version::HTTP_11,
            UpstreamVersion::Http2 => Version::HTTP_2,
            UpstreamVersion::Negotiated => match pools.agreed(attempt, &way) {
                Some(version) => version,
                None => Box::pin(pools.negotiate(attempt, &way)).await?,
            },
        };
        match version {
            Version::HTTP_2 => {
                outbound::for_h2(&mut head).map_err(Failure::Refused)?;
                h2::client::send(pools, (attempt, &way), head, body).await
            }
            _ => {
                outbound::for_h1(&mut head).map_err(Failure::Refused)?;
                if body.is_end_stream() {
                    outbound::say_empty(&mut head);
                }
                h1::client::send(pools, (attempt, &way), head, body).await
            }
        }
    }
}

fn milliseconds(time: Duration) -> HeaderValue {
    HeaderValue::from(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

fn plain(status: &Status) -> Response<Bytes> {
    let text = match &status.text {
        std::borrow::Cow::Borrowed(text) => Bytes::from_static(text.as_bytes()),
        std::borrow::Cow::Owned(text) => Bytes::copy_from_slice(text.as_bytes()),
    };
    let length = HeaderValue::from(text.len());
    let empty = text.is_empty();
    let mut response = Response::new(text);
    *response.status_mut() =
        StatusCode::from_u16(status.http).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, length);
    if !empty {
        let kind = status.kind.as_deref().map(HeaderValue::from_str);
        let kind = kind.and_then(Result::ok);
        let kind = kind.unwrap_or(HeaderValue::from_static("text/plain"));
        headers.insert(header::CONTENT_TYPE, kind);
    }
    response
}
