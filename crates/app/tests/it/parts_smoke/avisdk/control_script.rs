//! A control script that uses the SDK, run by the controller: the way that certferry replaces.

use std::net::IpAddr;
use std::time::Duration;

use certferry_lab::avi_controller::{AviLab, AviOptions};
use certferry_lab::pki::{Pki, Validity};
use jiff::SignedDuration;
use rcgen::CertificateSigningRequestParams;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::parts::avisdk::AviSdk;
use crate::parts::{eventually, openssl};

const NAME: &str = "www.some-domain.test";

#[tokio::test]
async fn a_control_script_answers_a_challenge_and_its_certificate_is_served() {
    let options = AviOptions { python: AviSdk::interpreter(), ..AviOptions::default() };
    let lab = AviLab::start(options).await.expect("the lab starts");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let signer = listener.local_addr().expect("a bound listener has an address").port();
    let signing = tokio::spawn(sign(listener, lab.now()));
    let vip: IpAddr = "203.0.113.10".parse().expect("an address");
    let port_80 = lab.data_plane_address(vip, 80).expect("it is reserved").port();

    let make = |kind: &str, object| lab.create("admin", kind, object).unwrap_or_else(|error| panic!("{error}"));
    make(
        "vsvip",
        json!({"name": "v", "vip": [{"ip_address": {"addr": vip, "type": "V4"}}], "dns_info": [{"fqdn": NAME}]}),
    );
    make("alertscriptconfig", json!({"name": "s", "timeout": 60, "action_script": include_str!("control_script.py")}));
    make(
        "certificatemanagementprofile",
        json!({"name": "p", "run_script_ref": "/api/alertscriptconfig?name=s",
        "script_params": [{"name": "user", "value": "admin"},
            {"name": "password", "value": "lab-admin-password", "is_sensitive": true},
            {"name": "signer", "value": signer.to_string()}, {"name": "port", "is_dynamic": true}]}),
    );
    make(
        "virtualservice",
        json!({"name": "shop", "vsvip_ref": "/api/vsvip?name=v", "services": [{"port": 443, "enable_ssl": true}]}),
    );
    make(
        "sslkeyandcertificate",
        json!({"name": "c", "key_params": {"algorithm": "SSL_KEY_ALGORITHM_EC"},
        "certificate": {"subject": {"common_name": NAME}, "subject_alt_names": [NAME]},
        "certificate_management_profile_ref": "/api/certificatemanagementprofile?name=p",
        "dynamic_params": [{"name": "port", "value": port_80.to_string()}]}),
    );

    let outcome = eventually(Duration::from_secs(30), async || {
        lab.events().into_iter().find(|event| event.event_id.starts_with("SSL_CERT_RENEW"))
    });
    let outcome = outcome.await.expect("the script ends");
    assert_eq!(outcome.event_id, "SSL_CERT_RENEW", "{}", outcome.details);
    signing.await.expect("it has signed");

    lab.edit("virtualservice", "shop", |service| {
        service["ssl_key_and_certificate_refs"] = json!(["/api/sslkeyandcertificate?name=c"]);
    })
    .expect("it can be bound");
    let served = lab.data_plane_address(vip, 443).expect("it is served");
    let served = openssl::served(served, NAME).await.expect("a handshake");
    let shown = lab.object("sslkeyandcertificate", "c").expect("it is there");
    assert_eq!(served.serial, openssl::serial(shown["certificate"]["certificate"].as_str().expect("PEM")).await);
    assert_eq!(lab.objects("httppolicyset").expect("a type").len(), 0, "the script has taken its policy away");
    let services = lab.object("virtualservice", "shop").expect("it is there")["services"].clone();
    assert_eq!(services.as_array().expect("a list").len(), 1, "and port 80: {services}");
    let hits = lab.requests_to("shop").expect("it is there");
    assert_eq!((hits.len(), hits[0].response_code), (1, 200));
}

/// Signs one CSR.
async fn sign(listener: TcpListener, now: jiff::Timestamp) {
    let (mut stream, _) = listener.accept().await.expect("the script connects");
    let mut csr = String::new();
    stream.read_to_string(&mut csr).await.expect("a CSR");
    let validity = Validity {
        common_name: Some(NAME.to_owned()),
        not_before: now,
        not_after: now + SignedDuration::from_hours(24 * 90),
    };
    let csr = CertificateSigningRequestParams::from_pem(&csr).expect("a CSR in PEM");
    let chain = Pki::new().expect("a PKI").sign_csr(csr, &validity).expect("a certificate");
    stream.write_all(chain.as_bytes()).await.expect("the script reads");
}
