//! What the set-up makes, leaves alone, repairs and refuses.

use std::time::Duration;

use certferry_core::ErrorKind;
use certferry_core::port::LoadBalancer;
use certferry_lab::avi_controller::{AviOptions, Effect, Fault};
use certferry_providers::load_balancer::avi::{SetupAction, SetupStep, control_script_text, printed, role};
use serde_json::{Value, json};

use super::{PASSWORD, TOKEN, World};

fn objects(steps: &[SetupStep]) -> Vec<(SetupAction, &str)> {
    steps.iter().map(|step| (step.what, step.object.as_str())).collect()
}

const ALL: [(SetupAction, &str); 4] = [
    (SetupAction::Create, "ControlScript `certferry`"),
    (SetupAction::Create, "role `certferry`"),
    (SetupAction::Create, "user `certferry`"),
    (SetupAction::Create, "certificate management profile `certferry`"),
];

#[tokio::test]
async fn the_plan_lists_all_that_is_to_be_made_and_makes_nothing() {
    let world = World::start().await;
    let plan = world.administrator.control_script_plan(&world.setup).await.unwrap();
    assert_eq!(objects(&plan), ALL);
    assert_eq!(world.writes(), 0);
    let names: Vec<&str> = plan[3].fields.iter().map(|field| field.name.as_str()).collect();
    let parameters = ["url", "load_balancer", "token", "created_by"].map(|name| format!("script_params.{name}"));
    assert_eq!(names[0], "run_script_ref");
    assert_eq!(names[1..], parameters);
    let written = serde_json::to_string(&plan).unwrap() + &plan.iter().map(ToString::to_string).collect::<String>();
    for secret in [TOKEN, PASSWORD] {
        assert!(!written.contains(secret), "{secret} is in {written}");
    }
}

#[tokio::test]
async fn what_is_installed_is_what_was_planned_and_a_second_time_there_is_nothing_to_do() {
    let world = World::start().await;
    let plan = world.administrator.control_script_plan(&world.setup).await.unwrap();
    assert_eq!(world.administrator.install_control_script(&world.setup).await.unwrap(), plan);
    let script = world.lab.object("alertscriptconfig", "certferry").unwrap();
    assert_eq!(script["action_script"], control_script_text());
    assert_eq!(script["timeout"], 600);
    assert_eq!(world.parameter("token").as_deref(), Some(TOKEN));
    let profile = world.lab.object("certificatemanagementprofile", "certferry").unwrap();
    assert!(!profile.to_string().contains(TOKEN), "the controller hides it: {profile}");
    assert_eq!(world.writes(), 4);
    assert_eq!(world.administrator.control_script_plan(&world.setup).await.unwrap(), []);
    assert_eq!(world.administrator.install_control_script(&world.setup).await.unwrap(), []);
    assert_eq!(world.writes(), 4);
}

#[tokio::test]
async fn the_user_that_is_made_can_do_its_work_and_nothing_more() {
    let world = World::start().await;
    world.administrator.install_control_script(&world.setup).await.unwrap();
    let certferry = world.login("certferry", PASSWORD);
    certferry.observe().await.unwrap();
    let refused = certferry.control_script_plan(&world.setup).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Denied);
    let privileges = world.lab.object("role", "certferry").unwrap()["privileges"].clone();
    assert_eq!(privileges, role(&world.config)["privileges"]);
    assert_eq!(privileges[0]["type"], "READ_ACCESS", "nothing is delivered, so certificates are only read");
    assert_eq!(certferry.missing_permissions().await.unwrap(), []);
}

#[tokio::test]
async fn without_a_user_accounts_are_left_alone() {
    let mut world = World::start().await;
    world.setup.user = None;
    let steps = world.administrator.install_control_script(&world.setup).await.unwrap();
    assert_eq!(objects(&steps), [ALL[0], ALL[3]]);
    assert!(world.lab.object("role", "certferry").is_err());
}

#[tokio::test]
async fn a_script_that_was_edited_is_put_right_and_the_rest_stays() {
    let world = World::start().await;
    world.administrator.install_control_script(&world.setup).await.unwrap();
    let edited = control_script_text().replace("LONGEST_PAUSE = 15", "LONGEST_PAUSE = 5");
    world
        .lab
        .edit("alertscriptconfig", "certferry", move |script| {
            script["action_script"] = json!(edited);
            script["not_invented_yet"] = json!({"depth": [1]});
        })
        .unwrap();
    let plan = world.administrator.control_script_plan(&world.setup).await.unwrap();
    assert_eq!(objects(&plan), [(SetupAction::Update, "ControlScript `certferry`")]);
    assert!(plan[0].why.starts_with("action_script is "), "{}", plan[0]);
    world.administrator.install_control_script(&world.setup).await.unwrap();
    let script = world.lab.object("alertscriptconfig", "certferry").unwrap();
    assert_eq!(script["action_script"], control_script_text());
    assert_eq!(script["not_invented_yet"], json!({"depth": [1]}));
    assert_eq!(world.administrator.control_script_plan(&world.setup).await.unwrap(), []);
}

