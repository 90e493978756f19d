//! The text of every error, as a terminal shows it. Read the snapshots as somebody who has made that mistake.

use super::Folder;

/// Everything but the certificates.
const HEAD: &str = "\
issuers:
  letsencrypt:
    directory: letsencrypt
load-balancers:
  front:
    oci:
      load-balancer-id: ocid1.loadbalancer.oc1.iad.example
      http01: { responder: 10.0.0.4:8080 }
";

const CERTIFICATES: &str = "\
certificates:
  www:
    names: [www.some-domain.com]
    deploy:
      - { load-balancer: front, listener: https }
";

/// One config per mistake: what the mistake is, and the config.
type Cases<'a> = &'a [(&'a str, String)];

fn told(folder: &Folder, cases: Cases<'_>) -> String {
    let told = cases.iter().map(|(mistake, config)| format!("# {mistake}\n{}\n", folder.complaint(config)));
    told.collect::<Vec<_>>().join("\n")
}

fn head(old: &str, new: &str) -> String {
    assert!(HEAD.contains(old), "{old}");
    format!("{}{CERTIFICATES}", HEAD.replace(old, new))
}

fn certificates(old: &str, new: &str) -> String {
    assert!(CERTIFICATES.contains(old), "{old}");
    format!("{HEAD}{}", CERTIFICATES.replace(old, new))
}

#[test]
fn yaml_and_keys() {
    let cases = [
        ("an empty file", String::new()),
        ("no certificates", HEAD.to_owned()),
        ("text where a block belongs", format!("{HEAD}certificates: www\n")),
        ("a list where a map belongs", format!("{HEAD}certificates:\n  - names: [www.some-domain.com]\n")),
        ("text where a list belongs", certificates("[www.some-domain.com]", "www.some-domain.com")),
        ("a number where text belongs in a list", certificates("[www.some-domain.com]", "[[a]]")),
        ("an unknown key at the top", format!("{HEAD}{CERTIFICATES}certificate: {{}}\n")),
        ("an unknown key in a flow map", certificates("listener: https", "listner: https")),
        ("an underscore for a dash", certificates("load-balancer: front", "load_balancer: front")),
        ("an unknown provider", head("oci:", "haproxy:")),
        ("a key that is missing", certificates(", listener: https", "")),
        ("create without a port", certificates("https }", "https, create: { backend-set: app } }")),
        ("a port that is text", certificates("https }", "https, create: { port: https, backend-set: app } }")),
        ("a key twice", certificates("    names:", "    key: rsa-2048\n    key: rsa-2048\n    names:")),
        ("a certificate twice", format!("{HEAD}{CERTIFICATES}  www:\n    names: [a.some-domain.com]\n")),
        ("a load balancer twice", head("  front:\n", "  front: {}\n  front:\n")),
        ("a bracket that does not close", certificates("[www.some-domain.com]", "[www.some-domain.com")),
        ("a tab", certificates("    names:", "\tnames:")),
        ("wrong indentation", certificates("    deploy:", "   deploy:")),
        ("a second document", format!("{HEAD}{CERTIFICATES}---\na: b\n")),
        ("an unknown anchor", certificates("[www.some-domain.com]", "*names")),
        ("an unknown kind of authentication", head("      http01", "      auth: instance-principle\n      http01")),
        ("an unknown block of authentication", head("      http01", "      auth: { key: {} }\n      http01")),
        ("an unknown key of an API key", head("      http01", "      auth: { api-key: { config: x } }\n      http01")),
        ("an API key as a word", head("      http01", "      auth: api-key\n      http01")),
    ];
    insta::assert_snapshot!(told(&Folder::new(), &cases));
}

#[test]
fn references() {
    let two = "  letsencrypt:\n    directory: letsencrypt\n  staging:\n    directory: letsencrypt-staging\n";
    let one = "  letsencrypt:\n    directory: letsencrypt\n";
    let bare = "  bare:\n    oci: { load-balancer-id: ocid1.loadbalancer.oc1.iad.bare }\n";
    let cases = [
        ("an issuer that is not there", certificates("    names", "    issuer: letsencript\n    names")),
        ("no issuer at all", head("issuers:\n  letsencrypt:\n    directory: letsencrypt\n", "")),
        ("two issuers, none chosen", head(one, two)),
        ("a load balancer that is not there", certificates("load-balancer: front", "load-balancer: frond")),
        ("http01 through what is not there", certificates("    names", "    http01: edge\n    names")),
        (
            "http01 through a load balancer without it",
            format!("{HEAD}{bare}{}", CERTIFICATES.replace("    names", "    http01: bare\n    names")),
        ),
        ("no way for http-01", head("      http01: { responder: 10.0.0.4:8080 }\n", "")),
        ("deployed nowhere", format!("{HEAD}certificates:\n  www:\n    names: [www.some-domain.com]\n")),
        (
            "one listener, two certificates",
            format!("{HEAD}{CERTIFICATES}{}", CERTIFICATES.replace("certificates:\n  www:", "  shop:")),
        ),
        (
            "one listener twice",
            certificates(
                "listener: https }\n",
                "listener: https }\n      - { load-balancer: front, listener: https }\n",
            ),
        ),
        (
            "two mistakes at once",
            head("directory: letsencrypt", "directory: http://some-domain.com").replace("https }", "\"\" }"),
        ),
    ];
    insta::assert_snapshot!(told(&Folder::new(), &cases));
}

#[test]
fn one_load_balancer_by_two_names() {
    let oci = |id: &str| format!("    oci: {{ load-balancer-id: {id} }}\n");
    let avi = |controller: &str, rest: &str| {
        format!("    avi: {{ controller: '{controller}', username: certferry, password: env:AVI_PASSWORD{rest} }}\n")
    };
    let config = |second: String| {
        let edge = avi("https://avi.some-domain.com", "");
        format!("load-balancers:\n  front:\n{}  edge:\n{edge}  second:\n{second}certificates: {{}}\n", oci(FRONT))
    };
    let folder = Folder::new().with_variable("AVI_PASSWORD", "hunter2");
    for other in [
        oci("ocid1.loadbalancer.oc1.iad.other"),
        avi("https://avi.some-domain.com", ", tenant: web"),
        avi("https://avi.some-domain.com:8443", ""),
    ] {
        assert!(folder.load(&config(other.clone())).is_ok(), "{other}");
    }
    let cases = [
        ("one OCID", config(oci(FRONT))),
        ("one controller and tenant", config(avi("https://AVI.some-domain.com:443/", ", tenant: admin"))),
    ];
    insta::assert_snapshot!(told(&folder, &cases));
}

const FRONT: &str = "ocid1.loadbalancer.oc1.iad.front";

#[test]
fn values() {
    let http01 = "http01: { responder: 10.0.0.4:8080 }";
    let responder = |value: &str| head("10.0.0.4:8080", value);
    let within = |value: &str| head("    oci:\n", &format!("    verify-within: {value}\n    oci:\n"));
    let listen = |value: &str| format!("responder: {{ listen: {value} }}\n{HEAD}{CERTIFICATES}");
    let state = |value: &str| format!("state: {{ url: \"{value}\" }}\n{HEAD}{CERTIFICATES}");
    let cases = [
        ("no names", certificates("[www.some-domain.com]", "[]")),
        ("a wildcard", certificates("[www.some-domain.com]", "[some-domain.com, \"*.some-domain.com\"]")),
        (
            "an address by the default profile",
            certificates("[www.some-domain.com]", "[www.some-domain.com, 192.0.2.7]"),
        ),
        (
            "an address by another profile",
            head("directory: letsencrypt", "directory: letsencrypt-staging\n    profile: tlsserver")
                .replace("[www.some-domain.com]", "['2001:db8::7']"),
        ),
        ("an address that is nobody's", certificates("[www.some-domain.com]", "[0.0.0.0]")),
        ("an address in brackets", certificates("[www.some-domain.com]", "['[2001:db8::7]']")),
        ("an address with a number too big", certificates("[www.some-domain.com]", "[192.0.2.700]")),
        ("a network as a name", certificates("[www.some-domain.com]", "[192.0.2.0/24]")),
        ("an international name", certificates("[www.some-domain.com]", "[bücher.some-domain.com]")),
        ("a URL as a name", certificates("[www.some-domain.com]", "[\"https://some-domain.com/\"]")),
        ("a certificate's name", certificates("  www:", "  \"my shop\":")),
        ("a key type", certificates("    names", "    key: ecdsa-256\n    names")),
        ("a directory's name", head("directory: letsencrypt", "directory: lets-encrypt")),
        ("a directory over http", head("directory: letsencrypt", "directory: http://ca.some-domain.com/directory")),
        (
            "a directory with a password",
            head("directory: letsencrypt", "directory: https://me:hunter2@ca.some-domain.com"),
        ),
        ("a directory of another kind", head("directory: letsencrypt", "directory: ldap://ca.some-domain.com")),
        ("a contact", head("directory: letsencrypt", "directory: letsencrypt\n    contact: [ops]")),
        ("an OCID of another kind", head("ocid1.loadbalancer.oc1", "ocid1.networkloadbalancer.oc1")),
        ("an endpoint over http", head(http01, &format!("endpoint: http://iaas.some-domain.com\n      {http01}"))),
        ("a responder without a port", responder("10.0.0.4")),
        ("a responder by name", responder("acme.internal:8080")),
        ("a responder at no address", responder("0.0.0.0:8080")),
        ("a health check", responder("10.0.0.4:8080, health-check: tcp/ssh")),
        ("a backend set's name", responder("10.0.0.4:8080, backend-set: certferry.acme")),
        ("a listen address without an address", listen("\":8080\"")),
        ("a listen address with port 0", listen("127.0.0.1:0")),
        ("a duration without a unit", within("90")),
        ("a duration in words", within("soon")),
        ("a duration that is too long", within("30h")),
        ("a port of a new listener", certificates("https }", "https, create: { port: 70000, backend-set: app } }")),
        (
            "a new listener that cannot serve ECDSA",
            certificates("https }", "https, create: { port: 443, backend-set: app } }"),
        ),
        (
            "a new listener that cannot speak TLS 1.3",
            certificates("https }", "https, create: { port: 443, backend-set: app, protocols: [TLSv1.3] } }")
                .replace("    names", "    key: rsa-2048\n    names"),
        ),
        (
            "a TLS version",
            certificates(
                "https }",
                "https, create: { port: 443, backend-set: app, protocols: [TLS1.2], cipher-suite: x } }",
            ),
        ),
        ("a state in memory", state("sqlite::memory:")),
        ("a state without a scheme", state("certferry.db")),
        ("a state with options", state("sqlite:certferry.db?mode=ro")),
    ];
    insta::assert_snapshot!(told(&Folder::new(), &cases));
}

#[test]
fn avi() {
    let edge = |extra: &str| {
        format!(
            "{HEAD}  edge:\n    avi:\n      controller: https://avi.some-domain.com\n      username: certferry\n{extra}\
             certificates:\n  www:\n    names: [www.some-domain.com]\n    deploy:\n\
             \x20     - {{ load-balancer: edge, listener: shop-443 }}\n"
        )
    };
    let password = "      password: env:AVI_PASSWORD\n      http01: {}\n";
    let good = edge(password);
    let with = |from: &str, to: &str| good.replace(from, to);
    let script = |script: &str| format!("{password}      control-script: {script}\n");
    let api = |text: String| format!("api: {{ url: https://certferry.some-domain.com:8443 }}\n{text}");
    let second = format!(
        "{good}  other:\n    names: [other.some-domain.com]\n    deploy:\n      - {{ load-balancer: edge, listener: \
         shop-443 }}\n"
    );
    let folder = Folder::new()
        .with_variable("AVI_PASSWORD", "hunter2")
        .with_variable("SHORT", "0123456789")
        .with_variable("TOKEN", "0123456789abcdef0123456789abcdef");
    assert!(folder.load(&good).is_ok());
    assert!(
        folder.load(&second.replace("names: [other", "key: rsa-2048\n    names: [other")).is_ok(),
        "one of each kind"
    );
    assert!(folder.load(&api(edge(&script("{ token: env:TOKEN }")))).is_ok());
    let long = format!("{}.{}.some-domain.com", "x".repeat(40), "y".repeat(40));
    let cases = [
        ("neither password nor token", edge("      http01: {}\n")),
        ("both", edge(&format!("{password}      token: env:TOKEN\n"))),
        ("plain http", with("https://avi", "http://avi")),
        ("a word for port 80", with("http01: {}", "http01: { port-80: brother }")),
        ("no http01", with("      http01: {}\n", "")),
        ("a listener to create", with("shop-443 }", "shop-443, create: { port: 443, backend-set: app } }")),
        ("two certificates with one kind of key", second),
        (
            "an address alone",
            with("directory: letsencrypt", "directory: https://ca.some-domain.com/directory")
                .replace("[www.some-domain.com]", "[192.0.2.7]"),
        ),
        (
            "a profile without common name",
            with("directory: letsencrypt", "directory: letsencrypt\n    profile: tlsserver"),
        ),
        ("no name for a common name", with("[www.some-domain.com]", &format!("[{long}]"))),
        ("a key elsewhere", with("    names", "    key: { on: moon, type: rsa-2048 }\n    names")),
        ("a key of no type", with("    names", "    key: { on: controller, type: rsa-1024 }\n    names")),
        (
            "a key on an OCI load balancer",
            with("    names", "    key: { on: controller }\n    names").replace("edge, l", "front, l"),
        ),
        ("a control script without an API", edge(&script("{ token: env:TOKEN }"))),
        ("a token that is too short", api(edge(&script("{ token: env:SHORT }")))),
        ("a token in the file", api(edge(&script("{ token: 0123456789abcdef0123456789abcdef }")))),
        ("half a certificate of the API", api(good.clone()).replace("8443 }", "8443, key: api.key }")),
        ("an API without TLS", api(good.clone()).replace("https://certferry", "http://certferry")),
        ("a day that is none", format!("warning-days: [30, 0]\n{good}")),
    ];
    let told = told(&folder, &cases);
    assert!(!told.contains("hunter2") && !told.contains("0123456789abcdef"), "{told}");
    insta::assert_snapshot!(told);
}

#[test]
fn not_in_this_version() {
    let avi = "avi: { controller: https://avi.some-domain.com, username: certferry, password: env:AVI_PASSWORD, \
               http01: { port-80: sibling } }";
    let cases = [
        ("PostgreSQL", format!("state: {{ url: postgres://certferry:hunter2@db/certferry }}\n{HEAD}{CERTIFICATES}")),
        ("two kinds", head("    oci:", &format!("    {avi}\n    oci:"))),
        ("no kind", head("load-balancers:\n", "load-balancers:\n  empty:\n    verify-within: 2m\n")),
    ];
    let told = told(&Folder::new(), &cases);
    assert!(!told.contains("hunter2"), "{told}");
    insta::assert_snapshot!(told);
}

#[test]
fn certificates_service() {
    let held = |text: &str| text.replace("      http01", "      hold: certificates-service\n      http01");
    let good = held(&head("", ""));
    assert!(Folder::new().load(&good).is_ok());
    let long = format!("{}.some-domain.com", "a".repeat(60));
    let hold = |lines: &str| head("      http01", &format!("{lines}      http01"));
    let cases = [
        ("a holder that is none", hold("      hold: vault\n")),
        ("a compartment for nothing", hold("      compartment: ocid1.compartment.oc1..c\n")),
        ("a compartment that is none", hold("      hold: certificates-service\n      compartment: web\n")),
        ("a key that the service lacks", held(&certificates("    names", "    key: rsa-3072\n    names"))),
        ("no name for a common name", held(&certificates("www.some-domain.com", &long))),
        (
            "a profile without common name",
            held(&head("directory: letsencrypt", "directory: letsencrypt\n    profile: shortlived")),
        ),
    ];
    insta::assert_snapshot!(told(&Folder::new(), &cases));
}

#[test]
fn oci_auth() {
    let auth = |auth: &str| head("      http01", &format!("      auth: {auth}\n      http01"));
    let folder = Folder::new().with_variable("PHRASE", "hunter2");
    for good in [
        "instance-principal",
        "resource-principal",
        "{ session-token: { config-file: .oci/config, profile: me } }",
        "{ session-token: {} }",
        "{ api-key: {} }",
        "{ api-key: { pass-phrase: env:PHRASE } }",
    ] {
        assert!(folder.load(&auth(good)).is_ok(), "{good}");
    }
    let cases = [
        ("a way that needs more", auth("session-token")),
        ("a way that needs nothing more", auth("{ instance-principal: {} }")),
        ("a word that is none", auth("instance-principals")),
        ("a key that is none", auth("{ api-keys: {} }")),
        ("two ways", auth("{ api-key: {}, session-token: {} }")),
        ("an empty way", auth("{}")),
        ("a session's config that is not there", auth("{ session-token: { config-file: .oci/other } }")),
        ("a pass phrase in the file", auth("{ api-key: { pass-phrase: hunter2 } }")),
        ("a pass phrase that is not set", auth("{ api-key: { pass-phrase: env:OTHER } }")),
        ("a pass phrase of a session", auth("{ session-token: { pass-phrase: env:PHRASE } }")),
    ];
    let told = told(&folder, &cases);
    assert!(!told.contains("hunter2"), "{told}");
    insta::assert_snapshot!(told);
}

#[test]
fn secrets_and_files() {
    let eab = |key: &str| {
        head("directory: letsencrypt", &format!("directory: letsencrypt\n    eab: {{ kid: kid-1, {key} }}"))
    };
    let roots =
        |path: &str| head("directory: letsencrypt", &format!("directory: letsencrypt\n    trusted-roots: {path}"));
    let auth = |path: &str| {
        head("      http01", &format!("      auth: {{ api-key: {{ config-file: {path} }} }}\n      http01"))
    };
    let key = |path: &str| format!("state: {{ key-file: {path} }}\n{HEAD}{CERTIFICATES}");
    let folder = Folder::new()
        .with_variable("EMPTY", "")
        .with_variable("ODD", "not base64 at all!")
        .with_file("open.key", "k", 0o644)
        .with_file("note.txt", "no certificate", 0o644)
        .with_file("empty.txt", "\n", 0o600);
    let cases = [
        ("a secret in the file", eab("hmac-key: c2VjcmV0LXNlY3JldA")),
        ("a secret in the file, and a mistake beside it", eab("hmac_key: c2VjcmV0LXNlY3JldA")),
        ("a variable that is not set", eab("hmac-key: env:EAB_KEY")),
        ("a variable that is empty", eab("hmac-key: env:EMPTY")),
        ("a variable that holds something else", eab("hmac-key: env:ODD")),
        ("a file that is not there", eab("hmac-key: file:eab.txt")),
        ("a file that is empty", eab("hmac-key: file:empty.txt")),
        ("roots that are not there", roots("ca.pem")),
        ("roots without a certificate", roots("note.txt")),
        ("an OCI config that is not there", auth("~/.oci/other")),
        ("another user's home", auth("~root/.oci/config")),
        ("a key file that others can read", key("open.key")),
        ("a key file that is a folder", key(".oci")),
    ];
    let told = told(&folder, &cases);
    assert!(!told.contains("c2VjcmV0") && !told.contains("not base64 at all"), "{told}");
    insta::assert_snapshot!(told);
}

#[test]
fn dns() {
    let corp = "  corp:\n    rfc2136: { server: 10.0.0.53:53, tsig: { name: acme, secret: file:tsig.key } }\n";
    let www = "certificates:\n  www:\n    names: ['*.some-domain.com', some-domain.com]\n    dns01: corp\n    deploy:\n      - { \
               load-balancer: front, listener: https }\n";
    let with = |old: &str, new: &str| {
        let text = format!("{HEAD}dns:\n{corp}{www}");
        assert!(text.contains(old), "{old}");
        text.replace(old, new)
    };
    let folder =
        Folder::new().with_file("tsig.key", "c2VjcmV0LXNlY3JldA==\n", 0o600).with_file("open.json", "{}", 0o644);
    folder.load(&with("corp", "corp")).unwrap();
    let cases = [
        ("a provider that is not there", with("dns01: corp", "dns01: corb")),
        ("both ways", with("    dns01: corp", "    http01: front\n    dns01: corp")),
        ("a wildcard by http-01", with("    dns01: corp\n", "")),
        ("an address by dns-01", with("'*.some-domain.com', ", "192.0.2.7, ")),
        (
            "no kind",
            with("    rfc2136: { server: 10.0.0.53:53, tsig: { name: acme, secret: file:tsig.key } }", "    {}"),
        ),
        ("two kinds", with("  corp:\n", "  corp:\n    exec: { command: [hook] }\n")),
        ("a kind that nobody knows", with("    rfc2136:", "    route53:")),
        ("a secret in the file", with("file:tsig.key", "c2VjcmV0LXNlY3JldA==")),
        ("an algorithm that is not there", with("name: acme,", "name: acme, algorithm: hmac-sha265,")),
        ("a server by name", with("10.0.0.53:53", "ns1.some-domain.com")),
        ("a limit without a unit", with("  corp:\n", "  corp:\n    propagate-within: 120\n")),
        ("a resolver without a port", with("dns:\n", "resolvers: [10.0.0.2]\ndns:\n")),
        (
            "another kind of OCID",
            with(&corp[8..], "    oci: { auth: instance-principal, compartment: ocid1.instance.oc1.iad.x }\n"),
        ),
        ("nothing to run", with(&corp[8..], "    exec: { command: [] }\n")),
        (
            "accounts that others can read",
            with(&corp[8..], "    acme-dns: { server: https://auth.some-domain.com, accounts: open.json }\n"),
        ),
    ];
    let told = told(&folder, &cases);
    assert!(!told.contains("c2VjcmV0"), "{told}");
    insta::assert_snapshot!(told);
}

#[test]
fn renewed_by_certbot() {
    let with = |lines: &str| certificates("    deploy", &format!("    renewed-by: certbot\n{lines}    deploy"));
    let cases = [
        ("somebody unknown", certificates("    deploy", "    renewed-by: lego\n    deploy")),
        ("an issuer of certferry's", with("    issuer: letsencrypt\n")),
        ("a path for challenges", with("    http01: front\n")),
        ("a key that a controller makes", with("    key: { on: controller }\n")),
    ];
    insta::assert_snapshot!(told(&Folder::new(), &cases));
}

#[test]
fn many_mistakes_are_counted() {
    let mut text = format!("{HEAD}certificates:\n");
    for number in 0..60 {
        text.push_str(&format!("  c{number}: {{ names: [] }}\n"));
    }
    let told = Folder::new().complaint(&text);
    assert!(told.ends_with("and 70 more"), "{told}");
}

#[test]
fn no_file() {
    let folder = Folder::new();
    let missing = folder.path().join("other.yaml");
    let error = super::super::load_with(&missing, &folder.variables).unwrap_err();
    insta::assert_snapshot!(folder.shown(&format!("error: {error}")));
}
