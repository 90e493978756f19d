//! The Certificates service (`/20210224`): certificates with versions, kept apart from the load balancers that refer to
//! them by OCID and fetch the current version on their own. One per lab, for all its load balancers.
//!
//! Only imported certificates are spoken of: no certificate authorities, no CA bundles, no revocation.

mod associations;
mod certificate;
mod content;
pub(super) mod options;
mod owner;
pub(super) mod shown;

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Map, Value};

pub(super) use self::certificate::{Certificate, Lifecycle, Settlement, Version, time_of_deletion};
use self::{
    associations::Association,
    certificate::Stage,
    content::Content,
    options::{CertificatesBehaviour, UnknownCertificate},
};
use super::{
    bundle::Bundle, configuration::Configuration, error::ApiError, fields::Fields, options::Behaviour, validation,
};

/// What the service holds.
pub(super) struct CertificatesService {
    /// In OCIDs.
    port: u16,
    pub(super) certificates: Vec<Certificate>,
    pub(super) associations: Vec<Association>,
    made: usize,
}

impl CertificatesService {
    pub(super) fn new(port: u16) -> Self {
        Self { port, certificates: Vec::new(), associations: Vec::new(), made: 0 }
    }

    /// Holds nothing any more; no OCID is given twice.
    pub(super) fn forget(&mut self) {
        self.certificates.clear();
        self.associations.clear();
    }

    pub(super) fn certificate(&self, id: &str) -> Result<&Certificate, ApiError> {
        let found = self.certificates.iter().find(|certificate| certificate.id == id);
        found.ok_or_else(|| ApiError::not_found(format_args!("certificate {id}")))
    }

    fn certificate_mut(&mut self, id: &str) -> Result<&mut Certificate, ApiError> {
        let found = self.certificates.iter_mut().find(|certificate| certificate.id == id);
        found.ok_or_else(|| ApiError::not_found(format_args!("certificate {id}")))
    }

    /// CreateCertificate; gives the OCID of a certificate that is CREATING.
    pub(super) fn create(
        &mut self,
        body: &Map<String, Value>,
        behaviour: &Behaviour,
        now: Timestamp,
    ) -> Result<String, ApiError> {
        let fields = Fields::new("the certificate", body);
        let name = fields.required_text("name")?.to_owned();
        let compartment_id = fields.required_text("compartmentId")?.to_owned();
        let config = fields.required_object("certificateConfig")?;
        if name.is_empty() || name.len() > 255 || !name.chars().all(is_name_character) {
            return Err(ApiError::invalid_parameter(format!(
                "The certificate name '{name}' is not valid: only letters, digits, hyphens, underscores and periods \
                 are allowed"
            )));
        }
        // Names of certificates that are to be deleted stay taken until they are.
        if self.certificates.iter().any(|known| known.name == name && known.compartment_id == compartment_id) {
            let message = format!("A certificate with the name '{name}' already exists in the compartment");
            return Err(ApiError::duplicate(message, behaviour.duplicate_name));
        }
        let version_name = Fields::new("certificateConfig", config).text("versionName")?.map(str::to_owned);
        let content = Content::parse(config, &behaviour.certificates)?;
        self.made += 1;
        let id = format!("ocid1.certificate.oc1.iad.aaaaaaaalab{:06}{:06}", self.port, self.made);
        let identity = (id.clone(), name, compartment_id);
        self.certificates.push(Certificate::new(identity, properties(body), (version_name, content), now));
        Ok(id)
    }

    /// UpdateCertificate: the certificate is UPDATING until the settlement.
    pub(super) fn update(
        &mut self,
        id: &str,
        body: &Map<String, Value>,
        behaviour: &Behaviour,
        now: Timestamp,
    ) -> Result<Settlement, ApiError> {
        let certificate = self.certificate_mut(id)?;
        let fields = Fields::new(format!("the update of certificate {id}"), body);
        let number = fields.integer("currentVersionNumber", 1..=u64::MAX)?;
        let config = fields.object("certificateConfig")?;
        if number.is_some() && body.len() > 1 {
            return Err(ApiError::invalid_parameter(
                "currentVersionNumber cannot be updated in combination with any other properties",
            ));
        }
        certificate.check_state(&[Lifecycle::Active])?;
        let settlement = match (number, config) {
            (Some(number), _) => certificate.promotion(number)?,
            (None, Some(config)) => add_version(certificate, config, behaviour, now)?,
            (None, None) => Settlement::Activate,
        };
        certificate.properties.extend(properties(body));
        certificate.lifecycle = Lifecycle::Updating;
        certificate.changed();
        Ok(settlement)
    }