#[tokio::test]
async fn another_address_is_written_with_the_token_and_others_parameters_stay() {
    let mut world = World::start().await;
    world.administrator.install_control_script(&world.setup).await.unwrap();
    world
        .lab
        .edit("certificatemanagementprofile", "certferry", |profile| {
            let parameters = profile["script_params"].as_array_mut().unwrap();
            parameters.push(json!({"name": "time_limit", "value": "300"}));
            parameters.push(json!({"name": "note", "value": "theirs", "is_sensitive": true}));
        })
        .unwrap();
    world.setup.url = "https://certferry.some-domain.com".parse().unwrap();
    world.setup.token = "the-next-token-0123456789".to_owned().into();
    let steps = world.administrator.install_control_script(&world.setup).await.unwrap();
    assert_eq!(objects(&steps), [(SetupAction::Update, ALL[3].1)]);
    for (name, value) in [
        ("url", "https://certferry.some-domain.com"),
        ("token", "the-next-token-0123456789"),
        ("time_limit", "300"),
        ("note", "theirs"),
    ] {
        assert_eq!(world.parameter(name).as_deref(), Some(value), "{name}");
    }
}

#[tokio::test]
async fn secrets_are_written_again_when_that_is_asked_for() {
    let mut world = World::start().await;
    world.administrator.install_control_script(&world.setup).await.unwrap();
    world.setup.token = "the-next-token-0123456789".to_owned().into();
    world.setup.user.as_mut().unwrap().password = "next-hunter2".to_owned().into();
    assert_eq!(world.administrator.install_control_script(&world.setup).await.unwrap(), [], "nobody can see that");
    world.setup.rewrite_secrets = true;
    for effect in [Effect::answer(503, "starting"), Effect::CloseAfter] {
        world.lab.add_fault(Fault::new("PATCH certificatemanagementprofile", effect));
    }
    let steps = world.administrator.install_control_script(&world.setup).await.unwrap();
    assert_eq!(objects(&steps), [(SetupAction::Update, ALL[2].1), (SetupAction::Update, ALL[3].1)]);
    assert_eq!(world.lab.pending_faults(), 0);
    assert_eq!(world.parameter("token").as_deref(), Some("the-next-token-0123456789"));
    world.login("certferry", "next-hunter2").observe().await.unwrap();
}

#[tokio::test]
async fn what_certferry_did_not_make_is_not_overwritten_and_stops_everything() {
    for (kind, object, hint) in [
        ("alertscriptconfig", json!({"name": "certferry", "action_script": "print(1)"}), "`--script`"),
        (
            "role",
            json!({"name": "certferry", "privileges": [{"resource": "PERMISSION_POOL", "type": "WRITE_ACCESS"}]}),
            "`--role`",
        ),
        (
            "user",
            json!({"username": "certferry", "full_name": "certferry", "password": "theirs",
                "access": [{"role_ref": "/api/role?name=System-Admin", "all_tenants": true}]}),
            "another `username`",
        ),
        (
            "certificatemanagementprofile",
            json!({"name": "certferry", "run_script_ref": "/api/alertscriptconfig?name=theirs",
                "script_params": [{"name": "url", "value": "https://u:p@theirs"}]}),
            "`--profile`",
        ),
    ] {
        let world = World::start().await;
        world.lab.create("admin", "alertscriptconfig", json!({"name": "theirs", "action_script": "print(2)"})).unwrap();
        world.lab.create("admin", kind, object).unwrap();
        let before = world.stored(kind, "certferry");
        for refused in [
            world.administrator.control_script_plan(&world.setup).await.unwrap_err(),
            world.administrator.install_control_script(&world.setup).await.unwrap_err(),
        ] {
            assert_eq!(refused.kind(), ErrorKind::Invalid);
            let text = refused.to_string();
            assert!(text.contains("nothing in it says that certferry made it") && !text.contains("u:p"), "{text}");
            assert!(refused.hint().unwrap().contains(hint), "{kind}: {:?}", refused.hint());
        }
        assert_eq!(world.stored(kind, "certferry"), before);
        assert_eq!(world.writes(), 0);
    }
}

