//! Whether the role that a user has permits what this config needs, found out without changing anything.

use std::fmt;

use certferry_core::{Error, ErrorKind};
use http::Method;
use serde_json::Value;
use tokio::time::Instant;

use super::AviTenant;
use super::client::Failed;
use super::model::{list, uuid};
use super::policy::{Right, rights};
use super::retry::Meaning;

impl AviTenant {
    /// The rights that this config's role (`certferry policy`) names and this user does not have in the tenant.
    ///
    /// Reading is tried by a list of one object, writing by the deletion of an object that there cannot be: of a uuid of
    /// zeros, which the list is asked for first. A controller answers 403 to those who lack the right, before it looks
    /// for the object, and 404 to the others. Nothing changes; the attempt may show in the controller's audit log.
    ///
    /// # Errors
    /// No login, no such tenant, or no answer that says yes or no, within the limit.
    pub async fn missing_permissions(&self) -> Result<Vec<MissingPermission>, Error> {
        let mut missing = Vec::new();
        for right in rights(self.http01.as_ref(), !self.listeners.is_empty()) {
            if let Some(said) = self.refusal(&right).await? {
                let access = if right.write { "WRITE_ACCESS" } else { "READ_ACCESS" };
                let Right { resource, shown, why, .. } = right;
                missing.push(MissingPermission { resource, access, shown, why, said });
            }
        }
        Ok(missing)
    }

    /// As [`AviTenant::missing_permissions`], as one error that names all that is missing.
    ///
    /// # Errors
    /// [`ErrorKind::Denied`] when a right is missing; others as there.
    pub async fn check_rights(&self) -> Result<(), Error> {
        let missing = self.missing_permissions().await?;
        if missing.is_empty() {
            return Ok(());
        }
        let all: Vec<String> = missing.iter().map(MissingPermission::to_string).collect();
        Err(Error::new(ErrorKind::Denied, "checking rights", self.api.subject(&self.api.role()))
            .said(format!("missing: {}", all.join("; ")))
            .with_hint(format!(
                "give the role what is missing; `certferry policy {}` prints the whole role",
                self.api.name()
            )))
    }

    /// What the controller says to a user without the right; `None` when the user has it.
    async fn refusal(&self, right: &Right) -> Result<Option<String>, Error> {
        let types = types(right.resource);
        for kind in types {
            let probed = if right.write { nobody(kind) } else { String::new() };
            let mut query = vec![("fields", "name"), ("page_size", "1")];
            if right.write {
                query.push(("uuid", probed.as_str()));
            }
            let (body, said) = self.probe(&Method::GET, &[kind], &query, right).await?;
            if said.is_some() {
                return Ok(said);
            }
            if list(&body, "results").iter().any(|object| uuid(object) == Some(&probed)) {
                return Err(self.refused(
                    &format!("GET {kind}"),
                    &format!("{kind} `{probed}`"),
                    "somebody made an object with a uuid of zeros, by whose deletion the right to write is tried",
                    "remove it, or give it another uuid",
                ));
            }
        }
        // The first type is the one that certferry writes.
        let Some(kind) = types.first().filter(|_| right.write) else { return Ok(None) };
        let (_, said) = self.probe(&Method::DELETE, &[kind, &nobody(kind)], &[], right).await?;
        Ok(said)
    }

    /// The answer, or what was said when the right is missing.
    async fn probe(
        &self,
        method: &Method,
        segments: &[&str],
        query: &[(&str, &str)],
        right: &Right,
    ) -> Result<(Value, Option<String>), Error> {
        let url = self.api.address(segments, query);
        let deadline = Instant::now() + self.api.limits.retry;
        let failure = match self.api.repeated(method, &url, deadline, |_| false).await {
            Ok(answer) => return Ok((serde_json::from_slice(&answer.body).unwrap_or_default(), None)),
            Err(Failed::Login(error)) => return Err(error),
            Err(Failed::Call(failure)) => failure,
        };
        match failure.meaning() {
            Some(Meaning::Denied) => Ok((Value::Null, Some(failure.said()))),
            // Who may not write is told so first: what is wrong with the call itself is only told to those who may.
            Some(Meaning::Changed | Meaning::InUse | Meaning::Invalid | Meaning::NotFound | Meaning::NotOffered)
                if *method != Method::GET =>
            {
                Ok((Value::Null, None))
            }
            _ => {
                let operation = format!("{method} {}", segments.first().copied().unwrap_or_default());
                Err(self.api.failure_error(&operation, right.shown, method, right.resource, &failure))
            }
        }
    }
}

/// A right that the user's role lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MissingPermission {
    /// As a role names it: `PERMISSION_HTTPPOLICYSET`.
    pub resource: &'static str,
    /// What the role has to give: `READ_ACCESS` or `WRITE_ACCESS`, which includes it.
    pub access: &'static str,
    /// As the controller's UI calls it: `Templates > HTTP Policy Sets`.
    pub shown: &'static str,
    /// What certferry needs it for.
    pub why: &'static str,
    /// What the controller said.
    pub said: String,
}

impl fmt::Display for MissingPermission {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { resource, access, shown, why, said } = self;
        write!(formatter, "{shown} ({resource} with {access}) to {why}: the controller says `{said}`")
    }
}

/// The types of object that a resource stands for in the API. VS VIPs are believed to have no resource of their own, which
/// is why they are tried too.
fn types(resource: &str) -> &'static [&'static str] {
    match resource {
        "PERMISSION_APPLICATIONPROFILE" => &["applicationprofile"],
        "PERMISSION_CLOUD" => &["cloud"],
        "PERMISSION_HTTPPOLICYSET" => &["httppolicyset"],
        "PERMISSION_NETWORKPROFILE" => &["networkprofile"],
        "PERMISSION_SERVICEENGINEGROUP" => &["serviceenginegroup"],
        "PERMISSION_SSLKEYANDCERTIFICATE" => &["sslkeyandcertificate"],
        "PERMISSION_VIRTUALSERVICE" => &["virtualservice", "vsvip"],
        "PERMISSION_VRFCONTEXT" => &["vrfcontext"],
        _ => &[],
    }
}

/// A uuid that no controller gives: those that it makes are random (RFC 9562 §5.4), and this is the nil UUID (§5.9).
fn nobody(kind: &str) -> String {
    format!("{kind}-00000000-0000-0000-0000-000000000000")
}

#[cfg(test)]
mod tests {
    use super::super::config::{Http01Config, Port80};
    use super::*;

    #[test]
    fn every_right_can_be_tried() {
        for port_80 in [None, Some(Port80::AddService), Some(Port80::Require), Some(Port80::Sibling)] {
            let http01 = port_80.map(|port_80| Http01Config {
                names: Default::default(),
                otherwise: Vec::new(),
                port_80,
                keep: false,
                probe: Vec::new(),
            });
            for right in rights(http01.as_ref(), true) {
                assert!(!types(right.resource).is_empty(), "nobody would notice that {} is missing", right.resource);
            }
        }
    }

    #[test]
    fn a_missing_right_is_told_in_the_words_of_the_role_and_of_the_ui() {
        let missing = MissingPermission {
            resource: "PERMISSION_HTTPPOLICYSET",
            access: "WRITE_ACCESS",
            shown: "Templates > HTTP Policy Sets",
            why: "answer challenges",
            said: "403: no".to_owned(),
        };
        assert_eq!(
            missing.to_string(),
            "Templates > HTTP Policy Sets (PERMISSION_HTTPPOLICYSET with WRITE_ACCESS) to answer challenges: the \
             controller says `403: no`"
        );
    }
}
