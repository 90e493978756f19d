//! Rights on Avi controllers that the config needs and its user lacks, each as a finding of its own.

use std::sync::Arc;

use certferry_core::plan::Stage;
use certferry_core::port::LoadBalancer as _;
use certferry_core::{Error, ErrorKind, LoadBalancerName, SystemClock};
use certferry_providers::load_balancer::avi::{AviConfig, AviTenant, MissingPermission};

use super::Finding;
use crate::config::{Config, Provider};
use crate::failure::Failure;

/// Of every tenant that something in the config uses.
pub(super) async fn missing(config: &Config) -> Result<Vec<Finding>, Failure> {
    let mut findings = Vec::new();
    for (name, load_balancer) in config.used_load_balancers() {
        let Provider::Avi(avi) = &load_balancer.provider else { continue };
        let tenant = AviTenant::new(name.clone(), (**avi).clone(), Arc::new(SystemClock))?;
        match tenant.missing_permissions().await {
            Ok(missing) => findings.extend(missing.iter().map(|missing| finding(name, avi, missing))),
            Err(error) => findings.push(Finding::new(Stage::Deliver, error)),
        }
        tenant.close().await;
    }
    Ok(findings)
}

fn finding(name: &LoadBalancerName, avi: &AviConfig, missing: &MissingPermission) -> Finding {
    let (username, tenant) = (&avi.username, &avi.tenant);
    let access = if missing.access == "WRITE_ACCESS" { "Write" } else { "Read" };
    let role = format!("the role of user `{username}` in tenant `{tenant}` of load balancer `{name}`");
    let error =
        Error::new(ErrorKind::Denied, "checking rights", role).said(format!("missing: {missing}")).with_hint(format!(
            "set {} to {access} in that role (Administration > Accounts > Roles); `certferry policy {name}` prints the \
             whole of it",
            missing.shown
        ));
    // What certificates are carried by; all else is for challenges.
    let delivers = ["PERMISSION_APPLICATIONPROFILE", "PERMISSION_SSLKEYANDCERTIFICATE", "PERMISSION_VIRTUALSERVICE"];
    let stage = if delivers.contains(&missing.resource) { Stage::Deliver } else { Stage::Issue };
    Finding::new(stage, error)
}
