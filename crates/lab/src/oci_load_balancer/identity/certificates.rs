//! The certificates of compute instances: a root that the authentication service trusts, an intermediate, leaves.

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_RSA_SHA256, RsaKeySize,
};

use super::super::error::LabError;

/// Signs the certificates of instances.
pub(in super::super) struct Authority {
    root: Vec<u8>,
    intermediate_pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate of an instance, with its key.
pub(super) struct Leaf {
    pub(super) certificate_pem: String,
    pub(super) key_pem: String,
}

impl Authority {
    pub(super) fn new(now: Timestamp) -> Result<Self, LabError> {
        let root_key = KeyPair::generate().map_err(not_made)?;
        let root = authority("lab instance root", now);
        let certificate = root.self_signed(&root_key).map_err(not_made)?;
        let issuer = Issuer::new(root, root_key);
        let key = KeyPair::generate().map_err(not_made)?;
        let intermediate = authority("lab instance intermediate", now);
        let intermediate_pem = intermediate.signed_by(&key, &issuer).map_err(not_made)?.pem();
        Ok(Self { root: certificate.der().to_vec(), intermediate_pem, issuer: Issuer::new(intermediate, key) })
    }

    /// DER of the root.
    pub(super) fn root(&self) -> &[u8] {
        &self.root
    }

    pub(super) fn intermediate_pem(&self) -> &str {
        &self.intermediate_pem
    }

    /// A certificate with a new RSA key.
    pub(super) fn leaf(
        &self,
        instance: &str,
        tenancy: &str,
        now: Timestamp,
        lifetime: SignedDuration,
    ) -> Result<Leaf, LabError> {
        let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).map_err(not_made)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        // The real ones have several organizational units; one by its name and one by its number are two for rcgen.
        params.distinguished_name.push(DnType::CommonName, instance);
        params.distinguished_name.push(DnType::OrganizationalUnitName, format!("{TENANT}{tenancy}"));
        params.distinguished_name.push(DnType::CustomDnType(vec![2, 5, 4, 11]), format!("{INSTANCE}{instance}"));
        valid(&mut params, now, lifetime);
        let certificate_pem = params.signed_by(&key, &self.issuer).map_err(not_made)?.pem();
        Ok(Leaf { certificate_pem, key_pem: key.serialize_pem() })
    }
}

fn authority(name: &str, now: Timestamp) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    valid(&mut params, now, SignedDuration::from_hours(24 * 365));
    params
}

fn valid(params: &mut CertificateParams, now: Timestamp, lifetime: SignedDuration) {
    let time = |time: Timestamp| std::time::SystemTime::from(time).into();
    params.not_before = time(now.saturating_sub(BACKDATED).unwrap_or(now));
    params.not_after = time(now.saturating_add(lifetime).unwrap_or(Timestamp::MAX));
}

fn not_made(error: rcgen::Error) -> LabError {
    LabError::ApiKey { key_id: "instance certificate".into(), problem: error.to_string() }
}

/// What the subject says the tenancy and the instance by.
pub(super) const TENANT: &str = "opc-tenant:";
pub(super) const INSTANCE: &str = "opc-instance:";

const BACKDATED: SignedDuration = SignedDuration::from_mins(5);