    /// ScheduleCertificateDeletion.
    pub(super) fn schedule_deletion(&mut self, id: &str, time: Timestamp) -> Result<(), ApiError> {
        if let Some(association) = self.associations.iter().find(|association| association.certificate_id == id) {
            return Err(ApiError::conflict(format!(
                "The certificate {id} is associated with {}: delete its associations first",
                association.load_balancer_id
            )));
        }
        self.certificate_mut(id)?.schedule_deletion(time)
    }

    /// CancelCertificateDeletion: it will be in the state again in which its deletion was scheduled.
    pub(super) fn cancel_deletion(&mut self, id: &str) -> Result<Settlement, ApiError> {
        self.certificate_mut(id)?.cancel_deletion()
    }

    /// ScheduleCertificateVersionDeletion, or with `None` CancelCertificateVersionDeletion.
    pub(super) fn schedule_version(&mut self, id: &str, number: u64, time: Option<Timestamp>) -> Result<(), ApiError> {
        let certificate = self.certificate_mut(id)?;
        certificate.check_state(&[Lifecycle::Active])?;
        certificate.schedule_version(number, time)
    }

    /// A change takes effect; gives whether another version is now CURRENT.
    pub(super) fn settle(&mut self, id: &str, settlement: Settlement) -> bool {
        let Ok(certificate) = self.certificate_mut(id) else {
            return false;
        };
        let before = certificate.current().number;
        certificate.settle(settlement);
        certificate.current().number != before
    }

    /// What was scheduled for deletion goes when its time has come.
    pub(super) fn carry_out_deletions(&mut self, now: Timestamp) {
        self.certificates.retain(|certificate| {
            certificate.lifecycle != Lifecycle::PendingDeletion
                || certificate.time_of_deletion.is_none_or(|time| time > now)
        });
        for certificate in &mut self.certificates {
            certificate.drop_versions(now);
        }
    }

    /// Every certificate that a listener or backend set names must be there and in use.
    pub(super) fn check_references(
        &self,
        configuration: &Configuration,
        behaviour: &CertificatesBehaviour,
    ) -> Result<(), ApiError> {
        for (collection, owner, id) in validation::certificate_ids(configuration) {
            let in_use = [Lifecycle::Active, Lifecycle::Updating];
            if self.certificate(id).is_ok_and(|certificate| in_use.contains(&certificate.lifecycle)) {
                continue;
            }
            let what = format!("{} '{owner}' refers to unknown certificate '{id}'", collection.noun());
            return Err(match behaviour.unknown_certificate {
                UnknownCertificate::InvalidParameter => ApiError::invalid_parameter(what),
                UnknownCertificate::NotFound => ApiError::not_found(what),
            });
        }
        Ok(())
    }

    /// A load balancer has this configuration now: associations come and go, and what it refers to newly is fetched.
    pub(super) fn associate(&mut self, load_balancer: &str, configuration: &mut Configuration, now: Timestamp) {
        let ids = validation::certificate_ids(configuration).map(|(.., id)| id.to_owned());
        let wanted: BTreeSet<String> = ids.collect();
        self.change_associations(load_balancer, &wanted, now);
        configuration.fetched.retain(|id, _| wanted.contains(id));
        for id in wanted {
            if let Some(bundle) = self.current_bundle(&id) {
                configuration.fetched.entry(id).or_insert(bundle);
            }
        }
    }

    /// What load balancers fetch.
    pub(super) fn current_bundle(&self, id: &str) -> Option<Bundle> {
        Some(self.certificate(id).ok()?.current().content.bundle.clone())
    }
}

fn add_version(
    certificate: &mut Certificate,
    config: &Map<String, Value>,
    behaviour: &Behaviour,
    now: Timestamp,
) -> Result<Settlement, ApiError> {
    let fields = Fields::new("certificateConfig", config);
    let stage = match fields.text("stage")? {
        None | Some("CURRENT") => Stage::Current,
        Some("PENDING") => Stage::Pending,
        Some(other) => {
            return Err(ApiError::invalid_parameter(format!("stage '{other}' is not one of CURRENT, PENDING")));
        }
    };
    let counts =
        |version: &&Version| behaviour.certificates.scheduled_versions_count || version.time_of_deletion.is_none();
    if let Some(limit) = behaviour.certificates.version_limit
        && certificate.versions.iter().filter(counts).count() >= limit
    {
        return Err(ApiError::limit_exceeded("certificate-version-count", limit));
    }
    let content = Content::parse(config, &behaviour.certificates)?;
    let name = fields.text("versionName")?.map(str::to_owned);
    certificate.add_version(name, content, stage, behaviour.duplicate_name, now)
}

/// The fields that are kept as they were sent.
fn properties(body: &Map<String, Value>) -> Map<String, Value> {
    let kept = ["description", "certificateRules", "freeformTags", "definedTags"];
    body.iter()
        .filter(|(field, _)| kept.contains(&field.as_str()))
        .map(|(field, value)| (field.clone(), value.clone()))
        .collect()
}

fn is_name_character(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.')
}
