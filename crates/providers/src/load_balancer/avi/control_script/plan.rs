//! What is missing or differs, and the change that makes it right: a pure function of what was read.

use std::collections::BTreeMap;

use certferry_core::ErrorKind;
use http::Method;
use serde::Serialize;
use serde_json::{Value, json};

use super::super::change::{Change, Decision, Problem};
use super::super::model::{ADMIN_TENANT, Collection, list, name, text, uuid};
use super::super::objects::Objects;
use super::super::tenant::Tenant;
use super::SetupUser;
use super::compare::{SECRET, field, is_in, is_named, profile_fields, role_fields, script_fields, user_fields};
use super::desired::{Desired, PROFILE_MARK, Parameter, SCRIPT_MARK, TRUSTED_ROOTS, USER_MARK};
use super::step::{SetupAction, SetupField, SetupStep};
use crate::load_balancer::secret_body::secret_body;

/// A step, and the call that it is.
pub(super) struct Planned {
    pub(super) step: SetupStep,
    pub(super) change: Change,
    /// Nothing differs that can be seen: its secrets are to be written again.
    pub(super) only_secrets: bool,
}

/// All that is to be done, in order. An object that is somebody else's stops all of it.
pub(super) fn planned(tenant: &Tenant, desired: &Desired<'_>) -> Result<Vec<Planned>, Problem> {
    let mut steps = vec![script(tenant, desired)?];
    if let Some(wanted) = &desired.setup.user {
        steps.push(role(tenant, desired)?);
        steps.push(user(tenant, desired, wanted)?);
    }
    steps.push(profile(tenant, desired)?);
    Ok(steps.into_iter().flatten().collect())
}

/// The next change that reading will show.
pub(super) fn next(tenant: &Tenant, desired: &Desired<'_>) -> Decision {
    Ok(planned(tenant, desired)?.into_iter().find(|step| !step.only_secrets).map(|step| step.change))
}

type Step = Result<Option<Planned>, Problem>;

fn script(tenant: &Tenant, desired: &Desired<'_>) -> Step {
    let target = Target { collection: Collection::ControlScripts, name: &desired.setup.script_name };
    let Some(found) = named(&tenant.control_scripts, target.name, desired.tenant) else {
        let mut body = desired.script();
        body.insert("name".to_owned(), json!(target.name));
        return target.create(script_fields(None, desired), &body);
    };
    let fields = script_fields(Some(found), desired);
    if fields.is_empty() {
        return Ok(None);
    }
    if !text(found, "action_script").is_some_and(|script| script.trim_start().starts_with(SCRIPT_MARK)) {
        return Err(target.foreign(&names(&fields), "rename or remove it, or choose another name with `--script`"));
    }
    target.update(found, fields, None, &desired.script())
}

/// A role has no field that could tell who made it, so one that differs is left alone.
fn role(tenant: &Tenant, desired: &Desired<'_>) -> Step {
    let target = Target { collection: Collection::Roles, name: &desired.setup.role_name };
    let Some(found) = named(&tenant.roles, target.name, ADMIN_TENANT) else {
        let body = json!({"name": target.name, "privileges": desired.privileges});
        return target.create(role_fields(&Value::Null, desired), &body);
    };
    let fields = role_fields(found, desired);
    if fields.is_empty() {
        return Ok(None);
    }
    // Rights are no secrets, and by hand they are changed one by one.
    Err(target.foreign(&joined(&fields), "change its rights by hand, or choose another name with `--role`"))
}

fn user(tenant: &Tenant, desired: &Desired<'_>, wanted: &SetupUser) -> Step {
    let target = Target { collection: Collection::Users, name: &wanted.username };
    let password = field("password", None, SECRET.to_owned());
    let is_it = |user: &&Value| text(user, "username").unwrap_or_else(|| name(user)) == target.name;
    let role = named(&tenant.roles, &desired.setup.role_name, ADMIN_TENANT).and_then(uuid);
    let Some(found) = tenant.users.iter().find(is_it) else {
        let mut fields = user_fields(&Value::Null, role, desired);
        fields.push(password);
        return target.create(fields, &desired.user_body(wanted));
    };
    let fields = user_fields(found, role, desired);
    if fields.is_empty() && !desired.setup.rewrite_secrets {
        return Ok(None);
    }
    if text(found, "full_name") != Some(USER_MARK) {
        return Err(target.foreign(&names(&fields), "change or remove it, or name another `username` in the config"));
    }
    target.update(found, fields, Some(password), &desired.user_rights(wanted))
}

