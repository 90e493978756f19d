//! Which listener or backend set serves which bundle or certificate: the change of one reference, and everything that is
//! checked before.

use certferry_core::observed::Place;
use certferry_core::{ErrorKind, KeyFamily};
use serde_json::{Value, json};

use super::bundle::leaf;
use super::change::{Change, Problem, with_certificate};
use super::cipher_suite;
use super::config::NewListener;
use super::model::{Collection, Reference, flag, listeners_on, ssl, text, texts};

/// What is to be served.
#[derive(Clone, Copy, Debug)]
pub(super) struct ToServe<'a> {
    pub(super) reference: Reference<'a>,
    /// The kind of its key, where the load balancer does not know it.
    pub(super) family: Option<KeyFamily>,
}

/// UpdateListener or UpdateBackendSet with the reference in place of the one before, of whichever kind; `None` when it is
/// there already.
pub(super) fn bind(load_balancer: &Value, place: &Place, to_serve: ToServe<'_>) -> Result<Option<Change>, Problem> {
    let (collection, name) = match place {
        Place::BackendSet(name) => (Collection::BackendSets, name.as_str()),
        Place::Listener(name) => (Collection::Listeners, name.as_str()),
    };
    let site = Site { load_balancer, operation: operation(place), object: collection.object(name) };
    let Some(object) = collection.find(load_balancer, name) else {
        let known: Vec<&str> = collection.all(load_balancer).map(|(name, _)| name).collect();
        let hint = format!("there are: {}", if known.is_empty() { "none".to_owned() } else { known.join(", ") });
        return Err(site.problem(ErrorKind::NotFound, "it is not there", hint));
    };
    let Some(ssl) = ssl(object) else {
        return Err(site.problem(
            ErrorKind::Invalid,
            "it has no SSL configuration, so it serves no certificate",
            "name one that terminates TLS, or give it an SSL configuration once",
        ));
    };
    if Reference::of(ssl) == Some(to_serve.reference) {
        return Ok(None);
    }
    site.check_writable(ssl)?;
    let protocols = texts(ssl, "protocols");
    site.check_key(to_serve, cipher_suite::name_of(ssl), &protocols)?;
    site.check_peer_verification(ssl, to_serve.reference)?;
    let changed = with_certificate(object, to_serve.reference);
    Ok(changed.map(|changed| Change::update(collection, name, changed)))
}

/// CreateListener as the config describes it, with the reference; `None` when the listener is there already.
pub(super) fn create_listener(
    load_balancer: &Value,
    name: &str,
    new: &NewListener,
    to_serve: ToServe<'_>,
) -> Result<Option<Change>, Problem> {
    let collection = Collection::Listeners;
    if collection.find(load_balancer, name).is_some() {
        return Ok(None);
    }
    let site = Site { load_balancer, operation: "CreateListener", object: collection.object(name) };
    if Collection::BackendSets.find(load_balancer, &new.backend_set).is_none() {
        let known: Vec<&str> = Collection::BackendSets.all(load_balancer).map(|(name, _)| name).collect();
        let said = format!("backend set `{}` is not there", new.backend_set);
        return Err(site.problem(ErrorKind::NotFound, said, format!("there are: {}", known.join(", "))));
    }
    site.check_port(new)?;
    let suite = new.cipher_suite.as_deref().unwrap_or(cipher_suite::DEFAULT);
    let protocols: Vec<&str> = new.protocols.iter().map(String::as_str).collect();
    site.check_key(to_serve, suite, &protocols)?;
    let mut ssl = match to_serve.reference {
        Reference::Bundle(name) => json!({"certificateName": name, "verifyPeerCertificate": false}),
        Reference::Certificate(id) => json!({"certificateIds": [id], "verifyPeerCertificate": false}),
    };
    if !protocols.is_empty() {
        ssl["protocols"] = json!(protocols);
    }
    if let Some(suite) = &new.cipher_suite {
        ssl["cipherSuiteName"] = json!(suite);
    }
    let body = json!({"name": name, "defaultBackendSetName": new.backend_set, "port": new.port, "protocol": "HTTP",
        "sslConfiguration": ssl});
    Ok(Some(Change::create(collection, name, body)))
}

/// The call's name in the API reference.
pub(super) fn operation(place: &Place) -> &'static str {
    match place {
        Place::BackendSet(_) => "UpdateBackendSet",
        Place::Listener(_) => "UpdateListener",
    }
}

/// What is changed, for checks and their messages.
struct Site<'a> {
    load_balancer: &'a Value,
    operation: &'static str,
    object: String,
}