#[tokio::test]
async fn a_role_of_other_rights_is_refused_right_by_right_and_another_name_helps() {
    let mut world = World::start().await;
    let privileges = json!([{"resource": "PERMISSION_VIRTUALSERVICE", "type": "READ_ACCESS"}]);
    world.lab.create("admin", "role", json!({"name": "certferry", "privileges": privileges})).unwrap();
    let refused = world.administrator.control_script_plan(&world.setup).await.unwrap_err().to_string();
    let expected = "privileges.PERMISSION_VIRTUALSERVICE is READ_ACCESS, not WRITE_ACCESS";
    assert!(refused.contains(expected), "{refused}");
    world.setup.role_name = "certferry least".to_owned();
    world.administrator.install_control_script(&world.setup).await.unwrap();
    assert_eq!(world.administrator.control_script_plan(&world.setup).await.unwrap(), []);
    world.login("certferry", PASSWORD).observe().await.unwrap();
}

#[tokio::test]
async fn what_was_made_by_hand_as_printed_is_taken_as_it_is() {
    let world = World::start().await;
    world.administrator.install_control_script(&world.setup).await.unwrap();
    world.lab.edit("user", "certferry", |user| user["full_name"] = json!("Load balancer robot")).unwrap();
    world
        .lab
        .edit("certificatemanagementprofile", "certferry", |profile| {
            profile["script_params"].as_array_mut().unwrap().retain(|one| one["name"] != "created_by");
        })
        .unwrap();
    assert_eq!(world.administrator.control_script_plan(&world.setup).await.unwrap(), []);
}

#[tokio::test]
async fn a_login_without_the_rights_is_told_which_one_it_needs() {
    let world = World::start().await;
    for (privileges, expected) in [
        (json!([]), "PERMISSION_ALERTCONFIG with READ_ACCESS in tenant `admin`"),
        (json!([{"resource": "PERMISSION_ALERTCONFIG", "type": "READ_ACCESS"}]), "PERMISSION_ROLE with READ_ACCESS"),
        (
            json!([
                {"resource": "PERMISSION_ALERTCONFIG", "type": "READ_ACCESS"},
                {"resource": "PERMISSION_ROLE", "type": "READ_ACCESS"},
                {"resource": "PERMISSION_USER", "type": "READ_ACCESS"},
                {"resource": "PERMISSION_CERTIFICATEMANAGEMENTPROFILE", "type": "READ_ACCESS"},
            ]),
            "PERMISSION_ALERTCONFIG with WRITE_ACCESS",
        ),
        (
            json!([
                {"resource": "PERMISSION_ALERTCONFIG", "type": "WRITE_ACCESS"},
                {"resource": "PERMISSION_ROLE", "type": "WRITE_ACCESS"},
                {"resource": "PERMISSION_USER", "type": "READ_ACCESS"},
                {"resource": "PERMISSION_CERTIFICATEMANAGEMENTPROFILE", "type": "READ_ACCESS"},
            ]),
            "PERMISSION_USER with WRITE_ACCESS",
        ),
    ] {
        let name = format!("limited-{}", world.lab.objects("role").unwrap().len());
        world.lab.create("admin", "role", json!({"name": name, "privileges": privileges})).unwrap();
        let user = json!({"username": name, "password": "limited", "default_tenant_ref": "/api/tenant?name=admin",
            "access": [{"role_ref": format!("/api/role?name={name}"), "tenant_ref": "/api/tenant?name=admin"}]});
        world.lab.create("admin", "user", user).unwrap();
        let refused = world.login(&name, "limited").install_control_script(&world.setup).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Denied);
        let hint = refused.hint().unwrap();
        assert!(hint.contains(expected), "{expected}: {hint}");
        assert!(hint.contains("log in as an administrator") && hint.contains(&name), "{hint}");
    }
}

#[tokio::test]
async fn a_set_up_that_ended_after_any_call_is_continued() {
    let kinds = ["alertscriptconfig", "role", "user", "certificatemanagementprofile"];
    for (made, kind) in kinds.into_iter().enumerate() {
        let world = World::start().await;
        let fault = Fault::new(format!("POST {kind}"), Effect::answer(400, "not now"));
        world.lab.add_fault(fault);
        let refused = world.administrator.install_control_script(&world.setup).await.unwrap_err();
        assert!(refused.to_string().contains("not now"), "{refused}");
        let plan = world.administrator.control_script_plan(&world.setup).await.unwrap();
        assert_eq!(objects(&plan), ALL[made..], "{kind}");
        assert_eq!(world.administrator.install_control_script(&world.setup).await.unwrap(), plan);
        assert_eq!(world.administrator.control_script_plan(&world.setup).await.unwrap(), [], "{kind}");
    }
}

