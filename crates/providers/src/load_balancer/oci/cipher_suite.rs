//! Which keys a cipher suite can serve
//! (<https://docs.oracle.com/iaas/Content/Balance/Tasks/managingciphersuites.htm>).

use certferry_core::observed::AcceptedKeys;
use serde_json::{Map, Value};

use super::model::{Collection, ssl, text, texts};

/// What a listener or backend set has that names none. RSA ciphers only.
pub(super) const DEFAULT: &str = "oci-default-ssl-cipher-suite-v1";

/// What the service reports for ciphers that were chosen by hand, and does not take back.
pub(super) const CUSTOMIZED: &str = "oci-customized-ssl-cipher-suite";

/// The suite of an SSL configuration.
pub(super) fn name_of(ssl: &Value) -> &str {
    text(ssl, "cipherSuiteName").unwrap_or(DEFAULT)
}

/// Which keys an SSL configuration can serve. A suite whose ciphers are not known accepts all: better to be refused by
/// the service than to refuse what it would take.
pub(super) fn accepted(load_balancer: &Value, suite: &str, protocols: &[&str]) -> AcceptedKeys {
    match ciphers(load_balancer, suite) {
        Some(ciphers) => {
            let (ecdsa, rsa) = families(&ciphers, protocols);
            AcceptedKeys { ecdsa, rsa, suite: suite.to_owned() }
        }
        None => AcceptedKeys { ecdsa: true, rsa: true, suite: format!("{suite} (ciphers not known)") },
    }
}

/// The suites in use, and `also`, whose ciphers are not in the load balancer's own answer.
pub(super) fn missing<'a>(load_balancer: &'a Value, also: Option<&'a str>) -> Vec<&'a str> {
    let listeners = Collection::Listeners.all(load_balancer).filter_map(|(_, listener)| ssl(listener));
    let sets = Collection::BackendSets.all(load_balancer).filter_map(|(_, set)| ssl(set));
    let names = listeners.chain(sets).map(name_of).chain(also);
    names.filter(|name| *name != CUSTOMIZED && ciphers(load_balancer, name).is_none()).collect()
}

/// Puts listed suites where the load balancer's own answer would have them.
pub(super) fn add(load_balancer: &mut Value, suites: Vec<Value>) {
    let Some(fields) = load_balancer.as_object_mut() else { return };
    let known = fields.entry(KEY).or_insert_with(|| Value::Object(Map::new()));
    if known.is_null() {
        *known = Value::Object(Map::new());
    }
    let Some(known) = known.as_object_mut() else { return };
    for suite in suites {
        if let Some(name) = text(&suite, "name").map(str::to_owned) {
            known.entry(name).or_insert(suite);
        }
    }
}

fn ciphers<'a>(load_balancer: &'a Value, suite: &str) -> Option<Vec<&'a str>> {
    let ciphers = texts(load_balancer.get(KEY)?.get(suite)?, "ciphers");
    (!ciphers.is_empty()).then_some(ciphers)
}

/// (ECDSA, RSA). TLS 1.3 ciphers serve both, but help nobody whose client speaks an older version that is enabled too.
fn families(ciphers: &[&str], protocols: &[&str]) -> (bool, bool) {
    let protocols = if protocols.is_empty() { &[DEFAULT_PROTOCOL] } else { protocols };
    let older: Vec<&&str> = ciphers.iter().filter(|cipher| !is_tls13(cipher)).collect();
    if protocols.iter().all(|protocol| *protocol == TLS13) || older.is_empty() {
        let tls13 = ciphers.iter().any(|cipher| is_tls13(cipher));
        return (tls13, tls13);
    }
    let ecdsa = older.iter().any(|cipher| cipher.contains("ECDSA"));
    (ecdsa, older.iter().any(|cipher| is_rsa(cipher)))
}

fn is_tls13(cipher: &str) -> bool {
    cipher.starts_with("TLS_") && !cipher.contains("_WITH_")
}

/// In OpenSSL's names RSA stands after the key exchange, or is meant when neither is named (`AES128-GCM-SHA256`).
fn is_rsa(cipher: &str) -> bool {
    let others = ["ECDSA", "DSS", "PSK", "SRP", "ADH", "AECDH", "anon", "GOST"];
    cipher.contains("RSA") && !cipher.contains("ECDSA")
        || !others.iter().any(|other| cipher.contains(other)) && !cipher.contains("DHE")
}

const KEY: &str = "sslCipherSuites";
const TLS13: &str = "TLSv1.3";

/// What a configuration without protocols has.
const DEFAULT_PROTOCOL: &str = "TLSv1.2";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_suite_accepts_the_keys_that_its_ciphers_sign_with() {
        let (ecdsa, rsa, tls13) =
            ("ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256", "TLS_AES_128_GCM_SHA256");
        for (ciphers, protocols, expected) in [
            (vec![rsa, "DHE-RSA-AES128-SHA256"], vec![], (false, true)),
            (vec!["AES128-GCM-SHA256"], vec!["TLSv1.2"], (false, true)),
            (vec!["DES-CBC3-SHA"], vec!["TLSv1.2"], (false, true)),
            (vec![ecdsa], vec!["TLSv1.2"], (true, false)),
            (vec!["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"], vec!["TLSv1.2"], (true, false)),
            (vec!["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"], vec!["TLSv1.2"], (false, true)),
            (vec![ecdsa, rsa], vec!["TLSv1.2"], (true, true)),
            (vec![tls13], vec!["TLSv1.3"], (true, true)),
            (vec![tls13], vec!["TLSv1.2", "TLSv1.3"], (true, true)),
            (vec![tls13, rsa], vec!["TLSv1.3"], (true, true)),
            (vec![tls13, rsa], vec!["TLSv1.2", "TLSv1.3"], (false, true)),
            (vec!["ADH-AES128-SHA256", "DHE-DSS-AES128-SHA256", "PSK-AES128-CBC-SHA"], vec!["TLSv1.2"], (false, false)),
        ] {
            assert_eq!(families(&ciphers, &protocols), expected, "{ciphers:?} {protocols:?}");
        }
    }

    #[test]
    fn a_suite_that_is_not_known_accepts_all_and_is_named() {
        let keys = accepted(&json!({}), "oci-new-suite", &[]);
        assert!(keys.ecdsa && keys.rsa && keys.suite.contains("oci-new-suite"), "{keys:?}");
    }

    #[test]
    fn listed_suites_complete_the_answer() {
        let mut load_balancer = json!({"sslCipherSuites": null, "listeners": {
            "a": {"sslConfiguration": {"cipherSuiteName": "mine"}}, "b": {"sslConfiguration": {}}, "c": {}}});
        assert_eq!(missing(&load_balancer, Some("other")), ["mine", DEFAULT, "other"]);
        add(&mut load_balancer, vec![json!({"name": "mine", "ciphers": ["AES128-SHA"]}), json!({"ciphers": []})]);
        assert_eq!(missing(&load_balancer, None), [DEFAULT]);
    }
}
