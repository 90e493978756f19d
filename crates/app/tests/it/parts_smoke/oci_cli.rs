//! The `oci` clients against the smallest server that they can talk to.

use std::sync::{Arc, Mutex};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::parts::oci_cli::{ApiKey, OciCli, write_config};
use crate::parts::openssl;

const LOAD_BALANCER: &str = "ocid1.loadbalancer.oc1.iad.smoke";

#[tokio::test]
async fn the_oci_clients_send_signed_requests_and_read_the_answers() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let key_pem = openssl::new_rsa_key(2048).await;
    let config = write_config(
        folder.path(),
        ApiKey {
            user: "ocid1.user.oc1..smoke",
            tenancy: "ocid1.tenancy.oc1..smoke",
            fingerprint: "00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff",
            region: "us-ashburn-1",
            key_pem: &key_pem,
        },
    );
    let (endpoint, requests) = serve().await;
    let oci = OciCli::new(endpoint, config);

    let listed = oci.run(&["lb", "certificate", "list", "--load-balancer-id", LOAD_BALANCER]).await.json();
    assert_eq!(listed["data"][0]["certificate-name"], "smoke");

    let printed = oci
        .python(&format!(
            "client = oci.load_balancer.LoadBalancerClient(config, service_endpoint=endpoint)\n\
             print(json.dumps([c.certificate_name for c in client.list_certificates('{LOAD_BALANCER}').data]))"
        ))
        .await
        .json();
    assert_eq!(printed, json!(["smoke"]));

    let refused = oci.run(&["lb", "backend-set", "list", "--load-balancer-id", LOAD_BALANCER]).await;
    assert_eq!(refused.exit_code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("NotAuthorizedOrNotFound"), "{}", refused.stderr);

    let requests = requests.lock().expect("nobody panics with it");
    let line = format!("GET /20170115/loadBalancers/{LOAD_BALANCER}/certificates ");
    assert_eq!(requests.iter().filter(|request| request.starts_with(&line)).count(), 2, "{requests:#?}");
    let key_id = "ocid1.tenancy.oc1..smoke/ocid1.user.oc1..smoke/00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff";
    for request in requests.iter() {
        let authorization = request.lines().find(|line| line.to_lowercase().starts_with("authorization: signature "));
        let authorization = authorization.unwrap_or_else(|| panic!("not signed: {request}"));
        assert!(authorization.contains(key_id) && authorization.contains("rsa-sha256"), "{authorization}");
    }
}

/// One certificate for whoever lists certificates, 404 for everything else. Returns the endpoint and the requests' heads.
async fn serve() -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let endpoint = format!("http://{}", listener.local_addr().expect("a bound listener has an address"));
    let requests = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&requests);
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") && connection.read_buf(&mut head).await.is_ok_and(|read| read > 0) {}
            let head = String::from_utf8_lossy(&head).into_owned();
            let (status, body) = if head.contains("/certificates ") {
                ("200 OK", json!([{"certificateName": "smoke", "publicCertificate": "", "caCertificate": ""}]))
            } else {
                ("404 Not Found", json!({"code": "NotAuthorizedOrNotFound", "message": "none such"}))
            };
            seen.lock().expect("nobody panics with it").push(head);
            let body = body.to_string();
            let answer = format!(
                "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            let _ = connection.write_all(answer.as_bytes()).await;
        }
    });
    (endpoint, requests)
}
