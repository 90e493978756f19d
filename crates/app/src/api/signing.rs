//! `POST /v1/avi/<load balancer>/certificate`: a controller's control script hands in a CSR and gets the chain.
//!
//! An order takes as long as it takes, and a control script is killed by the controller's time limit: so the work goes on
//! by itself, each request only waits for it a while, and one that comes again with the same CSR finds it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use certferry_core::{
    CertificateName, Clock, Csr, Error, ErrorKind, Identifier, LoadBalancerName, Retry, Secret, Sha256,
};
use certferry_engine::{Engine, SigningRequest};
use hyper::StatusCode;
use serde::Deserialize;
use tokio::time::timeout;

use super::Answer;
use super::orders::Orders;
use crate::config::ControlScript;

/// How long a request waits for its certificate before it is told to come again: well below what proxies and the script
/// itself allow one exchange.
const WAITS_FOR: Duration = Duration::from_secs(20);

/// When to come again for a certificate that is being ordered, in seconds.
const COME_AGAIN: u64 = 2;

/// When to come again after something that passes, in seconds.
const TRY_AGAIN: u64 = 30;

/// Signs what control scripts hand in.
pub(crate) struct Signing {
    engine: Arc<Engine>,
    control_scripts: BTreeMap<LoadBalancerName, ControlScript>,
    orders: Orders,
}

/// What the script sends. The common name is in the CSR too, which counts.
#[derive(Deserialize)]
struct Written {
    csr: String,
}

/// The load balancer in a path of this endpoint.
pub(super) fn load_balancer_in(path: &str) -> Option<&str> {
    let name = path.strip_prefix("/v1/avi/")?.strip_suffix("/certificate")?;
    (!name.is_empty() && !name.contains('/')).then_some(name)
}

impl Signing {
    /// `clock` tells how long ago an order ended.
    pub(crate) fn new(
        engine: Arc<Engine>,
        control_scripts: BTreeMap<LoadBalancerName, ControlScript>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { engine, control_scripts, orders: Orders::new(clock) }
    }

    /// Waits until nothing is being ordered.
    pub(crate) async fn settle(&self) {
        self.orders.settle().await;
    }

    pub(super) async fn answer(&self, load_balancer: &str, token: Option<&Secret<String>>, body: &[u8]) -> Answer {
        match self.request(load_balancer, token, body) {
            Ok(request) => self.sign(request).await,
            Err(refusal) => refusal,
        }
    }

    /// What is asked for, if it may be.
    fn request(
        &self,
        load_balancer: &str,
        token: Option<&Secret<String>>,
        body: &[u8],
    ) -> Result<SigningRequest, Answer> {
        let script = self.control_scripts.get_key_value(load_balancer);
        let Some((name, script)) = script.filter(|(_, script)| token.is_some_and(|token| same(token, &script.token)))
        else {
            return Err(Answer::refusal(
                StatusCode::UNAUTHORIZED,
                format!("the token is not the one of the control script of load balancer `{load_balancer}`"),
                "compare the profile's parameters `load_balancer` and `token` with `control-script` in certferry's config; \
                 `certferry avi install-control-script --rewrite-secrets` writes them again",
            ));
        };
        let unread = |said: String| {
            let hint = "the control script must be the one that `certferry avi install-control-script` installs";
            Answer::refusal(StatusCode::BAD_REQUEST, said, hint)
        };
        let written: Written =
            serde_json::from_slice(body).map_err(|_| unread("the request is not JSON with a `csr`".to_owned()))?;
        let csr = Csr::from_pem(&written.csr)
            .map_err(|error| unread(format!("the certificate request is refused: {error}")))?;
        let is_named =
            |name: &Identifier| name.dns().is_some_and(|name| script.names.iter().any(|one| one.covers(name)));
        let allowed = |name: &Identifier| script.names.is_empty() || is_named(name);
        if let Some(other) = csr.names().iter().find(|name| !allowed(name)) {
            let hint = "add it to `names` of `control-script` in certferry's config, or ask for another name";
            let said = format!("the control script of load balancer `{name}` may not ask for {other}");
            return Err(Answer::refusal(StatusCode::FORBIDDEN, said, hint));
        }
        let certificate =
            certificate_name(name, &csr).map_err(|said| unread(format!("its name is refused: {said}")))?;
        Ok(SigningRequest {
            certificate,
            load_balancer: name.clone(),
            csr,
            issuer: script.issuer.clone(),
            profile: script.profile.clone(),
        })
    }

    async fn sign(&self, request: SigningRequest) -> Answer {
        let certificate = request.certificate.clone();
        let csr = Sha256::of(request.csr.der());
        let engine = self.engine.clone();
        let work = async move { engine.sign(&request).await.map(|chain| chain.pem().to_owned()) };
        let Some(mut outcome) = self.orders.order(&certificate, csr, work) else {
            let said = format!("another request for `{certificate}` is being signed");
            return Answer::refusal(StatusCode::TOO_MANY_REQUESTS, said, "ask again when it is done").after(COME_AGAIN);
        };
        let ended = match timeout(WAITS_FOR, outcome.wait_for(Option::is_some)).await {
            Ok(Ok(ended)) => ended.clone(),
            Ok(Err(_)) => None,
            Err(_) => {
                let said = "the certificate is being ordered";
                return Answer::refusal(StatusCode::ACCEPTED, said, "ask again with the same request")
                    .after(COME_AGAIN);
            }
        };
        self.orders.fetched(&certificate, &outcome);
        match ended.map(|ended| ended.signed) {
            Some(Ok(chain)) => Answer::chain(chain),
            Some(Err(error)) => refused(&error),
            None => Answer::refusal(StatusCode::SERVICE_UNAVAILABLE, "certferry is being stopped", "ask again")
                .after(COME_AGAIN),
        }
    }
}

