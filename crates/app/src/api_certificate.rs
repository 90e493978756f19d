//! The certificate of certferry's API: the operator's own, or one that certferry makes and signs itself.
//!
//! The self-made one is made once for the host of the API's URL, and control scripts trust it and nothing else. Its key is
//! on disk before it is, and is kept when the host changes: whenever a run is killed, the next one finds a key, a pair, or
//! nothing.

use std::fs::{File, Permissions};
use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::SystemTime;

use certferry_core::{Chain, Clock, Error, ErrorKind, Sha256, SystemClock};
use jiff::{SignedDuration, Timestamp};
use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, SanType, SerialNumber};
use rustls::client::verify_server_name;
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use url::{Host, Url};
use zeroize::Zeroizing;

use crate::config::Api;
use crate::failure::Failure;

/// The certificate, whose key is on disk.
pub(crate) struct ApiCertificate {
    /// PEM, leaf first. A self-made one is its own root.
    pub(crate) chain_pem: String,
    /// Whether it was made just now.
    pub(crate) is_new: bool,
}

/// Reads the certificate and key of `api`; makes them where they are certferry's own and not there, and makes the
/// certificate anew, with the same key, when the URL has another host or its time is over.
///
/// # Errors
/// A file that cannot be read or written, a pair that does not belong together, or a certificate of certferry's own whose
/// key is gone.
pub(crate) fn load_or_make(api: &Api) -> Result<ApiCertificate, Failure> {
    load_or_make_at(api, SystemClock.now())
}

fn load_or_make_at(api: &Api, now: Timestamp) -> Result<ApiCertificate, Failure> {
    let chain = read(&api.certificate, "the API's certificate")?.map(|chain| chain.to_string());
    let key = read(&api.key, "the API's key")?;
    let (chain_pem, key) = match (chain, key) {
        (Some(chain), Some(key)) => (chain, key),
        (None, key) if api.self_made => return make(api, key, Place::Free, now),
        (Some(_), None) if api.self_made => {
            let said = format!("its key {} is gone", api.key.display());
            let hint = "put the key back; or remove the certificate, and run `certferry avi install-control-script` again, \
                        so that controllers trust the one that is made then";
            return Err(unusable(api, said, hint));
        }
        (chain, _) => {
            return Err(missing(api, if chain.is_none() { &api.certificate } else { &api.key }));
        }
    };
    let pair = check_pair(&chain_pem, &key).map_err(|said| unusable(api, said, pair_hint(api)))?;
    let is_for_url = pair.end_entity_cert().is_ok_and(|leaf| is_for(leaf, &api.url));
    if api.self_made && !(is_for_url && is_in_time(&chain_pem, now)) {
        return make(api, Some(key), Place::Taken, now);
    }
    Ok(ApiCertificate { chain_pem, is_new: false })
}

/// The pair that is there, to be served.
///
/// # Errors
/// A file is not there or cannot be read, or the two do not belong together.
pub(crate) fn load(api: &Api) -> Result<CertifiedKey, Failure> {
    let chain = read(&api.certificate, "the API's certificate")?.ok_or_else(|| missing(api, &api.certificate))?;
    let key = read(&api.key, "the API's key")?.ok_or_else(|| missing(api, &api.key))?;
    check_pair(&chain, &key).map_err(|said| unusable(api, said, pair_hint(api)))
}

/// Whether there is a certificate to be replaced.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Free,
    Taken,
}

fn make(api: &Api, key: Option<Key>, place: Place, now: Timestamp) -> Result<ApiCertificate, Failure> {
    let key = match key {
        Some(key) => key,
        None => make_key(api)?,
    };
    let pair = KeyPair::from_pem(&key).map_err(|error| {
        unusable(api, format!("its key: {error}"), "remove the key's file, so that a new one is made")
    })?;
    let chain_pem =
        self_signed(&api.url, &pair, now).map_err(|error| unusable(api, error.to_string(), OWN_CERTIFICATE))?;
    match write(&api.certificate, chain_pem.as_bytes(), READABLE, place) {
        Ok(()) => {}
        // Another process was faster, with the same key.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return load_or_make_at(api, now),
        Err(error) => return Err(not_written("certificate", &api.certificate, error)),
    }
    tracing::info!(certificate = %api.certificate.display(), url = %api.url, "made the API's certificate");
    Ok(ApiCertificate { chain_pem, is_new: true })
}

fn make_key(api: &Api) -> Result<Key, Failure> {
    let pair = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)
        .map_err(|error| unusable(api, error.to_string(), OWN_CERTIFICATE))?;
    let key = Zeroizing::new(pair.serialize_pem());
    match write(&api.key, key.as_bytes(), PRIVATE, Place::Free) {
        Ok(()) => Ok(key),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let vanished = || unusable(api, "its key appeared and vanished again".to_owned(), "run the command again");
            read(&api.key, "the API's key")?.ok_or_else(vanished)
        }
        Err(error) => Err(not_written("key", &api.key, error)),
    }
}