fn profile(tenant: &Tenant, desired: &Desired<'_>) -> Step {
    let target = Target { collection: Collection::CertificateManagementProfiles, name: &desired.setup.profile_name };
    let script = named(&tenant.control_scripts, &desired.setup.script_name, desired.tenant).and_then(uuid);
    let Some(found) = named(&tenant.certificate_management_profiles, target.name, desired.tenant) else {
        let body = ProfileBody {
            name: Some(target.name),
            run_script_ref: desired.script_reference(),
            script_params: desired.parameters().into_iter().map(Param::Own).collect(),
        };
        return target.create(profile_fields(&Value::Null, script, desired), &body);
    };
    let params = list(found, "script_params");
    let fields = profile_fields(found, script, desired);
    if fields.is_empty() && !desired.setup.rewrite_secrets {
        return Ok(None);
    }
    let is_mark = |one: &Value| is_named(one, PROFILE_MARK.0) && text(one, "value") == Some(PROFILE_MARK.1);
    if !params.iter().any(is_mark) {
        return Err(target.foreign(&names(&fields), "rename or remove it, or choose another name with `--profile`"));
    }
    let token = (!fields.iter().any(|field| field.wanted == SECRET))
        .then(|| field("script_params.token", None, SECRET.to_owned()));
    let own = desired.parameters();
    let is_others = |one: &&Value| !is_named(one, TRUSTED_ROOTS) && !own.iter().any(|own| is_named(one, own.name));
    let others: Vec<Param<'_>> = params.iter().filter(is_others).map(Param::Others).collect();
    let body = ProfileBody {
        name: None,
        run_script_ref: desired.script_reference(),
        script_params: desired.parameters().into_iter().map(Param::Own).chain(others).collect(),
    };
    target.update(found, fields, token, &body)
}

/// The object of that name in a tenant; what tenant `admin` shares is seen in others too.
fn named<'a>(objects: &'a Objects, wanted: &str, tenant: &str) -> Option<&'a Value> {
    objects.iter().find(|object| name(object) == wanted && is_in(object, tenant))
}

/// The object that a step is about.
struct Target<'a> {
    collection: Collection,
    name: &'a str,
}

impl Target<'_> {
    fn create(&self, fields: Vec<SetupField>, body: &impl Serialize) -> Step {
        let change = self.change(Method::POST, None, body)?;
        let step = SetupStep {
            object: self.collection.object(self.name),
            what: SetupAction::Create,
            why: "there is none of that name".to_owned(),
            fields,
        };
        Ok(Some(Planned { step, change, only_secrets: false }))
    }

    /// Only the fields in `body` change, a secret among them with all others.
    fn update(
        &self,
        found: &Value,
        mut fields: Vec<SetupField>,
        secret: Option<SetupField>,
        body: &impl Serialize,
    ) -> Step {
        let Some(id) = uuid(found) else {
            let said = "the controller shows no uuid of it".to_owned();
            return Err(self.problem(&Method::PATCH, said, "report this"));
        };
        let change = self.change(Method::PATCH, Some(id), &BTreeMap::from([("replace", body)]))?;
        let only_secrets = fields.is_empty();
        let why = if only_secrets { "its secret is written again, as asked".to_owned() } else { joined(&fields) };
        fields.extend(secret);
        let step = SetupStep { object: self.collection.object(self.name), what: SetupAction::Update, why, fields };
        Ok(Some(Planned { step, change, only_secrets }))
    }

    fn foreign(&self, differs: &str, hint: &str) -> Problem {
        let said = format!("it is there already, nothing in it says that certferry made it, and it differs: {differs}");
        self.problem(&Method::PATCH, said, hint)
    }

    fn change(&self, method: Method, uuid: Option<&str>, body: &impl Serialize) -> Result<Change, Problem> {
        let body =
            secret_body(body, BODY_ROOM).map_err(|error| self.problem(&method, error.to_string(), "report this"))?;
        let uuid = uuid.map(str::to_owned);
        Ok(Change {
            method,
            collection: self.collection,
            uuid,
            object: self.collection.object(self.name),
            body: Some(body),
        })
    }

    fn problem(&self, method: &Method, said: String, hint: &str) -> Problem {
        Problem {
            kind: ErrorKind::Invalid,
            operation: format!("{method} {}", self.collection.key()),
            object: self.collection.object(self.name),
            said,
            hint: hint.to_owned(),
        }
    }
}

/// A profile as POST takes it, and without its name as PATCH does.
#[derive(Serialize)]
struct ProfileBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    run_script_ref: String,
    script_params: Vec<Param<'a>>,
}

/// A parameter of certferry's, or one that stays as it was read.
#[derive(Serialize)]
#[serde(untagged)]
enum Param<'a> {
    Others(&'a Value),
    Own(Parameter<'a>),
}

fn joined(fields: &[SetupField]) -> String {
    fields.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// Without values: what somebody else's object holds may be a secret.
fn names(fields: &[SetupField]) -> String {
    match fields {
        [] => "its secret is to be written again".to_owned(),
        fields => fields.iter().map(|field| field.name.as_str()).collect::<Vec<_>>().join(", "),
    }
}

/// More than script and parameters need.
const BODY_ROOM: usize = 64 << 10;
