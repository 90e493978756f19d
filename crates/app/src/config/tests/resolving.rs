//! What a good config becomes.

use std::path::Path;
use std::time::Duration;

use certferry_core::KeyType;
use certferry_core::desired::RenewedBy;
use certferry_providers::load_balancer::oci::{Auth, HealthCheck, Hold};
use proptest::prelude::*;

use super::Folder;
use crate::config::{Config, Provider, parse};

const FULL: &str = "\
state: { url: 'sqlite:state/certs.db', key-file: ~/seal.key }
responder: { listen: '127.0.0.1:18088' }
issuers:
  private:
    directory: https://ca.internal/acme
    contact: [ops@some-domain.com, 'mailto:on-call@some-domain.com']
    eab: { kid: kid-1, hmac-key: env:EAB_KEY }
    profile: tlsserver
  letsencrypt: { directory: letsencrypt }
load-balancers:
  front:
    verify-within: 90s
    oci:
      load-balancer-id: ocid1.loadbalancer.oc1.iad.example
      auth: { api-key: { config-file: .oci/config, profile: LAB } }
      endpoint: http://127.0.0.1:9000
      http01:
        listener: web
        responder: 10.0.0.4:8088
        backend-set: acme
        health-check: tcp/22
        probe: ['127.0.0.1:18080']
        self-check-within: 1m 30s
  second:
    oci: { load-balancer-id: ocid1.loadbalancer.oc1.iad.second }
certificates:
  www:
    names: [WWW.some-domain.com, some-domain.com., www.some-domain.com]
    issuer: private
    key: rsa-3072
    deploy:
      - { load-balancer: front, listener: https, probe: ['127.0.0.1:18443'] }
      - { load-balancer: second, listener: https }
  shop:
    names: [shop.some-domain.com]
    issuer: letsencrypt
    http01: front
    deploy:
      - load-balancer: second
        listener: 'Shop (new)'
        create: { port: 8443, backend-set: shop, protocols: [TLSv1.2, TLSv1.3], cipher-suite: modern }
";

fn oci(config: &Config, name: &str) -> certferry_providers::load_balancer::oci::OciConfig {
    match &config.load_balancers[name].provider {
        Provider::Oci(oci) => (**oci).clone(),
        other => panic!("{other:?} is no OCI load balancer"),
    }
}

#[test]
fn everything_written_arrives() {
    let folder = Folder::new().with_variable("EAB_KEY", "c2VjcmV0\n");
    let config = folder.load(FULL).unwrap();
    assert_eq!(config.state.database, folder.path().join("state/certs.db"));
    assert_eq!(config.state.key_file, folder.path().join("seal.key"));
    assert_eq!(config.responder, "127.0.0.1:18088".parse().unwrap());

    let private = &config.issuers["private"];
    assert_eq!(private.directory.as_str(), "https://ca.internal/acme");
    let contact: Vec<&str> = private.contact.iter().map(|contact| contact.as_str()).collect();
    assert_eq!(contact, ["mailto:ops@some-domain.com", "mailto:on-call@some-domain.com"]);
    assert_eq!(private.external_account.as_ref().unwrap().key_id(), "kid-1");
    assert_eq!(config.issuers["letsencrypt"].directory.as_str(), "https://acme-v02.api.letsencrypt.org/directory");

    let front = oci(&config, "front");
    assert_eq!(front.load_balancer_id.as_str(), "ocid1.loadbalancer.oc1.iad.example");
    let Auth::ApiKey(key) = &front.access.auth else { panic!("{:?}", front.access.auth) };
    assert_eq!((&key.config_file, key.profile.as_str()), (&folder.path().join(".oci/config"), "LAB"));
    assert_eq!(front.access.endpoint.unwrap().to_string(), "http://127.0.0.1:9000/");
    let http01 = front.http01.unwrap();
    assert_eq!((http01.listener.as_str(), http01.backend_set.as_str()), ("web", "acme"));
    assert_eq!(http01.responder, "10.0.0.4:8088".parse().unwrap());
    assert_eq!(http01.health_check, HealthCheck::TcpPort(22));
    assert_eq!(http01.probe, ["127.0.0.1:18080".parse().unwrap()]);

    let spec = config.desired.load_balancers["front"];
    assert_eq!((spec.verify_within, spec.self_check_within), (Duration::from_secs(90), Duration::from_secs(90)));

    let [www, shop] = config.desired.certificates.as_slice() else { panic!("two certificates") };
    let names: Vec<String> = www.version.names.iter().map(|name| name.to_string()).collect();
    assert_eq!(names, ["some-domain.com", "www.some-domain.com"]);
    assert_eq!((www.version.key, www.version.profile.as_deref()), (KeyType::Rsa3072, Some("tlsserver")));
    assert_eq!(www.http01.iter().map(|name| name.as_str()).collect::<Vec<_>>(), ["front"]);
    assert_eq!(www.deploy[0].probe, ["127.0.0.1:18443".parse().unwrap()]);
    assert_eq!((shop.version.key, shop.version.profile.as_deref()), (KeyType::EcdsaP256, None));
    assert_eq!(shop.http01.iter().map(|name| name.as_str()).collect::<Vec<_>>(), ["front"]);
    assert!(shop.deploy[0].create && !www.deploy[0].create);
    let created = &oci(&config, "second").create["Shop (new)"];
    assert_eq!((created.port, created.backend_set.as_str(), created.protocols.len()), (8443, "shop", 2));
}

