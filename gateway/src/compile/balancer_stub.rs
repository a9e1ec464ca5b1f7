use crossdock_framework::cluster::*;
use std::sync::Arc;
#[derive(Clone, Debug)]
pub(crate) struct BalancerConfig;
#[derive(Debug)]
struct Any;
impl Balancer for Any {
    fn pick(&self, hosts: &HostSet, pick: &Pick<'_>) -> Option<HostIx> {
        if hosts.is_empty() {
            return None;
        }
        Some(HostIx((pick.random % hosts.len() as u64) as u32))
    }
}
impl BalancerConfig {
    pub(crate) fn from_cluster(
        _: &crossdock_xds::envoy_types::pb::envoy::config::cluster::v3::Cluster,
    ) -> Result<Self, Vec<crossdock_routers::Problem>> {
        Ok(Self)
    }
    pub(crate) fn build(&self, _: &HostSet, _: Option<&Arc<dyn Balancer>>) -> Arc<dyn Balancer> {
        Arc::new(Any)
    }
}