impl Site<'_> {
    fn problem(&self, kind: ErrorKind, said: impl Into<String>, hint: impl Into<String>) -> Problem {
        Problem { kind, operation: self.operation, object: self.object.clone(), said: said.into(), hint: hint.into() }
    }

    /// Whether the SSL configuration can be written back as it was read.
    fn check_writable(&self, ssl: &Value) -> Result<(), Problem> {
        if cipher_suite::name_of(ssl) == cipher_suite::CUSTOMIZED {
            return Err(self.problem(
                ErrorKind::Invalid,
                format!("its cipher suite is `{}`, which OCI reports but does not take back", cipher_suite::CUSTOMIZED),
                "choose a predefined suite for it once, or make one of your own with the same ciphers (`oci lb \
                 ssl-cipher-suite create`) and choose that",
            ));
        }
        Ok(())
    }

    /// Whether it is there, with a key that the cipher suite can serve.
    fn check_key(&self, to_serve: ToServe<'_>, suite: &str, protocols: &[&str]) -> Result<(), Problem> {
        let family = match to_serve.reference {
            Reference::Certificate(_) => to_serve.family,
            Reference::Bundle(name) => {
                let Some(certificate) = Collection::Certificates.find(self.load_balancer, name) else {
                    return Err(self.problem(
                        ErrorKind::NotFound,
                        format!("bundle `{name}` is not on the load balancer"),
                        "it is uploaded again at the next attempt; did somebody delete it?",
                    ));
                };
                leaf(certificate).and_then(|leaf| leaf.key_family)
            }
        };
        let Some(family) = family else { return Ok(()) };
        let accepted = cipher_suite::accepted(self.load_balancer, suite, protocols);
        if accepted.accepts(family) {
            return Ok(());
        }
        let protocols = if protocols.is_empty() { "OCI's default protocols".to_owned() } else { protocols.join(", ") };
        Err(self.problem(
            ErrorKind::Invalid,
            format!("cipher suite `{suite}` with {protocols} cannot serve the {family} key of {}", to_serve.reference),
            "choose a suite that has such ciphers (`oci-tls-12-13-wider-ssl-cipher-suite-v1` has both), or another `key:` \
             for the certificate",
        ))
    }

    /// OCI takes the CA certificates for client verification from the bundle, and what certferry makes has none.
    fn check_peer_verification(&self, ssl: &Value, reference: Reference<'_>) -> Result<(), Problem> {
        let has_ca = match reference {
            Reference::Bundle(name) => Collection::Certificates
                .find(self.load_balancer, name)
                .is_some_and(|certificate| text(certificate, "caCertificate").is_some()),
            Reference::Certificate(_) => false,
        };
        if !flag(ssl, "verifyPeerCertificate") || has_ca || !texts(ssl, "trustedCertificateAuthorityIds").is_empty() {
            return Ok(());
        }
        Err(self.problem(
            ErrorKind::Invalid,
            "it verifies its peers with the CA certificates inside its bundle, and the new bundle has none",
            "move the CA certificates to trustedCertificateAuthorityIds (a CA bundle of the Certificates service), or turn \
             peer verification off",
        ))
    }

    /// Whether another listener leaves room on the port.
    fn check_port(&self, new: &NewListener) -> Result<(), Problem> {
        for (name, listener) in listeners_on(self.load_balancer, new.port) {
            if texts(listener, "hostnameNames").is_empty() {
                return Err(self.problem(
                    ErrorKind::Invalid,
                    format!("port {} is taken by listener `{name}`, which answers for all host names", new.port),
                    format!("deploy to `{name}` instead, or give it host names first"),
                ));
            }
            let Some(ssl) = ssl(listener) else { continue };
            let mut theirs = texts(ssl, "protocols");
            let mut ours: Vec<&str> = new.protocols.iter().map(String::as_str).collect();
            theirs.sort_unstable();
            ours.sort_unstable();
            if !theirs.is_empty() && !ours.is_empty() && theirs != ours {
                return Err(self.problem(
                    ErrorKind::Invalid,
                    format!(
                        "listener `{name}` on the same port has protocols {}; OCI wants them equal",
                        theirs.join(", ")
                    ),
                    format!("write `protocols: [{}]` under `create`", theirs.join(", ")),
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUITE: &str = "oci-tls-12-13-wider-ssl-cipher-suite-v1";

    fn certificate(ecdsa: bool) -> Value {
        let algorithm = if ecdsa { &rcgen::PKCS_ECDSA_P256_SHA256 } else { &rcgen::PKCS_RSA_SHA256 };
        let key = rcgen::KeyPair::generate_for(algorithm).unwrap();
        let params = rcgen::CertificateParams::new(vec!["www.some-domain.com".to_owned()]).unwrap();
        json!({"publicCertificate": params.self_signed(&key).unwrap().pem(), "caCertificate": null})
    }

    fn load_balancer() -> Value {
        json!({
            "certificates": {"old": certificate(true), "new": certificate(true)},
            "sslCipherSuites": {
                SUITE: {"name": SUITE, "ciphers": ["TLS_AES_128_GCM_SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256", "AES128-SHA"]},
                cipher_suite::DEFAULT: {"ciphers": ["ECDHE-RSA-AES128-GCM-SHA256"]}},
            "backendSets": {"app": {"name": "app", "policy": "IP_HASH", "fromTheFuture": {"a": null, "b": [1]},
                "backends": [{"name": "10.0.0.5:80", "ipAddress": "10.0.0.5", "port": 80, "weight": 3}],
                "sslConfiguration": {"certificateName": "old", "cipherSuiteName": SUITE, "verifyDepth": 3}}},
            "listeners": {"https": {"name": "https", "defaultBackendSetName": "app", "port": 443, "protocol": "HTTP",
                "hostnameNames": ["www"], "ruleSetNames": [], "routingPolicyName": "rp", "pathRouteSetName": null,
                "fromTheFuture": {"x": [1, {"y": null}]}, "connectionConfiguration": {"idleTimeout": 300},
                "sslConfiguration": {"certificateName": "old", "certificateIds": [], "verifyDepth": 1,
                    "verifyPeerCertificate": false, "protocols": ["TLSv1.2", "TLSv1.3"], "cipherSuiteName": SUITE,
                    "serverOrderPreference": "ENABLED", "hasSessionResumption": true, "new": 7}}},
        })
    }

    fn https() -> Place {
        Place::Listener("https".parse().unwrap())
    }

    fn bundle(name: &str) -> ToServe<'_> {
        ToServe { reference: Reference::Bundle(name), family: None }
    }

    fn certificate_of_the_service(family: KeyFamily) -> ToServe<'static> {
        ToServe { reference: Reference::Certificate("ocid1.certificate.x"), family: Some(family) }
    }

    fn body(change: Change) -> Value {
        serde_json::from_slice(&change.body.unwrap()).unwrap()
    }

    #[test]
    fn a_listener_keeps_all_but_its_certificate() {
        let change = bind(&load_balancer(), &https(), bundle("new")).unwrap().unwrap();
        assert_eq!(change.path, ["listeners", "https"]);
        assert_eq!(
            body(change),
            json!({"defaultBackendSetName": "app", "port": 443, "protocol": "HTTP", "hostnameNames": ["www"],
                "routingPolicyName": "rp", "fromTheFuture": {"x": [1, {}]}, "connectionConfiguration": {"idleTimeout": 300},
                "sslConfiguration": {"certificateName": "new", "verifyDepth": 1, "verifyPeerCertificate": false,
                    "protocols": ["TLSv1.2", "TLSv1.3"], "cipherSuiteName": SUITE, "serverOrderPreference": "ENABLED",
                    "hasSessionResumption": true, "new": 7}})
        );
        assert!(bind(&load_balancer(), &https(), bundle("old")).unwrap().is_none());
    }

    #[test]
    fn a_backend_set_keeps_all_but_its_certificate() {
        let change = bind(&load_balancer(), &Place::BackendSet("app".to_owned()), bundle("new")).unwrap().unwrap();
        assert_eq!(change.operation, "UpdateBackendSet");
        assert_eq!(
            body(change),
            json!({"policy": "IP_HASH", "fromTheFuture": {"b": [1]},
                "backends": [{"ipAddress": "10.0.0.5", "port": 80, "weight": 3}],
                "sslConfiguration": {"certificateName": "new", "cipherSuiteName": SUITE, "verifyDepth": 3}})
        );
    }

    #[test]
    fn what_cannot_be_bound_is_refused_with_the_way_out() {
        let cases: [(&str, Value, &str); 5] = [
            (
                "/listeners/https/sslConfiguration/cipherSuiteName",
                json!(cipher_suite::CUSTOMIZED),
                "does not take back",
            ),
            ("/listeners/https/sslConfiguration/cipherSuiteName", json!(null), "cannot serve the ECDSA key"),
            ("/listeners/https/sslConfiguration/verifyPeerCertificate", json!(true), "verifies its peers"),
            ("/listeners/https/sslConfiguration", json!(null), "no SSL configuration"),
            ("/certificates/new", json!(null), "`new` is not on the load balancer"),
        ];
        for (pointer, value, said) in cases {
            let mut load_balancer = load_balancer();
            *load_balancer.pointer_mut(pointer).unwrap() = value;
            let problem = bind(&load_balancer, &https(), bundle("new")).err().unwrap();
            assert!(problem.said.contains(said) && !problem.hint.is_empty(), "{pointer}: {problem:?}");
        }
        let problem = bind(&load_balancer(), &Place::Listener("web".parse().unwrap()), bundle("new")).err().unwrap();
        assert_eq!((problem.kind, problem.hint.as_str()), (ErrorKind::NotFound, "there are: https"));
    }

    #[test]
    fn a_listener_moves_to_the_certificates_service_and_back_and_keeps_all_else() {
        let change = bind(&load_balancer(), &https(), certificate_of_the_service(KeyFamily::Ecdsa)).unwrap().unwrap();
        assert!(change.refers_to_certificate());
        let moved = body(change);
        let mut ssl = moved["sslConfiguration"].clone();
        assert_eq!(ssl["certificateIds"], json!(["ocid1.certificate.x"]));
        assert_eq!(ssl.get("certificateName"), None);
        ssl.as_object_mut().unwrap().remove("certificateIds");
        let mut before = load_balancer()["listeners"]["https"]["sslConfiguration"].take();
        before.as_object_mut().unwrap().retain(|field, _| !field.starts_with("certificate"));
        assert_eq!(ssl, before);
        let mut there = load_balancer();
        there["listeners"]["https"]["sslConfiguration"] = moved["sslConfiguration"].clone();
        assert!(bind(&there, &https(), certificate_of_the_service(KeyFamily::Ecdsa)).unwrap().is_none());
        let back = bind(&there, &https(), bundle("old")).unwrap().unwrap();
        assert!(!back.refers_to_certificate());
        let back = body(back);
        assert_eq!(back["sslConfiguration"]["certificateName"], "old");
        assert_eq!(back["sslConfiguration"].get("certificateIds"), None);
    }

    #[test]
    fn a_key_of_the_certificates_service_must_fit_the_cipher_suite_too() {
        let mut load_balancer = load_balancer();
        load_balancer["listeners"]["https"]["sslConfiguration"]["cipherSuiteName"] = json!(null);
        let problem = bind(&load_balancer, &https(), certificate_of_the_service(KeyFamily::Ecdsa)).err().unwrap();
        assert!(problem.said.contains("cannot serve the ECDSA key of certificate ocid1.certificate.x"), "{problem:?}");
    }

    fn new_listener() -> NewListener {
        NewListener {
            port: 8443,
            backend_set: "app".to_owned(),
            protocols: vec!["TLSv1.2".to_owned()],
            cipher_suite: Some(SUITE.to_owned()),
        }
    }

    #[test]
    fn a_listener_is_created_as_described() {
        let change = create_listener(&load_balancer(), "shop", &new_listener(), bundle("new")).unwrap().unwrap();
        assert_eq!(
            body(change),
            json!({"name": "shop", "defaultBackendSetName": "app", "port": 8443, "protocol": "HTTP",
                "sslConfiguration": {"certificateName": "new", "verifyPeerCertificate": false, "protocols": ["TLSv1.2"],
                    "cipherSuiteName": SUITE}})
        );
        assert!(create_listener(&load_balancer(), "https", &new_listener(), bundle("new")).unwrap().is_none());
    }

    #[test]
    fn a_listener_that_cannot_be_created_is_refused_with_the_way_out() {
        let cases: [(NewListener, &str); 4] = [
            (NewListener { backend_set: "b".to_owned(), ..new_listener() }, "backend set `b` is not there"),
            (NewListener { cipher_suite: None, ..new_listener() }, "cannot serve the ECDSA key"),
            (NewListener { port: 443, ..new_listener() }, "has protocols TLSv1.2, TLSv1.3"),
            (NewListener { port: 444, ..new_listener() }, "port 444 is taken by listener `all`"),
        ];
        let mut load_balancer = load_balancer();
        load_balancer["listeners"]["all"] = json!({"port": 444});
        for (new, said) in cases {
            let problem = create_listener(&load_balancer, "shop", &new, bundle("new")).err().unwrap();
            assert!(problem.said.contains(said), "{problem:?}");
        }
    }
}