#[test]
fn addresses_are_names_where_the_ca_issues_for_them() {
    let config = |issuer: &str| {
        Folder::new().load(&format!(
            "issuers: {{ ca: {{ {issuer} }} }}\nload-balancers:\n  front:\n    oci:\n      load-balancer-id: \
             ocid1.loadbalancer.oc1.iad.example\n      http01: {{ responder: 10.0.0.4:8080 }}\ncertificates:\n  www:\n    \
             names: [192.0.2.7, '2001:DB8:0::7', www.some-domain.com, '2001:db8::7']\n    deploy:\n      - {{ load-balancer: \
             front, listener: https }}\n"
        ))
    };
    for issuer in [
        "directory: letsencrypt, profile: shortlived",
        "directory: letsencrypt-staging, profile: { prefer: shortlived }",
        "directory: 'https://ca.internal/acme'",
    ] {
        let config = config(issuer).unwrap_or_else(|error| panic!("{issuer}: {error}"));
        let names: Vec<String> = config.desired.certificates[0].version.names.iter().map(ToString::to_string).collect();
        assert_eq!(names, ["www.some-domain.com", "192.0.2.7", "2001:db8::7"]);
    }
    assert!(config("directory: letsencrypt, profile: classic").is_err());
}

#[test]
fn what_the_certificates_service_holds_may_take_longer_to_be_served() {
    let with = |lines: &str| {
        let text = format!(
            "issuers: {{ letsencrypt: {{ directory: letsencrypt }} }}\nload-balancers:\n  front:\n    oci:\n      \
             load-balancer-id: ocid1.loadbalancer.oc1.iad.x\n      http01: {{ responder: 10.0.0.4:8080 }}\n{lines}\
             certificates:\n  www:\n    names: [www.some-domain.com]\n    deploy: [{{ load-balancer: front, listener: \
             https }}]\n"
        );
        let config = Folder::new().load(&text).unwrap();
        (oci(&config, "front").hold, config.desired.load_balancers["front"].verify_within)
    };
    let service = |compartment: Option<&str>| Hold::CertificatesService { compartment: compartment.map(str::to_owned) };
    let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
    assert_eq!(with(""), (Hold::LoadBalancer, minutes(2)));
    assert_eq!(with("      hold: load-balancer\n"), (Hold::LoadBalancer, minutes(2)));
    assert_eq!(with("      hold: certificates-service\n"), (service(None), minutes(15)));
    let elsewhere =
        "      hold: certificates-service\n      compartment: ocid1.compartment.oc1..c\n    verify-within: 5m\n";
    assert_eq!(with(elsewhere), (service(Some("ocid1.compartment.oc1..c")), minutes(5)));
}

