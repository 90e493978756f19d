//! What answers where a CA will ask for a challenge.

use std::net::SocketAddr;

use super::{Concern, Severity};
use crate::identifier::Identifier;
use crate::port::HttpAnswer;

/// Whether `answer`, to a request for a token that nobody has presented, shows that challenges of `name` will not come
/// through `address`. Only for paths that are complete: before that, anything may answer there.
///
/// The responder answers 404 to such a token; while it does not run, the load balancer answers 502, 503 or 504.
pub fn port_80(name: &Identifier, address: SocketAddr, answer: &Result<HttpAnswer, String>) -> Option<Concern> {
    let (said, fix) = match answer {
        Err(said) => (
            format!("a request for a challenge at {address} gets no answer: {said}"),
            "let port 80 of the load balancer in from everywhere (security lists, network security groups, firewalls), \
             this machine included",
        ),
        Ok(answer) if matches!(answer.status, 404 | 502..=504) => return None,
        Ok(answer) => (
            format!("a request for a challenge at {address} is answered by something else: {}", described(answer)),
            "find what answers (a rule set, a WAF, another listener, a backend) and let /.well-known/acme-challenge/ \
             through to certferry's backend set",
        ),
    };
    Some(Concern { severity: Severity::Error, subject: format!("name `{name}`"), said, fix: fix.to_owned() })
}

fn described(answer: &HttpAnswer) -> String {
    let mut text = format!("status {}", answer.status);
    if let Some(server) = &answer.server {
        text.push_str(&format!(", server `{server}`"));
    }
    if let Some(last) = answer.redirects.last() {
        text.push_str(&format!(", after a redirect to {last}"));
    }
    let body = answer.body.replace(char::is_control, " ");
    if !body.trim().is_empty() {
        text.push_str(&format!(", beginning `{}`", body.trim().chars().take(60).collect::<String>()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_responder_or_nobody_may_answer() {
        let answer = |status, server: Option<&str>| HttpAnswer {
            status,
            body: "<html>\n".to_owned(),
            redirects: vec!["https://other.some-domain.com/".to_owned()],
            server: server.map(str::to_owned),
        };
        let name = "www.some-domain.com".parse().unwrap();
        let address = "203.0.113.10:80".parse().unwrap();
        for status in [404, 502, 503, 504] {
            assert_eq!(port_80(&name, address, &Ok(answer(status, None))), None);
        }
        for status in [200, 301, 403, 500] {
            let said = port_80(&name, address, &Ok(answer(status, Some("nginx")))).unwrap().said;
            for piece in [&status.to_string(), "nginx", "other.some-domain.com", "<html>"] {
                assert!(said.contains(piece), "{said}");
            }
        }
        let silent = port_80(&name, address, &Err("no connection".to_owned())).unwrap();
        assert!(silent.said.contains("no connection") && silent.fix.contains("port 80"));
    }
}
