//! Resource principals of version 2.2: the platform puts token and key into the environment, or into files that the
//! environment names (<https://docs.oracle.com/iaas/Content/Functions/Tasks/functionsaccessingociresources.htm>).

use std::path::Path;
use std::sync::Arc;

use certferry_core::{Clock, Error, ErrorKind, Secret};

use super::config::ResourcePrincipal;
use super::held_token::{Held, HeldToken, Holder};

/// Takes what the environment holds; files are read when they are needed.
pub(super) fn open(given: &ResourcePrincipal, clock: &Arc<dyn Clock>) -> Result<HeldToken, Error> {
    let refused = |said: String| {
        Err(Error::new(ErrorKind::Invalid, "reading the resource principal", "the environment").said(said).with_hint(
            "only in functions, container instances and other resources of OCI does the platform set these variables; \
                 elsewhere use an API key, on a compute instance `auth: instance-principal`",
        ))
    };
    match given.version.as_deref() {
        Some("2.2") => {}
        Some(other) => {
            return refused(format!("OCI_RESOURCE_PRINCIPAL_VERSION is `{other}`; only 2.2 is supported"));
        }
        None => return refused("OCI_RESOURCE_PRINCIPAL_VERSION is not set".to_owned()),
    }
    let Some(token) = held(given.session_token.as_ref()) else {
        return refused("OCI_RESOURCE_PRINCIPAL_RPST is not set".to_owned());
    };
    let Some(private_key) = held(given.private_key.as_ref()) else {
        return refused("OCI_RESOURCE_PRINCIPAL_PRIVATE_PEM is not set".to_owned());
    };
    let pass_phrase = held(given.pass_phrase.as_ref());
    Ok(HeldToken::new(Holder::Platform, token, private_key, pass_phrase, given.region.clone(), clock))
}

/// An absolute path is a file.
fn held(value: Option<&Secret<String>>) -> Option<Held> {
    let value = value.filter(|value| !value.expose().trim().is_empty())?;
    let path = Path::new(value.expose());
    Some(match path.is_absolute() {
        true => Held::File(path.to_owned()),
        false => Held::Text(value.clone()),
    })
}

#[cfg(test)]
mod tests {
    use certferry_core::SystemClock;

    use super::*;

    fn given(version: Option<&str>, token: Option<&str>, key: Option<&str>) -> ResourcePrincipal {
        let secret = |value: Option<&str>| value.map(|value| Secret::new(value.to_owned()));
        ResourcePrincipal {
            version: version.map(str::to_owned),
            session_token: secret(token),
            private_key: secret(key),
            pass_phrase: None,
            region: Some("us-ashburn-1".to_owned()),
        }
    }

    #[test]
    fn what_the_environment_lacks_is_named() {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        for (version, token, key, named) in [
            (None, Some("a"), Some("b"), "VERSION is not set"),
            (Some("1.1"), Some("a"), Some("b"), "only 2.2"),
            (Some("2.2"), None, Some("b"), "RPST"),
            (Some("2.2"), Some(" "), Some("b"), "RPST"),
            (Some("2.2"), Some("a"), None, "PRIVATE_PEM"),
        ] {
            let Err(error) = open(&given(version, token, key), &clock) else { panic!("{named}") };
            assert!(error.to_string().contains(named), "{error}");
            assert!(error.hint().unwrap().contains("instance-principal"), "{error}");
        }
        let token = open(&given(Some("2.2"), Some("/run/rpst"), Some("-----BEGIN")), &clock).unwrap();
        assert_eq!(token.region(), Some("us-ashburn-1"));
    }

    #[test]
    fn an_absolute_path_is_a_file_and_anything_else_the_thing_itself() {
        let held = |value: &str| held(Some(&Secret::new(value.to_owned())));
        assert!(matches!(held("/run/rpst"), Some(Held::File(path)) if path == Path::new("/run/rpst")));
        for text in ["e30.e30.x", "-----BEGIN PRIVATE KEY-----", "run/rpst"] {
            assert!(matches!(held(text), Some(Held::Text(found)) if found.expose() == text), "{text}");
        }
        assert!(held("").is_none());
    }
}