#[test]
fn what_certbot_renews_needs_no_issuer_and_no_path() {
    let text = "load-balancers: { bare: { oci: { load-balancer-id: ocid1.loadbalancer.oc1.iad.bare } } }\n\
                certificates:\n  www:\n    names: [www.some-domain.com]\n    renewed-by: certbot\n    \
                deploy: [{ load-balancer: bare, listener: https }]\n";
    let config = Folder::new().load(text).unwrap();
    let www = &config.desired.certificates[0];
    assert_eq!((www.renewed_by, www.version.issuer.as_str()), (RenewedBy::Certbot, "certbot"));
    assert!(www.http01.is_empty() && config.issuers.is_empty());
}

#[test]
fn what_is_left_out_has_its_default() {
    let folder = Folder::new();
    let config = folder.load(crate::config::reference::EXAMPLE).unwrap();
    assert_eq!(config.state.database, folder.path().join("certferry.db"));
    assert_eq!(config.state.key_file, folder.path().join("certferry.key"));
    assert_eq!(config.responder, "0.0.0.0:8080".parse().unwrap());
    let front = oci(&config, "front");
    assert!(matches!(&front.access.auth, Auth::ApiKey(key) if key.config_file == folder.path().join(".oci/config")));
    assert_eq!(front.http01.unwrap().listener.as_str(), "http");
    assert_eq!(config.desired.load_balancers["front"], Default::default());
}

#[test]
fn principals_are_told_what_the_environment_says() {
    let folder = Folder::new()
        .with_variable("OCI_METADATA_BASE_URL", "http://127.0.0.1:9/opc/v2")
        .with_variable("OCI_SDK_AUTH_CLIENT_REGION_URL", "http://127.0.0.1:9")
        .with_variable("OCI_RESOURCE_PRINCIPAL_VERSION", "2.2")
        .with_variable("OCI_RESOURCE_PRINCIPAL_RPST", "/run/hunter2")
        .with_variable("OCI_RESOURCE_PRINCIPAL_REGION", "us-ashburn-1")
        .with_variable("OCI_DEFAULT_REALM", "some-domain.com");
    let auth = |way: &str| {
        let text =
            FULL.replace("auth: { api-key: { config-file: .oci/config, profile: LAB } }", &format!("auth: {way}"));
        oci(&folder.load(&text.replace("eab: { kid: kid-1, hmac-key: env:EAB_KEY }", "")).unwrap(), "front")
    };
    let instance = auth("instance-principal");
    assert_eq!(instance.access.custom_regions.default_domain.as_deref(), Some("some-domain.com"));
    let Auth::InstancePrincipal(places) = instance.access.auth else { panic!("{:?}", instance.access.auth) };
    assert_eq!(places.metadata_base_url.as_deref(), Some("http://127.0.0.1:9/opc/v2"));
    assert_eq!(places.auth_url.as_deref(), Some("http://127.0.0.1:9"));
    let Auth::ResourcePrincipal(given) = auth("resource-principal").access.auth else { panic!("another way") };
    assert_eq!((given.version.as_deref(), given.region.as_deref()), (Some("2.2"), Some("us-ashburn-1")));
    assert!(given.session_token.as_ref().is_some_and(|token| token.expose() == "/run/hunter2"));
    assert!(given.private_key.is_none() && !format!("{given:?}").contains("hunter2"));
    let Auth::SessionToken(session) = auth("{ session-token: { profile: me } }").access.auth else {
        panic!("another way")
    };
    assert_eq!((session.config_file, session.profile.as_str()), (folder.path().join(".oci/config"), "me"));
}

#[test]
fn a_credential_of_systemds_may_show_the_groups_bit_and_no_other() {
    for (mode, in_credentials, expected) in [
        (0o400, true, true),
        (0o440, true, true),
        (0o460, true, false),
        (0o444, true, false),
        (0o441, true, false),
        (0o400, false, true),
        (0o440, false, false),
    ] {
        let folder = Folder::new().with_file("accounts.json", "{}", mode).with_file("api.pem", "", 0o644);
        let folder = folder.with_file("api.key", "", mode);
        let directory = if in_credentials { folder.path() } else { Path::new("/run/credentials/absent.service") };
        let directory = directory.to_str().unwrap().to_owned();
        let folder = folder.with_variable("CREDENTIALS_DIRECTORY", &directory);
        for held in [
            "dns: { auth: { acme-dns: { server: 'https://auth.some-domain.com', accounts: accounts.json } } }",
            "api: { url: 'https://certferry.some-domain.com', certificate: api.pem, key: api.key }",
        ] {
            let loaded = folder.load(&format!("{held}\ncertificates: {{}}\n"));
            assert_eq!(loaded.is_ok(), expected, "{mode:o} {in_credentials} {held}: {loaded:?}");
        }
    }
}

