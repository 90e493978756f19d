//! What is to be on the controller, and what a set-up must be to work.

use certferry_core::ErrorKind;
use serde::Serialize;
use serde_json::{Map, Value, json};
use url::form_urlencoded;

use super::super::change::Problem;
use super::super::model::{ADMIN_TENANT, Collection};
use super::{ControlScriptSetup, SetupUser, control_script_text};

/// A set-up, with what it means for one tenant of one controller.
pub(super) struct Desired<'a> {
    pub(super) setup: &'a ControlScriptSetup,
    /// The tenant of script and profile, and the only one that the user has a role in.
    pub(super) tenant: &'a str,
    /// What the role permits.
    pub(super) privileges: Vec<Value>,
    /// Whether the API has a time limit for scripts.
    pub(super) timeout: bool,
}

/// A custom parameter of the profile. Serialized from where it is, so that the token is in no [`Value`], which is not
/// wiped.
#[derive(Serialize)]
pub(super) struct Parameter<'a> {
    pub(super) name: &'static str,
    pub(super) value: &'a str,
    pub(super) is_sensitive: bool,
    pub(super) is_dynamic: bool,
}

/// The user, as `POST user` takes it.
#[derive(Serialize)]
pub(super) struct UserBody<'a> {
    name: &'a str,
    username: &'a str,
    full_name: &'static str,
    default_tenant_ref: String,
    #[serde(flatten)]
    rights: UserRights<'a>,
}

/// What makes the user the one that is wanted, as PATCH takes it.
#[derive(Serialize)]
pub(super) struct UserRights<'a> {
    local: bool,
    is_superuser: bool,
    access: Value,
    password: &'a str,
}

impl<'a> Desired<'a> {
    /// `alertscriptconfig` without its name.
    pub(super) fn script(&self) -> Map<String, Value> {
        let mut fields = Map::from_iter([("action_script".to_owned(), json!(control_script_text()))]);
        if self.timeout {
            fields.insert("timeout".to_owned(), json!(SCRIPT_SECONDS));
        }
        fields
    }

    /// `user` as it is created.
    pub(super) fn user_body(&self, user: &'a SetupUser) -> UserBody<'a> {
        UserBody {
            name: &user.username,
            username: &user.username,
            full_name: USER_MARK,
            default_tenant_ref: by_name("tenant", self.tenant),
            rights: self.user_rights(user),
        }
    }

    /// What of it is kept as it is wanted.
    pub(super) fn user_rights(&self, user: &'a SetupUser) -> UserRights<'a> {
        let access = json!([{
            "role_ref": by_name(Collection::Roles.key(), &self.setup.role_name),
            "tenant_ref": by_name("tenant", self.tenant),
            "all_tenants": false,
        }]);
        UserRights { local: true, is_superuser: false, access, password: user.password.expose() }
    }

    /// The reference of the profile to the script.
    pub(super) fn script_reference(&self) -> String {
        by_name(Collection::ControlScripts.key(), &self.setup.script_name)
    }

    /// The script's parameters, and the mark of who made the profile.
    pub(super) fn parameters(&self) -> Vec<Parameter<'a>> {
        let setup = self.setup;
        let parameter = |name, value, is_sensitive| Parameter { name, value, is_sensitive, is_dynamic: false };
        let mut parameters = vec![
            parameter("url", url(setup), false),
            parameter("load_balancer", setup.load_balancer.as_str(), false),
            parameter("token", setup.token.expose().as_str(), true),
        ];
        if let Some(roots) = &setup.trusted_roots {
            parameters.push(parameter(TRUSTED_ROOTS, roots.as_str(), false));
        }
        parameters.push(parameter(PROFILE_MARK.0, PROFILE_MARK.1, false));
        parameters
    }
}

/// The address as the script takes it.
pub(super) fn url(setup: &ControlScriptSetup) -> &str {
    setup.url.as_url().as_str().trim_end_matches('/')
}

/// Whether the set-up can work as it is written.
pub(super) fn check(setup: &ControlScriptSetup) -> Result<(), Problem> {
    let problem = |said: &str, hint: &str| {
        Err(Problem {
            kind: ErrorKind::Invalid,
            operation: "setting up the ControlScript".to_owned(),
            object: Collection::CertificateManagementProfiles.object(&setup.profile_name),
            said: said.to_owned(),
            hint: hint.to_owned(),
        })
    };
    if setup.url.as_url().scheme() != "https" {
        return problem(
            "the script speaks https only",
            "give certferry's API a certificate, and its https address here",
        );
    }
    let token = setup.token.expose();
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        let said = "the token is empty, or has letters that no HTTP header may have";
        return problem(said, "make another one of letters, digits, `-` and `_`");
    }
    if let Some(roots) = &setup.trusted_roots {
        let blocks = pem::parse_many(roots).unwrap_or_default();
        if blocks.is_empty() || blocks.iter().any(|block| block.tag() != "CERTIFICATE") {
            let said = "the trusted roots are not PEM of certificates and nothing else";
            return problem(said, "name the root's certificate only: everybody who sees the profile sees it");
        }
    }
    let names = [&setup.script_name, &setup.profile_name, &setup.role_name];
    let username = setup.user.as_ref().map(|user| &user.username);
    if names.into_iter().chain(username).any(|name| name.trim().is_empty() || name.contains(char::is_control)) {
        return problem("the name of an object is empty or has control characters", "give it another name");
    }
    if setup.user.as_ref().is_some_and(|user| user.password.expose().is_empty()) {
        return problem("the user's password is empty", "where does `password` of the load balancer point?");
    }
    if setup.user.as_ref().is_some_and(|user| user.username == ADMIN_TENANT) {
        let said = "user `admin` is the controller's own, and is not made less than it is";
        return problem(said, "name a user of certferry's own as `username` of the load balancer");
    }
    Ok(())
}

