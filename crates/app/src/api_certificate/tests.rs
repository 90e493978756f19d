use std::path::PathBuf;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls_pki_types::UnixTime;
use tempfile::TempDir;

use super::*;

const NOW: &str = "2026-03-01T00:00:00Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn api(folder: &TempDir, url: &str) -> Api {
    Api {
        listen: ([127, 0, 0, 1], 8443).into(),
        url: url.parse().unwrap(),
        certificate: folder.path().join("certferry-api.pem"),
        key: folder.path().join("certferry-api.key"),
        self_made: true,
    }
}

fn made(api: &Api) -> ApiCertificate {
    load_or_make_at(api, now()).unwrap_or_else(|failure| panic!("{}", failure.render()))
}

fn key(api: &Api) -> String {
    std::fs::read_to_string(&api.key).unwrap()
}

fn refused(api: &Api) -> String {
    load_or_make_at(api, now()).err().unwrap().render()
}

fn mode(path: &PathBuf) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Whether a client that trusts the certificate as its only root accepts it for a host.
fn is_accepted(certificate: &ApiCertificate, host: &str, at: Timestamp) -> bool {
    let leaf = CertificateDer::from_pem_slice(certificate.chain_pem.as_bytes()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(leaf.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
    let time = UnixTime::since_unix_epoch(std::time::Duration::from_secs(at.as_second().try_into().unwrap()));
    verifier.verify_server_cert(&leaf, &[], &host.try_into().unwrap(), &[], time).is_ok()
}

#[test]
fn it_is_made_once_for_the_host_of_the_url_and_for_ten_years() {
    for (url, host) in [
        ("https://certferry.some-domain.com:8443", "certferry.some-domain.com"),
        ("https://127.0.0.1:8443", "127.0.0.1"),
        ("https://[::1]:8443", "::1"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let api = api(&folder, url);
        let first = made(&api);
        assert!(first.is_new);
        let first_key = key(&api);
        assert_eq!((mode(&api.key), mode(&api.certificate)), (0o600, 0o644));
        let nine_years = now() + SignedDuration::from_hours(9 * 365 * 24);
        for at in [now(), nine_years] {
            assert!(is_accepted(&first, host, at), "{url} at {at}");
        }
        assert!(!is_accepted(&first, "other.some-domain.com", now()));
        let second = made(&api);
        assert!(!second.is_new && second.chain_pem == first.chain_pem && key(&api) == first_key);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "nothing else is left");
    }
}

#[test]
fn a_run_that_was_killed_between_the_two_files_is_continued_with_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let api = api(&folder, "https://certferry.some-domain.com");
    made(&api);
    let first_key = key(&api);
    std::fs::remove_file(&api.certificate).unwrap();
    let second = made(&api);
    assert!(second.is_new);
    assert_eq!(key(&api), first_key);
    assert_eq!(made(&api).chain_pem, second.chain_pem);
}

#[test]
fn another_host_and_a_time_that_is_over_get_a_new_certificate_for_the_same_key() {
    let folder = tempfile::tempdir().unwrap();
    let mut api = api(&folder, "https://certferry.some-domain.com");
    made(&api);
    let first_key = key(&api);
    api.url = "https://10.0.0.4".parse().unwrap();
    let moved = made(&api);
    assert!(moved.is_new && is_accepted(&moved, "10.0.0.4", now()) && key(&api) == first_key);
    let later = now() + SignedDuration::from_hours(11 * 365 * 24);
    let renewed = load_or_make_at(&api, later).map_err(|failure| failure.render()).unwrap();
    assert!(renewed.is_new && is_accepted(&renewed, "10.0.0.4", later) && key(&api) == first_key);
    assert_eq!(mode(&api.key), 0o600);
}

#[test]
fn a_certificate_whose_key_is_gone_is_not_replaced_silently() {
    let folder = tempfile::tempdir().unwrap();
    let api = api(&folder, "https://certferry.some-domain.com");
    let first = made(&api);
    std::fs::remove_file(&api.key).unwrap();
    let said = refused(&api);
    assert!(said.contains("certferry-api.key is gone") && said.contains("install-control-script"), "{said}");
    assert_eq!(std::fs::read_to_string(&api.certificate).unwrap(), first.chain_pem);
    assert!(!api.key.exists());
}

#[test]
fn a_pair_of_ones_own_is_read_and_never_written() {
    let folder = tempfile::tempdir().unwrap();
    let mut api = api(&folder, "https://certferry.some-domain.com");
    let theirs = made(&api);
    // A proxy may stand before it: for which host it is does not matter.
    (api.self_made, api.url) = (false, "https://proxy.some-domain.com".parse().unwrap());
    assert_eq!(made(&api).chain_pem, theirs.chain_pem);
    let key = KeyPair::generate().unwrap().serialize_pem();
    std::fs::write(&api.key, &key).unwrap();
    let said = refused(&api);
    assert!(said.contains("belong together") && !said.contains(key.lines().nth(1).unwrap()), "{said}");
    for wrong in ["", "no PEM", &theirs.chain_pem] {
        std::fs::write(&api.key, wrong).unwrap();
        assert!(refused(&api).contains("its key is no private key in PEM"), "{wrong}");
    }
    std::fs::remove_file(&api.key).unwrap();
    assert!(refused(&api).contains("certferry-api.key is not there"));
    assert!(!api.key.exists());
}

#[test]
fn many_that_make_it_at_once_agree() {
    let folder = tempfile::tempdir().unwrap();
    let api = api(&folder, "https://certferry.some-domain.com");
    let chains: Vec<String> = std::thread::scope(|scope| {
        let makers: Vec<_> = (0..8).map(|_| scope.spawn(|| made(&api).chain_pem)).collect();
        makers.into_iter().map(|maker| maker.join().unwrap()).collect()
    });
    assert!(chains.iter().all(|chain| *chain == chains[0]));
    assert_eq!(made(&api).chain_pem, chains[0]);
}

#[test]
fn what_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut api = api(&folder, "https://certferry.some-domain.com");
    api.key = folder.path().join("nowhere").join("certferry-api.key");
    let said = refused(&api);
    assert!(said.contains("the API's key cannot be written to") && said.contains("nowhere"), "{said}");
}
