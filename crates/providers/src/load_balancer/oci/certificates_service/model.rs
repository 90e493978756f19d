//! The service's JSON (API 20210224), as far as it matters.

use std::collections::BTreeMap;

use certferry_core::{KeyFamily, Sha256};
use serde::Deserialize;

use super::version_name;

/// A certificate, as GetCertificate and ListCertificates describe it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in super::super) struct Certificate {
    pub(in super::super) id: String,
    pub(in super::super) name: String,
    pub(super) lifecycle_state: String,
    #[serde(default)]
    lifecycle_details: Option<String>,
    #[serde(default)]
    key_algorithm: Option<String>,
    #[serde(default)]
    freeform_tags: Option<BTreeMap<String, String>>,
    /// GetCertificate has it under this name.
    #[serde(default)]
    current_version: Option<Version>,
    /// And ListCertificates under this one.
    #[serde(default)]
    current_version_summary: Option<Version>,
}

impl Certificate {
    /// The version that is served.
    pub(super) fn current(&self) -> Option<&Version> {
        self.current_version.as_ref().or(self.current_version_summary.as_ref())
    }

    /// Why it is in its state, where the service says so.
    pub(super) fn said(&self) -> Option<&str> {
        self.lifecycle_details.as_deref().filter(|text| !text.is_empty())
    }

    /// Whether certferry made it: by the tag that it gives, or, where somebody has taken that away, by the name of the
    /// version that it imported.
    pub(in super::super) fn is_own(&self) -> bool {
        let tag = self.freeform_tags.as_ref().and_then(|tags| tags.get(OWNER_TAG));
        self.name.starts_with("cf-")
            && (tag.is_some_and(|owner| owner == OWNER)
                || self.current().is_some_and(|version| version.digest().is_some()))
    }

    /// Whether it has a version to serve, and will go on having it.
    pub(super) fn is_live(&self) -> bool {
        let is_not_there = matches!(
            self.lifecycle_state.as_str(),
            "CREATING" | "DELETED" | "DELETING" | "FAILED" | "PENDING_DELETION" | "SCHEDULING_DELETION"
        );
        !is_not_there && self.current().is_some()
    }

    /// The kind of its key.
    pub(in super::super) fn key_family(&self) -> Option<KeyFamily> {
        let algorithm = self.key_algorithm.as_deref()?;
        let kinds = [("ECDSA", KeyFamily::Ecdsa), ("RSA", KeyFamily::Rsa)];
        kinds.into_iter().find(|(prefix, _)| algorithm.starts_with(prefix)).map(|(_, family)| family)
    }
}

/// A version of a certificate.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Version {
    pub(super) version_number: u64,
    #[serde(default)]
    pub(super) version_name: Option<String>,
    #[serde(default)]
    stages: Option<Vec<String>>,
    /// When it will be deleted, where that is scheduled.
    #[serde(default)]
    time_of_deletion: Option<String>,
}

impl Version {
    /// The digest of its leaf; `None` for a version that certferry did not import.
    pub(super) fn digest(&self) -> Option<Sha256> {
        version_name::digest(self.version_name.as_deref()?)
    }

    /// Whether it is in that stage (`CURRENT`, `PENDING`, `LATEST`, `PREVIOUS`, `DEPRECATED`, `FAILED`).
    pub(super) fn is(&self, stage: &str) -> bool {
        self.stages.iter().flatten().any(|one| one == stage)
    }

    /// Whether it can be made the current one. The service does not take deprecated ones back
    /// (<https://docs.oracle.com/iaas/Content/certificates/making-certificate-version-current.htm>).
    pub(super) fn can_become_current(&self) -> bool {
        !self.is("DEPRECATED") && !self.is("FAILED") && !self.goes()
    }

    /// Whether it is about to be deleted.
    pub(super) fn goes(&self) -> bool {
        self.time_of_deletion.is_some()
    }
}

/// One page of a list.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Page<T> {
    #[serde(default = "Vec::new")]
    pub(super) items: Vec<T>,
}

/// Something that uses a certificate.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Association {
    pub(super) associated_resource_id: String,
    #[serde(default)]
    pub(super) lifecycle_state: Option<String>,
}

/// What a certificate holds, without the key.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PublicBundle {
    pub(super) certificate_pem: String,
}

/// The freeform tag by which certferry knows what it made.
pub(super) const OWNER_TAG: &str = "created-by";
pub(super) const OWNER: &str = "certferry";

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn certificate(more: &Value) -> Certificate {
        let mut fields = json!({"id": "ocid1.certificate.x", "name": "cf-www-0123abcd", "lifecycleState": "ACTIVE"});
        fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(fields).unwrap()
    }

    #[test]
    fn certferrys_own_is_told_by_name_and_tag_or_version() {
        let version = json!({"versionNumber": 1, "versionName": format!("20260101-{}", "0".repeat(64))});
        for (fields, own) in [
            (json!({"freeformTags": {"created-by": "certferry"}}), true),
            (json!({"currentVersion": version}), true),
            (json!({"currentVersionSummary": version, "freeformTags": null}), true),
            (json!({"freeformTags": {"created-by": "somebody"}}), false),
            (json!({"currentVersion": {"versionNumber": 1, "versionName": "by-hand"}}), false),
            (json!({"name": "www", "freeformTags": {"created-by": "certferry"}}), false),
            (json!({}), false),
        ] {
            assert_eq!(certificate(&fields).is_own(), own, "{fields}");
        }
    }

    #[test]
    fn only_what_serves_and_stays_is_live() {
        for (state, live) in [
            ("ACTIVE", true),
            ("UPDATING", true),
            ("A_STATE_OF_NEXT_YEAR", true),
            ("CREATING", false),
            ("PENDING_DELETION", false),
            ("FAILED", false),
            ("DELETED", false),
        ] {
            let version = json!({"lifecycleState": state, "currentVersion": {"versionNumber": 1}});
            assert_eq!(certificate(&version).is_live(), live, "{state}");
        }
        assert!(!certificate(&json!({})).is_live());
    }

    #[test]
    fn the_kind_of_key_is_read_of_the_algorithm() {
        for (algorithm, family) in
            [("ECDSA_P384", Some(KeyFamily::Ecdsa)), ("RSA2048", Some(KeyFamily::Rsa)), ("ML_DSA_44", None)]
        {
            assert_eq!(certificate(&json!({"keyAlgorithm": algorithm})).key_family(), family, "{algorithm}");
        }
    }
}