/// A reference that writes take and the controller resolves.
fn by_name(key: &str, name: &str) -> String {
    let name: String = form_urlencoded::byte_serialize(name.as_bytes()).collect();
    // In a query a space is `+` to forms only.
    format!("/api/{key}?name={}", name.replace('+', "%20"))
}

/// Above the script's own limit (540 s), so that operators see its words and not the controller's.
pub(super) const SCRIPT_SECONDS: u64 = 600;

/// How the first line of the script begins: the mark of who made it.
pub(super) const SCRIPT_MARK: &str = "# certferry:";

/// The mark of who made the user, as its full name.
pub(super) const USER_MARK: &str = "made by certferry";

/// The mark of who made the profile, as a parameter of which the script takes no notice.
pub(super) const PROFILE_MARK: (&str, &str) = ("created_by", "certferry");

/// The parameter that may be absent.
pub(super) const TRUSTED_ROOTS: &str = "trusted_roots";

#[cfg(test)]
mod tests {
    use super::*;

    fn setup() -> ControlScriptSetup {
        ControlScriptSetup::new(
            "https://certferry.some-domain.com:8443/".parse().unwrap(),
            "edge".parse().unwrap(),
            "token-0123456789".to_owned().into(),
        )
    }

    #[test]
    fn the_script_begins_with_its_mark() {
        assert!(control_script_text().starts_with(SCRIPT_MARK));
    }

    #[test]
    fn a_set_up_that_cannot_work_is_refused_with_a_way_out() {
        type Adjust = fn(&mut ControlScriptSetup);
        let cases: [(&str, Adjust); 8] = [
            ("https only", |setup| setup.url = "http://127.0.0.1:1".parse().unwrap()),
            ("token is empty", |setup| setup.token = String::new().into()),
            ("token is empty, or has letters", |setup| setup.token = "a\nb".to_owned().into()),
            ("not PEM", |setup| setup.trusted_roots = Some("x".to_owned())),
            ("nothing else", |setup| {
                setup.trusted_roots = Some("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n".to_owned());
            }),
            ("the name of an object", |setup| setup.role_name = " ".to_owned()),
            ("password is empty", |setup| {
                setup.user = Some(SetupUser { username: "u".to_owned(), password: String::new().into() });
            }),
            ("controller's own", |setup| {
                setup.user = Some(SetupUser { username: "admin".to_owned(), password: "p".to_owned().into() });
            }),
        ];
        assert_eq!(check(&setup()), Ok(()));
        for (said, adjust) in cases {
            let mut setup = setup();
            adjust(&mut setup);
            let problem = check(&setup).unwrap_err();
            assert!(problem.said.contains(said) && !problem.hint.is_empty(), "{said}: {problem:?}");
        }
    }

    #[test]
    fn names_are_escaped_in_references() {
        assert_eq!(by_name("role", "a b&c=d+e#f"), "/api/role?name=a%20b%26c%3Dd%2Be%23f");
    }
}