/// Compared by digest and in constant time: how long it takes tells nothing about the token.
fn same(shown: &Secret<String>, token: &Secret<String>) -> bool {
    let [shown, token] = [shown, token].map(|secret| Sha256::of(secret.expose().as_bytes()));
    aws_lc_rs::constant_time::verify_slices_are_equal(shown.as_bytes(), token.as_bytes()).is_ok()
}

/// `<load balancer>__<host>__<kind of key>`: under which a controller's certificate is recorded. A controller may have an
/// RSA and an ECDSA certificate for the same name.
fn certificate_name(load_balancer: &LoadBalancerName, csr: &Csr) -> Result<CertificateName, String> {
    let common_name = csr.common_name().and_then(|name| name.parse::<Identifier>().ok());
    let host = common_name.as_ref().or(csr.names().first()).ok_or("it has none")?;
    let family = csr.key_type().map_or_else(|| "other".to_owned(), |key| key.family().to_string().to_lowercase());
    let mut name = format!("{load_balancer}__{host}__{family}").replace(['*', ':'], "_");
    if name.len() > LONGEST_NAME {
        let digest = Sha256::of(name.as_bytes()).to_string();
        name.truncate(LONGEST_NAME - 9);
        name = format!("{name}-{}", &digest[..8]);
    }
    name.parse().map_err(|error: certferry_core::NameError| error.to_string())
}

const LONGEST_NAME: usize = 64;

fn refused(error: &Error) -> Answer {
    let hint = error.hint().unwrap_or("certferry's log and `certferry history` tell more").to_owned();
    let answer = |status| Answer::refusal(status, error.to_string(), hint.clone());
    match (error.kind(), error.retry()) {
        (ErrorKind::RateLimited, Retry::After(wait)) => {
            answer(StatusCode::TOO_MANY_REQUESTS).after(wait.as_secs().max(1))
        }
        (ErrorKind::RateLimited, _) => answer(StatusCode::TOO_MANY_REQUESTS).after(TRY_AGAIN),
        (
            ErrorKind::Conflict
            | ErrorKind::EffectUnknown
            | ErrorKind::Throttled
            | ErrorKind::Timeout
            | ErrorKind::Unavailable,
            retry,
        ) => {
            let wait = if let Retry::After(wait) = retry { wait.as_secs().max(1) } else { TRY_AGAIN };
            answer(StatusCode::SERVICE_UNAVAILABLE).after(wait)
        }
        _ => answer(StatusCode::UNPROCESSABLE_ENTITY),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn csr(common_name: &str) -> Csr {
        let mut params = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, common_name);
        let request = params.serialize_request(&rcgen::KeyPair::generate().unwrap()).unwrap();
        Csr::from_der(request.der()).unwrap()
    }

    #[test]
    fn a_controllers_certificate_is_recorded_under_load_balancer_host_and_kind_of_key() {
        let edge: LoadBalancerName = "edge".parse().unwrap();
        let name = certificate_name(&edge, &csr("shop.some-domain.com")).unwrap();
        assert_eq!(name.as_str(), "edge__shop.some-domain.com__ecdsa");
        let long = format!("{}.some-domain.com", "x".repeat(45));
        let name = certificate_name(&edge, &csr(&long)).unwrap();
        assert_eq!(name.as_str().len(), LONGEST_NAME);
        assert_ne!(name, certificate_name(&edge, &csr(&format!("{}y.some-domain.com", "x".repeat(44)))).unwrap());
    }

    #[test]
    fn only_the_endpoints_own_path_names_a_load_balancer() {
        for (path, expected) in [
            ("/v1/avi/edge/certificate", Some("edge")),
            ("/v1/avi//certificate", None),
            ("/v1/avi/a/b/certificate", None),
            ("/v1/avi/edge/certificates", None),
            ("/v1/oci/edge/certificate", None),
            ("/", None),
        ] {
            assert_eq!(load_balancer_in(path), expected, "{path}");
        }
    }

    #[test]
    fn what_passes_is_asked_again_and_what_does_not_is_told() {
        let error = |kind| Error::new(kind, "sign", "issuer `letsencrypt`");
        for (error, status, retry_after) in [
            (error(ErrorKind::Unavailable), 503, Some(TRY_AGAIN)),
            (error(ErrorKind::Throttled), 503, Some(TRY_AGAIN)),
            (error(ErrorKind::RateLimited).with_retry(Retry::After(Duration::from_secs(600))), 429, Some(600)),
            (error(ErrorKind::Validation), 422, None),
            (error(ErrorKind::Invalid), 422, None),
        ] {
            let answer = refused(&error);
            assert_eq!((answer.status.as_u16(), answer.retry_after), (status, retry_after), "{error}");
        }
    }

    #[test]
    fn tokens_are_the_same_or_not() {
        let token = |text: &str| Secret::new(text.to_owned());
        assert!(same(&token("abc"), &token("abc")));
        assert!(!same(&token("abc"), &token("abd")) && !same(&token(""), &token("abc")));
    }
}
