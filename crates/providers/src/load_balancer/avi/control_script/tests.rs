//! Plans against a controller in memory, which does what a real one does with creations and PATCHes.

use certferry_core::Secret;
use http::Method;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::change::Change;
use super::super::model::{Collection, flag, uuid};
use super::super::objects::Objects;
use super::super::tenant::Tenant;
use super::desired::Desired;
use super::plan::{next, planned};
use super::{ControlScriptSetup, OBJECTS, SetupAction, SetupUser, control_script_text};

fn setup() -> ControlScriptSetup {
    let url = "https://certferry.some-domain.com:8443".parse().unwrap();
    let mut setup = ControlScriptSetup::new(url, "edge".parse().unwrap(), Secret::new("sesame-9".to_owned()));
    setup.trusted_roots = Some("-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----\n".to_owned());
    setup.user = Some(SetupUser { username: "ferry".to_owned(), password: Secret::new("hunter2".to_owned()) });
    setup
}

fn desired(setup: &ControlScriptSetup) -> Desired<'_> {
    let privileges = vec![json!({"resource": "PERMISSION_VIRTUALSERVICE", "type": "WRITE_ACCESS"})];
    Desired { setup, tenant: "shop", privileges, timeout: true }
}

fn objects(tenant: &mut Tenant, collection: Collection) -> &mut Objects {
    match collection {
        Collection::CertificateManagementProfiles => &mut tenant.certificate_management_profiles,
        Collection::ControlScripts => &mut tenant.control_scripts,
        Collection::Roles => &mut tenant.roles,
        _ => &mut tenant.users,
    }
}

/// Does what a controller does with a creation or PATCH, and shows it as one does.
fn apply(tenant: &mut Tenant, change: &Change) {
    let body: Value = serde_json::from_slice(change.body.as_deref().unwrap()).unwrap();
    let collection = change.collection;
    if change.method == Method::POST {
        let mut object = body;
        object["uuid"] = json!(format!("{}-1", collection.key()));
        let own = collection.tenant("shop");
        object["tenant_ref"] = json!(format!("https://avi/api/tenant/tenant-{own}#{own}"));
        show(&mut object);
        objects(tenant, collection).push(object);
        return;
    }
    let found = objects(tenant, collection).iter_mut().find(|object| uuid(object) == change.uuid.as_deref());
    let found = found.unwrap();
    for (name, value) in body["replace"].as_object().unwrap() {
        found[name.as_str()] = value.clone();
    }
    show(found);
}

fn show(object: &mut Value) {
    let object = object.as_object_mut().unwrap();
    object.remove("password");
    if object.contains_key("run_script_ref") {
        object["run_script_ref"] = json!("https://avi/api/alertscriptconfig/alertscriptconfig-1#certferry");
    }
    for access in object.get_mut("access").and_then(Value::as_array_mut).into_iter().flatten() {
        access["role_ref"] = json!("https://avi/api/role/role-1#certferry");
        access["tenant_ref"] = json!("https://avi/api/tenant/tenant-shop#shop");
    }
    for parameter in object.get_mut("script_params").and_then(Value::as_array_mut).into_iter().flatten() {
        if flag(parameter, "is_sensitive", false) {
            parameter["value"] = json!("<sensitive>");
        }
    }
}

/// Everything set up.
fn done(desired: &Desired<'_>) -> Tenant {
    let mut tenant = Tenant::default();
    while let Some(change) = next(&tenant, desired).unwrap() {
        apply(&mut tenant, &change);
    }
    tenant
}

#[test]
fn one_after_the_other_is_made_and_then_nothing_is_left() {
    let setup = setup();
    let desired = desired(&setup);
    let mut tenant = Tenant::default();
    let mut left = 4;
    while let Some(change) = next(&tenant, &desired).unwrap() {
        assert_eq!(planned(&tenant, &desired).unwrap().len(), left);
        apply(&mut tenant, &change);
        left -= 1;
    }
    assert_eq!(left, 0);
}

#[test]
fn what_a_controller_adds_and_reformats_is_no_difference() {
    let setup = setup();
    let desired = desired(&setup);
    let mut tenant = done(&desired);
    tenant.roles[0]["privileges"]
        .as_array_mut()
        .unwrap()
        .push(json!({"resource": "PERMISSION_POOL", "type": "NO_ACCESS"}));
    tenant.roles[0]["allow_unlabelled_access"] = json!(true);
    let script = control_script_text().replace('\n', "\r\n");
    tenant.control_scripts[0]["action_script"] = json!(script.trim_end());
    let profile = &mut tenant.certificate_management_profiles[0];
    profile["markers"] = json!([{"key": "a"}]);
    let params = profile["script_params"].as_array_mut().unwrap();
    params[3]["value"] = json!(params[3]["value"].as_str().unwrap().replace('\n', " "));
    params[0].as_object_mut().unwrap().remove("is_dynamic");
    params.push(json!({"name": "time_limit", "value": "300"}));
    tenant.users[0].as_object_mut().unwrap().remove("local");
    assert!(planned(&tenant, &desired).unwrap().is_empty());
}

