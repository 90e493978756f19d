//! http-01 (RFC 8555 §8.3): what the CA asks for, how far it follows, and what it says when it fails.

use certferry_lab::acme_ca::ValidationRequest;
use serde_json::Value;
use tokio::net::TcpListener;

use crate::site::{Page, challenge_path};
use crate::world::{World, http_challenge};

const NAME: &str = "a.some-domain.test";

/// A pending authorization and its answer.
struct Attempt {
    world: World,
    url: String,
    authorization: Value,
    token: String,
    key_authorization: String,
}

impl Attempt {
    async fn new() -> Self {
        let world = World::new().await;
        let order = world.order(&[NAME]).await;
        let url = order.authorizations().remove(0);
        let authorization = world.client.post_as_get(&url).await.json();
        let token = http_challenge(&authorization)["token"].as_str().unwrap().to_owned();
        let key_authorization = format!("{token}.{}", world.client.key.thumbprint());
        Self { world, url, authorization, token, key_authorization }
    }

    fn present(&self, page: Page) {
        self.world.site.present(&self.token, page);
    }

    fn redirect(&self, status: u16, location: &str) {
        self.present(Page::Redirect(status, location.to_owned()));
    }

    fn answer_at(&self, path: &str) {
        self.world.site.put(path, Page::Body(self.key_authorization.clone()));
    }

    async fn is_valid(&self) {
        let outcome = self.world.respond(&self.authorization, &self.url).await;
        assert_eq!(outcome["status"], "valid", "{outcome}");
        assert_eq!(http_challenge(&outcome)["status"], "valid", "{outcome}");
    }

    /// Checks the failure's type, and gives its text.
    async fn fails(&self, kind: &str) -> String {
        let outcome = self.world.respond(&self.authorization, &self.url).await;
        assert_eq!(outcome["status"], "invalid", "{outcome}");
        let challenge = http_challenge(&outcome);
        assert_eq!(challenge["status"], "invalid", "{outcome}");
        assert_eq!(challenge["error"]["type"], format!("urn:ietf:params:acme:error:{kind}"), "{outcome}");
        challenge["error"]["detail"].as_str().unwrap().to_owned()
    }

    /// URLs and statuses of what was asked.
    fn asked(&self) -> Vec<(String, Option<u16>)> {
        self.world.ca.validation_requests().into_iter().map(|request| (request.url, request.status)).collect()
    }
}

#[tokio::test]
async fn the_key_authorization_is_fetched_from_the_names_port_80() {
    let attempt = Attempt::new().await;
    attempt.present(Page::Body(attempt.key_authorization.clone()));
    attempt.is_valid().await;
    let expected = ValidationRequest {
        url: format!("http://{NAME}{}", challenge_path(&attempt.token)),
        address: attempt.world.site.http,
        status: Some(200),
    };
    assert_eq!(attempt.world.ca.validation_requests(), [expected]);
}

#[tokio::test]
async fn space_at_the_end_does_no_harm() {
    let attempt = Attempt::new().await;
    attempt.present(Page::Body(format!("{}\r\n", attempt.key_authorization)));
    attempt.is_valid().await;
}

#[tokio::test]
async fn another_body_is_shown_in_the_refusal() {
    for body in [
        |_: &Attempt| "maintenance".to_owned(),
        |attempt: &Attempt| attempt.token.clone(),
        |attempt: &Attempt| format!(" {}", attempt.key_authorization),
        |attempt: &Attempt| format!("{}{}", attempt.key_authorization, "x".repeat(200)),
    ] {
        let attempt = Attempt::new().await;
        let body = body(&attempt);
        attempt.present(Page::Body(body.clone()));
        let detail = attempt.fails("unauthorized").await;
        let read = &body[..body.len().min(128)];
        assert!(detail.contains(&format!("\"{read}\"")), "{detail}");
    }
}

#[tokio::test]
async fn a_status_other_than_200_is_refused() {
    let attempt = Attempt::new().await;
    let detail = attempt.fails("unauthorized").await;
    assert!(detail.contains(NAME) && detail.contains("404"), "{detail}");
}

#[tokio::test]
async fn redirects_of_four_kinds_are_followed() {
    for status in [301, 302, 307, 308] {
        let attempt = Attempt::new().await;
        attempt.redirect(status, "http://b.some-domain.test/answer?from=a");
        attempt.answer_at("/answer");
        attempt.is_valid().await;
        let second = ("http://b.some-domain.test/answer?from=a".to_owned(), Some(200));
        assert_eq!(attempt.asked()[1..], [second], "{status}");
    }
}