#[tokio::test]
async fn a_set_up_converges_whatever_the_first_answers_are() {
    for kind in ["alertscriptconfig", "role", "user", "certificatemanagementprofile"] {
        for effect in [
            Effect::SessionEnds,
            Effect::answer(403, "Configuration is disallowed during upgrade"),
            Effect::answer(409, "busy"),
            Effect::answer(429, "slow down"),
            Effect::HtmlPage { status: 503, body: "<html><body>Service Unavailable</body></html>".to_owned() },
            Effect::CloseBefore,
            Effect::CloseAfter,
            Effect::Hang,
        ] {
            let world =
                World::with(AviOptions::default(), |config| config.limits.request = Duration::from_millis(600)).await;
            world.lab.add_fault(Fault::new(format!("POST {kind}"), effect.clone()));
            let outcome = world.administrator.install_control_script(&world.setup).await;
            assert!(outcome.is_ok(), "{kind} {effect:?}: {outcome:?}");
            assert_eq!(world.lab.pending_faults(), 0, "{kind} {effect:?}");
            let own =
                world.lab.objects(kind).unwrap().into_iter().filter(|object| object["name"] == "certferry").count();
            assert_eq!(own, 1, "{kind} {effect:?}");
        }
    }
}

#[tokio::test]
async fn in_another_tenant_script_and_profile_are_its_own_and_accounts_the_controllers() {
    let world = World::with(AviOptions::default(), |config| config.tenant = "shop & more".to_owned()).await;
    let shop = world.lab.create("admin", "tenant", json!({"name": "shop & more"})).unwrap();
    world.lab.create("admin", "alertscriptconfig", json!({"name": "theirs", "action_script": "print(2)"})).unwrap();
    let shared = json!({"name": "certferry", "run_script_ref": "/api/alertscriptconfig?name=theirs"});
    let shared = world.lab.create("admin", "certificatemanagementprofile", shared).unwrap();
    let before = world.lab.object("certificatemanagementprofile", &shared).unwrap();
    assert_eq!(objects(&world.administrator.install_control_script(&world.setup).await.unwrap()), ALL);
    assert_eq!(world.administrator.control_script_plan(&world.setup).await.unwrap(), []);
    assert_eq!(world.lab.object("certificatemanagementprofile", &shared).unwrap(), before);
    let in_shop = format!("/api/tenant/{shop}");
    let tenants = |kind: &str| -> Vec<Value> {
        let objects = world.lab.objects(kind).unwrap();
        objects.iter().filter(|one| one["name"] == "certferry").map(|one| one["tenant_ref"].clone()).collect()
    };
    assert_eq!(tenants("alertscriptconfig"), [json!(in_shop)]);
    assert_eq!(tenants("certificatemanagementprofile"), ["/api/tenant/admin", in_shop.as_str()]);
    assert_eq!(tenants("role"), ["/api/tenant/admin"]);
    let access = world.lab.object("user", "certferry").unwrap()["access"].clone();
    assert_eq!(access[0]["tenant_ref"], json!(in_shop));
    world.login("certferry", PASSWORD).observe().await.unwrap();
}

#[tokio::test]
async fn an_older_controller_gets_no_field_that_it_does_not_know() {
    let world = World::with(AviOptions { version: "22.1.3".into(), ..AviOptions::default() }, |_| {}).await;
    let steps = world.administrator.install_control_script(&world.setup).await.unwrap();
    assert!(steps[0].fields.iter().all(|field| field.name != "timeout"));
    assert_eq!(world.lab.object("alertscriptconfig", "certferry").unwrap()["timeout"], Value::Null);
    assert_eq!(world.administrator.control_script_plan(&world.setup).await.unwrap(), []);
}

#[tokio::test]
async fn a_licence_without_such_profiles_is_told_before_anything_is_made() {
    let world = World::start().await;
    world
        .lab
        .edit("systemconfiguration", "default", |system| system["default_license_tier"] = json!("ESSENTIALS"))
        .unwrap();
    let refused = world.administrator.install_control_script(&world.setup).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotOffered);
    assert!(refused.to_string().contains("ESSENTIALS") && refused.hint().unwrap().contains("deploy:"), "{refused}");
    assert_eq!(world.writes(), 0);
}

#[tokio::test]
async fn secrets_are_in_no_text() {
    let world = World::start().await;
    let printed = printed(&world.setup, &world.config);
    let debug = format!("{:?}", world.setup);
    world.lab.add_fault(Fault::new("POST certificatemanagementprofile", Effect::answer(400, "no")).times(9));
    let refused = world.administrator.install_control_script(&world.setup).await.unwrap_err();
    let error = format!("{refused} {refused:?} {:?}", refused.hint());
    for text in [printed, debug, error] {
        for secret in [TOKEN, PASSWORD, "lab-admin-password"] {
            assert!(!text.contains(secret), "{secret} is in {text}");
        }
    }
}
