//! RFC 9773: when to renew.

use std::time::Duration;

use certferry_acme::{CertificateId, ErrorKind};
use serde_json::json;

use crate::fake_ca::{FakeCa, Reply};

const REQUEST: &str = "GET /renewal-info/aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE";

fn certificate() -> CertificateId {
    "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE".parse().unwrap()
}

#[tokio::test]
async fn the_window_comes_with_its_reason_and_the_next_date_to_ask() {
    let ca = FakeCa::start().await;
    ca.expect(REQUEST, |_| {
        let body = json!({
            "suggestedWindow": {"start": "2025-01-02T04:00:00Z", "end": "2025-01-03T04:00:00Z"},
            "explanationURL": "https://ca.example/docs/ari",
        });
        Reply::json(200, body).header("retry-after", "21600")
    });
    let fetched = ca.client().renewal_info(&certificate()).await.unwrap();
    assert_eq!(fetched.retry_after, Some(Duration::from_secs(21600)));
    assert_eq!(fetched.value.start, "2025-01-02T04:00:00Z".parse().unwrap());
    assert_eq!(fetched.value.end, "2025-01-03T04:00:00Z".parse().unwrap());
    assert_eq!(fetched.value.explanation.unwrap().as_str(), "https://ca.example/docs/ari");
}

#[tokio::test]
async fn a_window_that_ends_before_it_starts_is_no_answer() {
    let ca = FakeCa::start().await;
    for end in ["2025-01-01T04:00:00Z", "2025-01-02T04:00:00Z"] {
        ca.expect(REQUEST, move |_| {
            Reply::json(200, json!({"suggestedWindow": {"start": "2025-01-02T04:00:00Z", "end": end}}))
        });
        let error = ca.client().renewal_info(&certificate()).await.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::Malformed);
        assert!(error.to_string().contains("before it starts"), "{error}");
    }
}

#[tokio::test]
async fn rubbish_is_no_answer_but_a_strange_explanation_is_left_out() {
    let ca = FakeCa::start().await;
    for body in [json!({}), json!({"suggestedWindow": {"start": "soon", "end": "later"}}), json!("x")] {
        ca.expect(REQUEST, move |_| Reply::json(200, body));
        let error = ca.client().renewal_info(&certificate()).await.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::Malformed);
    }
    ca.expect(REQUEST, |_| {
        let window = json!({"start": "2025-01-02T04:00:00Z", "end": "2025-01-03T04:00:00Z"});
        Reply::json(200, json!({"suggestedWindow": window, "explanationURL": "javascript:alert(1)"}))
    });
    let fetched = ca.client().renewal_info(&certificate()).await.unwrap();
    assert_eq!(fetched.value.explanation, None);
    assert_eq!(fetched.retry_after, None);
}

#[tokio::test]
async fn a_ca_without_ari_says_so() {
    let ca = FakeCa::start().await;
    let mut directory = ca.directory();
    directory.as_object_mut().unwrap().remove("renewalInfo");
    ca.set_directory(directory);
    let error = ca.client().renewal_info(&certificate()).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::NotOffered { resource: "renewalInfo" });
    assert_eq!(error.to_string(), "renewalInfo: the CA's directory has no renewalInfo");
    assert!(error.is_not_offered());
}
