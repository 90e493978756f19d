//! From the ACME client's resources to the port's.

use certferry_acme as acme;
use certferry_core::Identifier;
use certferry_core::port::{Authorization, AuthorizationStatus, Dns01Challenge, Http01Challenge, Order, OrderStatus};

/// A name as it is ordered.
pub(super) fn identifier(name: &Identifier) -> acme::Identifier {
    match name {
        Identifier::Dns(name) => acme::Identifier::Dns(name.as_str().to_owned()),
        Identifier::Ip(address) => acme::Identifier::Ip(*address),
    }
}

/// An order. Whether it replaces what was asked for is the caller's to say; here it means that it replaces anything.
pub(super) fn order(url: &str, fetched: acme::Fetched<acme::Order>) -> Order {
    let order = fetched.value;
    Order {
        url: url.to_owned(),
        status: match order.status {
            acme::OrderStatus::Pending => OrderStatus::Pending,
            acme::OrderStatus::Ready => OrderStatus::Ready,
            acme::OrderStatus::Processing => OrderStatus::Processing,
            acme::OrderStatus::Valid => OrderStatus::Valid,
            acme::OrderStatus::Invalid => OrderStatus::Invalid,
        },
        authorizations: order.authorizations.iter().map(|url| url.as_str().to_owned()).collect(),
        finalize: order.finalize.as_str().to_owned(),
        certificate: order.certificate.map(|url| url.as_str().to_owned()),
        error: order.error.map(|problem| problem.to_string()),
        replaces: order.replaces.is_some(),
        expires: order.expires,
        retry_after: fetched.retry_after,
    }
}

/// An authorization; the error says what cannot be used about it.
pub(super) fn authorization(
    url: &acme::ResourceUrl,
    fetched: acme::Fetched<acme::Authorization>,
    key: &acme::AccountKey,
) -> Result<Authorization, String> {
    let authorization = fetched.value;
    let name = name(&authorization)?;
    let (status, mut error) = match authorization.status {
        acme::AuthorizationStatus::Pending => (AuthorizationStatus::Pending, None),
        acme::AuthorizationStatus::Valid => (AuthorizationStatus::Valid, None),
        acme::AuthorizationStatus::Deactivated => (AuthorizationStatus::Invalid, Some("it was deactivated")),
        acme::AuthorizationStatus::Expired => (AuthorizationStatus::Invalid, Some("it has expired")),
        acme::AuthorizationStatus::Invalid => (AuthorizationStatus::Invalid, Some("the CA does not say why")),
        acme::AuthorizationStatus::Revoked => (AuthorizationStatus::Invalid, Some("the CA has revoked it")),
    };
    let said = authorization.error().map(ToString::to_string);
    if status == AuthorizationStatus::Invalid && said.is_some() {
        error = said.as_deref();
    }
    Ok(Authorization {
        url: url.as_str().to_owned(),
        name,
        status,
        http01: authorization.challenge(&acme::ChallengeType::Http01).map(|one| http01(one, key)).transpose()?,
        dns01: authorization.challenge(&acme::ChallengeType::Dns01).map(|one| dns01(one, key)).transpose()?,
        error: error.map(str::to_owned),
        expires: authorization.expires,
        retry_after: fetched.retry_after,
    })
}

fn dns01(challenge: &acme::Challenge, key: &acme::AccountKey) -> Result<Dns01Challenge, String> {
    let Http01Challenge { url, token, key_authorization, untouched } = http01(challenge, key)?;
    Ok(Dns01Challenge { url, token, key_authorization, untouched })
}

fn http01(challenge: &acme::Challenge, key: &acme::AccountKey) -> Result<Http01Challenge, String> {
    let token = challenge.token().map_err(ToString::to_string)?;
    Ok(Http01Challenge {
        url: challenge.url.as_str().to_owned(),
        token: token.as_str().to_owned(),
        key_authorization: key.key_authorization(token).as_str().to_owned(),
        untouched: challenge.status == acme::ChallengeStatus::Pending,
    })
}

fn name(authorization: &acme::Authorization) -> Result<Identifier, String> {
    let refuse = || format!("it is for `{}`, which was not ordered", authorization.identifier);
    match &authorization.identifier {
        acme::Identifier::Dns(name) => {
            let name = if authorization.wildcard { format!("*.{name}") } else { name.clone() };
            name.parse().map(Identifier::Dns).map_err(|_| refuse())
        }
        acme::Identifier::Ip(address) => address.to_string().parse().map_err(|_| refuse()),
        _ => Err(refuse()),
    }
}