#[test]
fn the_apis_own_pair_is_beside_the_database_unless_there_is_one_beside_the_config() {
    let text = "state: { url: 'sqlite:state/certferry.db' }\napi: { url: 'https://certferry.some-domain.com' }\n\
                certificates: {}\n";
    let pair = |folder: &Folder| {
        let api = folder.load(text).unwrap().api.unwrap();
        assert!(api.self_made);
        let relative = |path: &Path| path.strip_prefix(folder.path()).unwrap().to_str().unwrap().to_owned();
        [relative(&api.certificate), relative(&api.key)]
    };
    assert_eq!(pair(&Folder::new()), ["state/certferry-api.pem", "state/certferry-api.key"]);
    let earlier =
        Folder::new().with_file("certferry-api.pem", "pem", 0o644).with_file("certferry-api.key", "key", 0o600);
    assert_eq!(pair(&earlier), ["certferry-api.pem", "certferry-api.key"]);
    let half = Folder::new().with_file("certferry-api.key", "key", 0o600);
    assert_eq!(pair(&half), ["state/certferry-api.pem", "state/certferry-api.key"], "nobody trusts a key alone");
}

#[test]
fn no_certificates_are_a_config_too() {
    let config = Folder::new().load("certificates:\n").unwrap();
    assert!(config.desired.certificates.is_empty());
    assert!(Folder::new().load("certificates: {}\n").is_ok());
}

#[test]
fn what_nothing_uses_is_a_warning() {
    let folder = Folder::new();
    let text = crate::config::reference::EXAMPLE
        .replace("load-balancers:\n", "  spare: { directory: letsencrypt-staging }\nload-balancers:\n")
        .replace("    deploy:\n", "    issuer: letsencrypt\n    deploy:\n");
    let config = folder.load(&text).unwrap();
    insta::assert_snapshot!(folder.shown(&config.warnings.to_string()));
}

#[test]
fn aliases_and_anchors_work_and_point_at_their_use() {
    let text = crate::config::reference::EXAMPLE.replace(
        "    deploy:\n      - { load-balancer: front, listener: https }",
        "    deploy: &places\n      - { load-balancer: front, listener: https }",
    ) + "  other:\n    names: [other.some-domain.com]\n    deploy: *places\n";
    let folder = Folder::new();
    insta::assert_snapshot!(folder.complaint(&text));
}

#[test]
fn a_big_config_is_read() {
    use std::fmt::Write as _;

    let mut text = crate::config::reference::EXAMPLE.to_owned();
    for number in 0..20_000 {
        let _ = writeln!(
            text,
            "  c{number}:\n    names: [a{number}.some-domain.com, b{number}.some-domain.com]\n    \
             deploy: [{{ load-balancer: front, listener: l{number}, probe: ['127.0.0.1:443'] }}]"
        );
    }
    assert_eq!(Folder::new().load(&text).unwrap().desired.certificates.len(), 20_002);
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "(.|\n){0,300}") {
        let _ = parse(&text);
    }

    #[test]
    fn no_mutation_of_the_example_makes_it_panic(
        at in any::<prop::sample::Index>(),
        with in "[-:{}\\[\\]&*\"'a~\n\t ]{0,3}",
        cut in 0_usize..20,
    ) {
        let example = crate::config::reference::EXAMPLE;
        let start = at.index(example.len());
        let end = (start + cut).min(example.len());
        let text = format!("{}{with}{}", &example[..start], &example[end..]);
        if let Err(error) = Folder::new().load(&text) {
            prop_assert!(!error.to_string().is_empty());
        }
    }
}