/// PEM. It has no key usages: OpenSSL before 3.0 takes a certificate for its own issuer only where none says that it signs
/// no certificates. It is no CA: trusted as a root, it stands for nothing but this host.
fn self_signed(url: &Url, key: &KeyPair, now: Timestamp) -> Result<String, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![match url.host() {
        Some(Host::Ipv4(address)) => SanType::IpAddress(address.into()),
        Some(Host::Ipv6(address)) => SanType::IpAddress(address.into()),
        Some(Host::Domain(name)) => SanType::DnsName(name.try_into()?),
        None => return Err(rcgen::Error::UnsupportedExtension),
    }];
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "certferry API");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    // Clocks differ.
    let (from, to) = (now - SignedDuration::from_hours(24), now + LIFETIME);
    params.not_before = SystemTime::from(from).into();
    params.not_after = SystemTime::from(to).into();
    // Another one for each host and time, so that nobody takes two certificates for one.
    let mut serial = *Sha256::of(format!("{url} {now} {}", key.public_key_pem()).as_bytes()).as_bytes();
    serial[0] = serial[0] & 0x7f | 0x01;
    params.serial_number = Some(SerialNumber::from_slice(&serial[..16]));
    Ok(params.self_signed(key)?.pem())
}

/// The pair as it is served; or why it cannot be.
fn check_pair(chain_pem: &str, key: &str) -> Result<CertifiedKey, String> {
    let chain = CertificateDer::pem_slice_iter(chain_pem.as_bytes()).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|error| format!("it is not PEM: {error}"))?;
    if chain.is_empty() {
        return Err("there is no certificate in it".to_owned());
    }
    // What is wrong with a key is not quoted.
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|_| "its key is no private key in PEM")?;
    CertifiedKey::from_der(chain, key, &rustls::crypto::aws_lc_rs::default_provider())
        .map_err(|error| error.to_string())
}

fn is_for(leaf: &CertificateDer<'_>, url: &Url) -> bool {
    let name = match url.host() {
        Some(Host::Ipv4(address)) => Some(ServerName::from(IpAddr::V4(address))),
        Some(Host::Ipv6(address)) => Some(ServerName::from(IpAddr::V6(address))),
        Some(Host::Domain(name)) => ServerName::try_from(name).ok(),
        None => None,
    };
    let leaf = ParsedCertificate::try_from(leaf);
    leaf.is_ok_and(|leaf| name.is_some_and(|name| verify_server_name(&leaf, &name).is_ok()))
}

fn is_in_time(chain_pem: &str, now: Timestamp) -> bool {
    Chain::parse(chain_pem).is_ok_and(|chain| now < chain.leaf().not_after)
}

/// PEM of a private key.
type Key = Zeroizing<String>;

/// `None` when it is not there.
fn read(path: &Path, what: &str) -> Result<Option<Zeroizing<String>>, Failure> {
    let failed = |source| Failure::Machine { what: format!("{what} cannot be read from {}", path.display()), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    // Room for all that is read: a buffer that grows would leave copies of a key behind.
    let mut text = Zeroizing::new(String::with_capacity(LARGEST_FILE + 1));
    file.take(LARGEST_FILE as u64 + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() > LARGEST_FILE {
        return Err(failed(io::Error::other(format!("it is larger than {} KiB", LARGEST_FILE / 1024))));
    }
    Ok(Some(text))
}

/// Whole or not at all, and on disk when this returns. A place that was thought free is never overwritten.
fn write(path: &Path, text: &[u8], mode: u32, place: Place) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Made with mode 0600.
    let mut file = tempfile::Builder::new().prefix(".certferry-api-").tempfile_in(folder)?;
    file.write_all(text)?;
    file.as_file().set_permissions(Permissions::from_mode(mode))?;
    file.as_file().sync_all()?;
    match place {
        Place::Free => file.persist_noclobber(path),
        Place::Taken => file.persist(path),
    }?;
    File::open(folder)?.sync_all()
}

fn not_written(what: &str, path: &Path, source: io::Error) -> Failure {
    Failure::Machine { what: format!("the API's {what} cannot be written to {}", path.display()), source }
}

fn missing(api: &Api, path: &Path) -> Failure {
    let hint = "put it there, or leave `certificate` and `key` of `api` out";
    unusable(api, format!("{} is not there", path.display()), hint)
}

fn pair_hint(api: &Api) -> &'static str {
    match api.self_made {
        true => "remove both files, so that new ones are made, and run `certferry avi install-control-script` again",
        false => "`certificate` and `key` of `api` must be PEM and belong together",
    }
}

fn unusable(api: &Api, said: String, hint: &str) -> Failure {
    let subject = format!("certificate {}", api.certificate.display());
    Error::new(ErrorKind::Invalid, "preparing the API", subject).said(said).with_hint(hint).into()
}

/// Ten years: whoever set a controller up is not there to do it again.
const LIFETIME: SignedDuration = SignedDuration::from_hours(10 * 365 * 24);

const LARGEST_FILE: usize = 256 * 1024;
const OWN_CERTIFICATE: &str = "name a certificate and a key of your own in `api` of the config";
const PRIVATE: u32 = 0o600;
const READABLE: u32 = 0o644;

#[cfg(test)]
mod tests;
