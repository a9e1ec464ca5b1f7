//! Every call gets exactly one answer in its caller's own protocol.

use crossdock_framework::{
    codec::Codec,
    frame::{Frame, Head, Kind, Variant, WireId},
    out::Out,
    status::{Cause, Class, Status},
};

use super::{Case, Law, cut_one};
use crate::vectors::Vector;

/// Every reason for which the gateway answers by itself.
const CAUSES: [Cause; 17] = [
    Cause::NoRoute,
    Cause::NoCluster,
    Cause::NoHost,
    Cause::Overload,
    Cause::RateLimited,
    Cause::Denied,
    Cause::Fault,
    Cause::DirectResponse,
    Cause::Timeout,
    Cause::ConnectFailed,
    Cause::ConnectionLost,
    Cause::BadRequest,
    Cause::BadResponse,
    Cause::RequestTooLarge,
    Cause::ResponseTooLarge,
    Cause::CannotEdit,
    Cause::Draining,
];

/// A text with everything that a writer may trip over.
const TEXT: &str = "no host for \"/a.B/c\": 中 😀 \\ \u{7} (try again)";

/// For every cause the codec answers a request with one response under the same id in the same
/// variant, which it does not take for a success itself.
///
/// # Errors
/// The first vector for which that is not so.
pub fn every_request_can_be_answered<C: Codec>(vectors: &[Vector]) -> Law {
    for case in Case::each("every_request_can_be_answered", vectors) {
        for cut in case.cut::<C>()? {
            if cut.frame.head.kind() == Kind::Request {
                answers::<C>(&case, &cut.frame)?;
            }
        }
    }
    Ok(())
}

/// Checks the answers to one request, of which perhaps only the header is there.
pub(super) fn answers<C: Codec>(case: &Case<'_>, request: &Frame<C::Head>) -> Law {
    for cause in CAUSES {
        let mut out = Out::default();
        C::default().answer(request, &Status::new(cause, TEXT), &mut out);
        let answer =
            cut_one::<C>(&out).map_err(|what| case.broken(format!("{cause:?}: {what}")))?;
        let fits = answer.head.kind() == Kind::Response
            && answer.head.id() == request.head.id()
            && answer.head.variant() == request.head.variant();
        case.check(fits, || {
            let head = (answer.head.kind(), answer.head.id(), answer.head.variant());
            format!("{cause:?} is answered as {head:?}")
        })?;
        case.check(C::classify(&answer) != Class::Ok, || {
            format!("the answer to {cause:?} looks like a success")
        })?;
    }
    Ok(())
}

/// The codec's own heartbeats, and those of the vectors, are answered under the same id or need no
/// answer; and a goaway, where there is one, is one.
///
/// # Errors
/// The first vector for whose variant that is not so.
pub fn heartbeats_are_answered<C: Codec>(vectors: &[Vector]) -> Law {
    for case in Case::each("heartbeats_are_answered", vectors) {
        for cut in case.cut::<C>()? {
            let variant = cut.frame.head.variant();
            let own = heartbeat::<C>(&case, variant)?;
            case.check(acknowledged::<C>(&case, &own)?, || {
                "the codec's own heartbeat gets no answer".to_owned()
            })?;
            if cut.frame.head.kind() == Kind::Heartbeat {
                acknowledged::<C>(&case, &cut.frame)?;
            }
            goaway::<C>(&case, variant)?;
        }
    }
    Ok(())
}

fn heartbeat<C: Codec>(case: &Case<'_>, variant: Variant) -> Result<Frame<C::Head>, super::Broken> {
    let id = WireId(0x1234);
    let mut out = Out::default();
    C::default().heartbeat(variant, id, &mut out);
    let frame = cut_one::<C>(&out).map_err(|what| case.broken(what))?;
    let fits = (frame.head.kind(), frame.head.id()) == (Kind::Heartbeat, id)
        && frame.head.variant() == variant;
    case.check(fits, || format!("no heartbeat of {variant:?}"))?;
    Ok(frame)
}

/// Checks the answer to a heartbeat; `false` if there is none.
fn acknowledged<C: Codec>(
    case: &Case<'_>,
    heartbeat: &Frame<C::Head>,
) -> Result<bool, super::Broken> {
    let mut out = Out::default();
    C::default().heartbeat_ack(heartbeat, &mut out);
    if out.is_empty() {
        return Ok(false);
    }
    let ack = cut_one::<C>(&out).map_err(|what| case.broken(what))?;
    let fits = ack.head.kind() == Kind::HeartbeatAck
        && ack.head.id() == heartbeat.head.id()
        && ack.head.variant() == heartbeat.head.variant();
    case.check(fits, || format!("answered by {:?}", ack.head.kind()))?;
    Ok(true)
}

fn goaway<C: Codec>(case: &Case<'_>, variant: Variant) -> Law {
    let mut out = Out::default();
    let has = C::default().goaway(variant, WireId(7), &mut out);
    if !has {
        return case.check(out.is_empty(), || "a goaway that is none".to_owned());
    }
    let frame = cut_one::<C>(&out).map_err(|what| case.broken(what))?;
    case.check(frame.head.kind() == Kind::GoAway, || {
        format!("the goaway is {:?}", frame.head.kind())
    })
}
