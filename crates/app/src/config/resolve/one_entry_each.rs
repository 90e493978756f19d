//! One entry for each load balancer: two for the same one would let two certificates fight over a listener for ever, and
//! change it at the same time.

use certferry_providers::load_balancer::oci::LoadBalancerId;
use url::Url;

use super::{LoadBalancers, Resolver};
use crate::config::file::{self, File};
use crate::config::resolved::Provider;
use crate::config::spanned::{Position, Spanned};

/// What makes two entries the same load balancer.
#[derive(PartialEq)]
enum Identity {
    Oci(LoadBalancerId),
    Avi { controller: Url, tenant: String },
}

impl Resolver<'_> {
    /// Refuses an entry for a load balancer that one before it is for.
    pub(super) fn one_entry_each(&mut self, file: &File, load_balancers: &LoadBalancers) {
        let mut known: Vec<(Identity, &Spanned<String>)> = Vec::new();
        for (name, written) in &file.load_balancers.0 {
            let Some(Some((_, load_balancer))) = load_balancers.get(&name.value) else { continue };
            let identity = identity(&load_balancer.provider);
            let Some((_, first)) = known.iter().find(|(other, _)| *other == identity) else {
                known.push((identity, name));
                continue;
            };
            let same = match &identity {
                Identity::Oci(_) => "the OCID".to_owned(),
                Identity::Avi { tenant, .. } => format!("the controller and the tenant (`{tenant}`)"),
            };
            let message = format!(
                "load balancer `{}` has {same} of load balancer `{}` (line {})",
                name.value, first.value, first.at.line
            );
            let hint = format!("a load balancer has one entry: remove this one, and write `{}` for it", first.value);
            self.refuse::<()>(place(name, written), message, hint);
        }
    }
}

fn identity(provider: &Provider) -> Identity {
    match provider {
        Provider::Oci(oci) => Identity::Oci(oci.load_balancer_id.clone()),
        // Joined with nothing, the URL has no slash at its end, whether one is written or not.
        Provider::Avi(avi) => Identity::Avi { controller: avi.controller.join([]), tenant: avi.tenant.clone() },
    }
}

/// Where the second entry says what it is.
fn place(name: &Spanned<String>, written: &file::LoadBalancer) -> Position {
    let oci = written.oci.as_ref().map(|oci| oci.value.load_balancer_id.at);
    let avi = written.avi.as_ref().map(|avi| avi.value.controller.at);
    oci.or(avi).unwrap_or(name.at)
}
