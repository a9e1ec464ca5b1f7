//! Access logs.
use crossdock_framework::log::AccessLog;
use crossdock_xds::envoy_types::pb::envoy::config::accesslog::v3::AccessLog as Proto;
use std::sync::Arc;
pub(crate) fn compile(
    _: &[Proto],
) -> Result<Vec<Arc<dyn AccessLog>>, Vec<(String, String, String)>> {
    Ok(Vec::new())
}