#[tokio::test]
async fn a_redirect_may_be_relative() {
    let attempt = Attempt::new().await;
    attempt.redirect(302, "/answer");
    attempt.answer_at("/answer");
    attempt.is_valid().await;
    assert_eq!(attempt.asked()[1].0, format!("http://{NAME}/answer"));
}

#[tokio::test]
async fn other_redirects_are_not_followed() {
    for status in [300, 303, 304] {
        let attempt = Attempt::new().await;
        attempt.redirect(status, "/answer");
        attempt.answer_at("/answer");
        let detail = attempt.fails("unauthorized").await;
        assert!(detail.contains(&status.to_string()), "{detail}");
        assert_eq!(attempt.asked().len(), 1);
    }
}

#[tokio::test]
async fn a_redirect_to_https_is_followed_whatever_its_certificate() {
    let attempt = Attempt::new().await;
    attempt.redirect(301, "https://b.some-domain.test/answer");
    attempt.answer_at("/answer");
    attempt.is_valid().await;
    let requests = attempt.world.ca.validation_requests();
    assert_eq!(requests[1].address, attempt.world.site.https);
}

#[tokio::test]
async fn a_redirect_elsewhere_than_ports_80_and_443_is_not_followed() {
    for location in [
        "http://b.some-domain.test:8080/answer",
        "https://b.some-domain.test:80/answer",
        "ftp://b.some-domain.test/answer",
    ] {
        let attempt = Attempt::new().await;
        attempt.redirect(302, location);
        attempt.answer_at("/answer");
        let detail = attempt.fails("connection").await;
        assert!(detail.contains(location), "{detail}");
        assert_eq!(attempt.asked().len(), 1);
    }
}

#[tokio::test]
async fn ten_redirects_are_followed_and_no_more() {
    for (hops, is_enough) in [(10, true), (11, false)] {
        let attempt = Attempt::new().await;
        attempt.redirect(302, "/1");
        for hop in 1..hops {
            attempt.world.site.put(format!("/{hop}"), Page::Redirect(302, format!("/{}", hop + 1)));
        }
        attempt.answer_at(&format!("/{hops}"));
        if is_enough {
            attempt.is_valid().await;
        } else {
            let detail = attempt.fails("connection").await;
            assert!(detail.contains("more than 10 redirects"), "{detail}");
        }
        assert_eq!(attempt.asked().len(), 11);
    }
}

#[tokio::test]
async fn a_name_without_an_address_is_a_dns_failure() {
    let attempt = Attempt::new().await;
    attempt.world.ca.set_behaviour(|behaviour| behaviour.default_address = None);
    let detail = attempt.fails("dns").await;
    assert!(detail.contains(NAME), "{detail}");
    assert_eq!(attempt.asked(), []);
}

#[tokio::test]
async fn a_redirect_to_a_name_without_an_address_is_a_dns_failure() {
    let attempt = Attempt::new().await;
    let site = &attempt.world.site;
    attempt.world.ca.set_behaviour(|behaviour| behaviour.default_address = None);
    attempt.world.ca.resolve(NAME, site.http, site.https);
    attempt.redirect(302, "http://b.some-domain.test/answer");
    let detail = attempt.fails("dns").await;
    assert!(detail.contains("b.some-domain.test"), "{detail}");
    assert_eq!(attempt.asked().len(), 1);
}

#[tokio::test]
async fn a_name_has_its_own_address_before_everybodys() {
    let attempt = Attempt::new().await;
    let other = crate::site::Site::start().await;
    attempt.world.ca.resolve(NAME, other.http, other.https);
    other.present(&attempt.token, Page::Body(attempt.key_authorization.clone()));
    attempt.is_valid().await;
    assert_eq!(attempt.world.ca.validation_requests()[0].address, other.http);
}

#[tokio::test]
async fn a_refused_connection_is_told() {
    let attempt = Attempt::new().await;
    let closed = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    attempt.world.ca.resolve(NAME, closed, closed);
    let detail = attempt.fails("connection").await;
    assert!(detail.contains(&closed.to_string()), "{detail}");
    assert_eq!(attempt.asked()[0].1, None);
}

#[tokio::test]
async fn an_answer_that_is_no_http_is_told() {
    let attempt = Attempt::new().await;
    // The port speaks TLS.
    attempt.world.ca.resolve(NAME, attempt.world.site.https, attempt.world.site.https);
    attempt.fails("connection").await;
    assert_eq!(attempt.asked().len(), 1);
}
