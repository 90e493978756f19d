//! Which certificate of the config a lineage is.

use certferry_core::desired::{CertificateSpec, Desired, KeyHolder, RenewedBy, VersionSpec};

use super::lineage::Pair;

/// The certificate of the config that has exactly these names; among several, the one with this type of key.
///
/// # Errors
/// There is none, or more than one.
pub(crate) fn certificate_for<'a>(desired: &'a Desired, pair: &Pair) -> Result<&'a CertificateSpec, NoMatch<'a>> {
    let same_names: Vec<&CertificateSpec> =
        desired.certificates.iter().filter(|spec| spec.version.names == pair.names).collect();
    let same_key = || same_names.iter().filter(|spec| spec.version.key == pair.key.key_type);
    match same_names.as_slice() {
        [] => Err(NoMatch::None),
        [only] => Ok(only),
        several => match same_key().collect::<Vec<_>>().as_slice() {
            [only] => Ok(only),
            _ => Err(NoMatch::Several(several.to_vec())),
        },
    }
}

/// Why no certificate of the config is the one.
#[derive(Debug)]
pub(crate) enum NoMatch<'a> {
    /// None has these names.
    None,
    /// These have these names, and none of them, or more than one, this type of key.
    Several(Vec<&'a CertificateSpec>),
}

impl Pair {
    /// With what this would have been ordered as a version of `spec`. The key's type is the real one; all else is what the
    /// config says, so that nothing is ordered anew for it.
    ///
    /// # Errors
    /// Why this cannot be a version of `spec`.
    pub(crate) fn version_spec(&self, spec: &CertificateSpec) -> Result<VersionSpec, String> {
        let name = &spec.name;
        let key = self.key.key_type;
        if let KeyHolder::LoadBalancer(holder) = &spec.version.key_holder {
            return Err(format!(
                "the key of certificate `{name}` is to be made on load balancer `{holder}`, and this one is in a file"
            ));
        }
        if spec.renewed_by == RenewedBy::Certbot && spec.version.key != key {
            return Err(format!(
                "its key is {key}, and the config says that certificate `{name}` has {}: write `key: {key}` there, or give \
                 certbot another `--key-type`",
                spec.version.key
            ));
        }
        Ok(VersionSpec { key, ..spec.version.clone() })
    }
}