#[test]
fn each_difference_is_one_step_that_names_it_and_repairs_it() {
    type Spoil = fn(&mut Tenant);
    let params = "/script_params";
    let cases: [(&str, Spoil); 9] = [
        ("timeout is 60, not 600", |tenant| tenant.control_scripts[0]["timeout"] = json!(60)),
        ("action_script is", |tenant| tenant.control_scripts[0]["action_script"] = json!("# certferry: old\n")),
        ("is_superuser is true, not false", |tenant| tenant.users[0]["is_superuser"] = json!(true)),
        ("access is other access (1 entries)", |tenant| tenant.users[0]["access"][0]["all_tenants"] = json!(true)),
        ("access is other access", |tenant| {
            tenant.users[0]["access"][0]["tenant_ref"] = json!("https://avi/api/tenant/tenant-x#x");
        }),
        ("script_params.url is https://x, not https://certferry", |tenant| {
            tenant.certificate_management_profiles[0]["script_params"][0]["value"] = json!("https://x");
        }),
        ("script_params.token is set (not sensitive), not (secret)", |tenant| {
            let token = &mut tenant.certificate_management_profiles[0]["script_params"][2];
            *token = json!({"name": "token", "value": "sesame-9"});
        }),
        ("script_params.token is not there, to be (secret)", |tenant| {
            tenant.certificate_management_profiles[0]["script_params"].as_array_mut().unwrap().remove(2);
        }),
        ("run_script_ref is ControlScript `x`, not ControlScript `certferry`", |tenant| {
            let reference = json!("https://avi/api/alertscriptconfig/alertscriptconfig-9#x");
            tenant.certificate_management_profiles[0]["run_script_ref"] = reference;
        }),
    ];
    let setup = setup();
    let desired = desired(&setup);
    for (why, spoil) in cases {
        let mut tenant = done(&desired);
        let others = json!({"name": "time_limit", "value": "300"});
        tenant.certificate_management_profiles[0].pointer_mut(params).unwrap().as_array_mut().unwrap().push(others);
        spoil(&mut tenant);
        let steps = planned(&tenant, &desired).unwrap();
        let [step] = steps.as_slice() else { panic!("{why}: {} steps", steps.len()) };
        assert!(step.step.why.contains(why) && !step.only_secrets, "{why}: {}", step.step);
        assert!(!serde_json::to_string(&step.step).unwrap().contains("sesame-9"), "{why}");
        apply(&mut tenant, &step.change);
        assert!(planned(&tenant, &desired).unwrap().is_empty(), "{why}");
        let last = tenant.certificate_management_profiles[0].pointer(params).unwrap().as_array().unwrap().last();
        assert_eq!(last.unwrap()["name"], "time_limit", "{why}: the operator's parameter stays");
    }
}

#[test]
fn roots_that_are_not_wanted_any_more_go() {
    let with = setup();
    let mut tenant = done(&desired(&with));
    let without = ControlScriptSetup { trusted_roots: None, ..with };
    let steps = planned(&tenant, &desired(&without)).unwrap();
    assert_eq!(steps[0].step.why, "script_params.trusted_roots is set, not absent");
    apply(&mut tenant, &steps[0].change);
    assert!(planned(&tenant, &desired(&without)).unwrap().is_empty());
}

#[test]
fn an_object_of_another_tenant_is_another_object() {
    let setup = setup();
    let desired = desired(&setup);
    let mut tenant = Tenant::default();
    for tenant_ref in ["https://avi/api/tenant/admin#admin", "https://avi/api/tenant/admin"] {
        tenant.control_scripts.push(json!({"name": "certferry", "uuid": "x", "tenant_ref": tenant_ref}));
    }
    assert_eq!(planned(&tenant, &desired).unwrap()[0].step.what, SetupAction::Create);
}

#[test]
fn secrets_are_written_again_only_where_they_were_asked_for_and_nothing_else_differs() {
    let mut setup = setup();
    let tenant = done(&desired(&setup));
    setup.rewrite_secrets = true;
    let desired = desired(&setup);
    let steps = planned(&tenant, &desired).unwrap();
    let objects: Vec<&str> = steps.iter().map(|step| step.step.object.as_str()).collect();
    assert_eq!(objects, ["user `ferry`", "certificate management profile `certferry`"]);
    assert!(steps.iter().all(|step| step.only_secrets) && next(&tenant, &desired).unwrap().is_none());
}

/// Any JSON.
fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    let keys =
        prop::sample::select(vec!["name", "uuid", "value", "access", "script_params", "privileges", "tenant_ref"]);
    leaf.prop_recursive(3, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((keys.clone(), inner), 0..4)
                .prop_map(|fields| fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
        ]
    })
}

proptest! {
    #[test]
    fn no_object_makes_it_panic(object in json_value(), collection in 0..4_usize) {
        let setup = setup();
        let desired = desired(&setup);
        let mut tenant = done(&desired);
        let objects = objects(&mut tenant, OBJECTS[collection]);
        let mut spoiled = objects[0].clone();
        if let (Some(fields), Some(others)) = (spoiled.as_object_mut(), object.as_object()) {
            fields.extend(others.clone());
        }
        objects[0] = spoiled;
        objects.push(object);
        let _ = planned(&tenant, &desired).map(|steps| steps.len());
    }
}

#[test]
fn marks_are_what_tells_own_objects() {
    let setup = setup();
    let desired = desired(&setup);
    for (collection, spoil, option) in [
        (Collection::ControlScripts, json!({"action_script": "print()"}), "--script"),
        (Collection::Roles, json!({"privileges": [{"resource": "PERMISSION_POOL", "type": "WRITE_ACCESS"}]}), "--role"),
        (Collection::Users, json!({"full_name": "Ferry", "is_superuser": true}), "`username`"),
        (Collection::CertificateManagementProfiles, json!({"script_params": []}), "--profile"),
    ] {
        let mut tenant = done(&desired);
        let found = &mut objects(&mut tenant, collection)[0];
        found.as_object_mut().unwrap().extend(spoil.as_object().unwrap().clone());
        let problem = planned(&tenant, &desired).err().unwrap();
        assert!(problem.hint.contains(option), "{problem:?}");
        assert!(problem.object.contains(collection.object("").split('`').next().unwrap()), "{problem:?}");
    }
}
