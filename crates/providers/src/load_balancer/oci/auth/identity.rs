//! Who an instance is: the certificate that its metadata service hands out, with key and issuer.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use aws_lc_rs::signature::KeyPair;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::super::signature::SigningKey;
use super::private_key;

/// An instance's certificate, which changes several times a day.
pub(super) struct Identity {
    /// The certificate, DER.
    pub(super) certificate: Vec<u8>,
    /// Those that lead from it to Oracle's root, DER.
    pub(super) intermediates: Vec<Vec<u8>>,
    /// The certificate's key, under the name that the authentication service knows it by.
    pub(super) key: SigningKey,
    /// OCID of the tenancy.
    pub(super) tenancy: String,
    /// OCID of the instance, where the certificate says it.
    pub(super) instance: Option<String>,
}

/// Why there is no identity.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum IdentityProblem {
    /// Certificate and key belong to different identities: they were replaced between the two reads.
    Mixed,
    /// One of the three is not what it should be.
    Unreadable(String),
}

impl Identity {
    /// Reads the three documents.
    pub(super) fn parse(certificate: &[u8], key: &[u8], intermediates: &[u8]) -> Result<Self, IdentityProblem> {
        let unreadable = |what: &str, said: &str| IdentityProblem::Unreadable(format!("{what}: {said}"));
        let certificate = certificates(certificate).into_iter().next();
        let certificate = certificate.ok_or_else(|| unreadable("cert.pem", "there is no certificate in it"))?;
        let intermediates = certificates(intermediates);
        let pair = private_key::parse(key, None)
            .map_err(|problem| unreadable("key.pem", &problem.refusal("none is known").problem))?;
        let (_, parsed) = X509Certificate::from_der(&certificate)
            .map_err(|error| unreadable("cert.pem", &format!("it is not a certificate: {error}")))?;
        if parsed.public_key().subject_public_key.data.as_ref() != pair.public_key().as_ref() {
            return Err(IdentityProblem::Mixed);
        }
        let values: Vec<&str> = parsed.subject().iter_attributes().filter_map(|value| value.as_str().ok()).collect();
        let value = |prefix: &str| values.iter().find_map(|value| value.strip_prefix(prefix)).filter(|id| is_ocid(id));
        let tenancy = value("opc-tenant:").or_else(|| value("opc-identity:"));
        let tenancy = tenancy.ok_or_else(|| unreadable("cert.pem", "its subject names no tenancy"))?.to_owned();
        let instance = value("opc-instance:").map(str::to_owned);
        let fingerprint: Vec<String> =
            digest(&SHA1_FOR_LEGACY_USE_ONLY, &certificate).as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
        let key = SigningKey::new(pair, format!("{tenancy}/fed-x509/{}", fingerprint.join(":")));
        Ok(Self { key, tenancy, instance, intermediates, certificate })
    }

    /// The realm of the tenancy (`oc1`).
    pub(super) fn realm(&self) -> &str {
        self.tenancy.split('.').nth(2).unwrap_or_default()
    }
}

/// The certificates of a PEM text; none when it is not PEM.
fn certificates(pem: &[u8]) -> Vec<Vec<u8>> {
    let blocks = pem::parse_many(pem).unwrap_or_default();
    blocks.into_iter().filter(|block| block.tag() == "CERTIFICATE").map(pem::Pem::into_contents).collect()
}

/// It goes into a header between quotation marks.
fn is_ocid(text: &str) -> bool {
    text.starts_with("ocid1.") && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair as Pair, PKCS_RSA_SHA256, RsaKeySize};

    use super::*;

    fn key() -> Pair {
        Pair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap()
    }

    fn certificate(key: &Pair, subject: &[(DnType, &str)]) -> String {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        for (kind, value) in subject {
            params.distinguished_name.push(kind.clone(), *value);
        }
        params.self_signed(key).unwrap().pem()
    }

    #[test]
    fn tenancy_and_instance_stand_in_the_subject() {
        let key = key();
        let units = DnType::CustomDnType(vec![2, 5, 4, 11]);
        let subject = [
            (DnType::CommonName, "ocid1.instance.oc19.eu-madrid-2.i"),
            (DnType::OrganizationalUnitName, "opc-tenant:ocid1.tenancy.oc19..t"),
            (units, "opc-instance:ocid1.instance.oc19.eu-madrid-2.i"),
        ];
        let pem = certificate(&key, &subject);
        let identity = Identity::parse(pem.as_bytes(), key.serialize_pem().as_bytes(), pem.as_bytes()).unwrap();
        assert_eq!((identity.tenancy.as_str(), identity.realm()), ("ocid1.tenancy.oc19..t", "oc19"));
        assert_eq!(identity.instance.as_deref(), Some("ocid1.instance.oc19.eu-madrid-2.i"));
        assert_eq!(identity.intermediates.len(), 1);
        let (id, fingerprint) = identity.key.name().rsplit_once('/').unwrap();
        assert_eq!(id, "ocid1.tenancy.oc19..t/fed-x509");
        let pairs: Vec<&str> = fingerprint.split(':').collect();
        assert!(pairs.len() == 20 && pairs.iter().all(|pair| pair.len() == 2 && *pair == pair.to_uppercase()));
    }

    #[test]
    fn what_does_not_belong_together_is_told_from_what_is_wrong() {
        let (one, other) = (key(), key());
        let tenant = [(DnType::OrganizationalUnitName, "opc-tenant:ocid1.tenancy.oc1..t")];
        let pem = certificate(&one, &tenant);
        let parse = |certificate: &str, key: &str| Identity::parse(certificate.as_bytes(), key.as_bytes(), b"").err();
        assert_eq!(parse(&pem, &other.serialize_pem()), Some(IdentityProblem::Mixed));
        assert_eq!(parse(&pem, &one.serialize_pem()), None);
        let hostile = [(DnType::OrganizationalUnitName, "opc-tenant:ocid1.tenancy\"")];
        for (certificate, key, named) in [
            ("<html>", one.serialize_pem().as_str(), "cert.pem"),
            (certificate(&one, &[]).as_str(), &one.serialize_pem(), "no tenancy"),
            (certificate(&one, &hostile).as_str(), &one.serialize_pem(), "no tenancy"),
            (&pem, "<html>", "key.pem"),
        ] {
            match parse(certificate, key) {
                Some(IdentityProblem::Unreadable(said)) => assert!(said.contains(named), "{said}"),
                other => panic!("{named}: {other:?}"),
            }
        }
    }
}
