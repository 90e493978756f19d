//! The SDK against the lab's controller: what the lab claims of the protocol, the vendor's own client confirms.

use certferry_lab::avi_controller::{AviLab, AviOptions};
use certferry_lab::pki::Pki;
use serde_json::json;
use tempfile::TempDir;

use crate::parts::avisdk::AviSdk;
use crate::parts::openssl;

mod control_script;

struct World {
    lab: AviLab,
    sdk: AviSdk,
    _folder: TempDir,
}

impl World {
    async fn new() -> Self {
        let lab = AviLab::start(AviOptions::default()).await.expect("the lab starts");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let roots = folder.path().join("roots.pem");
        std::fs::write(&roots, lab.trusted_roots_pem()).expect("write the roots");
        Self { sdk: AviSdk::new(lab.address(), roots), lab, _folder: folder }
    }
}

/// `api`, logged in as the user who may do everything.
const LOGIN: &str = "api = session('admin', 'lab-admin-password')\n";

#[tokio::test]
async fn objects_are_made_found_changed_and_removed() {
    let world = World::new().await;
    let seen = world
        .sdk
        .python(&format!(
            "{LOGIN}\
             made = api.post('vsvip', data={{'name': 'shop', 'vip': [{{'ip_address': {{'addr': '203.0.113.10', 'type': 'V4'}}}}]}})\n\
             found = api.get_object_by_name('vsvip', 'shop')\n\
             found['vip'][0]['ip_address']['addr'] = '203.0.113.11'\n\
             put = api.put_by_name('vsvip', 'shop', data=found)\n\
             stale = api.put('vsvip/' + found['uuid'], data=found)\n\
             patched = api.patch('vsvip/' + found['uuid'], data={{'add': {{'dns_info': [{{'fqdn': 'a.test'}}]}}}})\n\
             forced = api.post('vsvip', data={{'name': 'other'}}, force_uuid='vsvip-chosen')\n\
             double = api.post('vsvip', data={{'name': 'shop'}})\n\
             gone = api.delete_by_name('vsvip', 'shop')\n\
             print(json.dumps({{\n\
                 'statuses': [answer.status_code for answer in (made, put, stale, patched, forced, double, gone)],\n\
                 'address': put.json()['vip'][0]['ip_address']['addr'], 'uuid': forced.json()['uuid'],\n\
                 'left': api.get_object_by_name('vsvip', 'shop'), 'error': double.text,\n\
             }}))\n"
        ))
        .await;
    assert_eq!(seen["statuses"], json!([201, 200, 412, 200, 201, 409, 204]), "{seen}");
    assert_eq!(
        (&seen["address"], &seen["uuid"], &seen["left"]),
        (&json!("203.0.113.11"), &json!("vsvip-chosen"), &json!(null))
    );
    assert!(seen["error"].as_str().expect("a text").contains("already exists"), "{seen}");
}

#[tokio::test]
async fn pages_are_followed_to_the_end() {
    let world = World::new().await;
    for number in 0..230 {
        world.lab.create("admin", "pool", json!({"name": format!("pool-{number}")})).expect("a pool");
    }
    let count = world.sdk.python(&format!("{LOGIN}print(len(list(api.get_objects_iter('pool'))))")).await;
    assert_eq!(count, 230);
    assert_eq!(world.lab.count("GET pool"), 3);
}

#[tokio::test]
async fn a_certificate_is_imported_bound_and_served() {
    let world = World::new().await;
    let issued = Pki::new().expect("a PKI").issue(&["www.some-domain.test"], 90).expect("a certificate");
    let body = json!({"name": "www", "type": "SSL_CERTIFICATE_TYPE_VIRTUALSERVICE", "key": issued.private_key_pem,
        "certificate": {"certificate": issued.chain_pem}});
    let served = world
        .sdk
        .python(&format!(
            "{LOGIN}\
             certificate = api.post('sslkeyandcertificate', data=json.loads({body:?})).json()\n\
             api.post('vsvip', data={{'name': 'v', 'vip': [{{'ip_address': {{'addr': '203.0.113.10', 'type': 'V4'}}}}]}}).json()\n\
             service = api.post('virtualservice', data={{'name': 'shop', 'vsvip_ref': '/api/vsvip?name=v',\n\
                 'services': [{{'port': 443, 'enable_ssl': True}}]}}).json()\n\
             bound = api.patch('virtualservice/' + service['uuid'],\n\
                 data={{'add': {{'ssl_key_and_certificate_refs': [certificate['url']]}}}}).json()\n\
             shown = api.get('sslkeyandcertificate/' + certificate['uuid']).json()\n\
             print(json.dumps([len(bound['ssl_key_and_certificate_refs']), shown['key'], 'key' in certificate]))\n",
            body = body.to_string()
        ))
        .await;
    assert_eq!(served, json!([1, "<sensitive>", false]));
    let vip = "203.0.113.10".parse().expect("an address");
    let address = world.lab.data_plane_address(vip, 443).expect("it is served");
    let served = openssl::served(address, "www.some-domain.test").await.expect("a handshake");
    assert_eq!(served.chain.len(), 2, "leaf and intermediate");
    assert_eq!(served.serial, openssl::serial(&issued.chain_pem).await);
}

#[tokio::test]
async fn a_session_that_has_ended_is_renewed_by_the_sdk_itself() {
    for status in [401, 419] {
        let world = World::new().await;
        world.lab.set_behaviour(|behaviour| behaviour.ended_session_status = status);
        let name = world
            .sdk
            .python(&format!(
                "{LOGIN}api.post('logout')\nprint(json.dumps(api.get('tenant').json()['results'][0]['name']))"
            ))
            .await;
        assert_eq!((name, world.lab.count("POST login")), (json!("admin"), 2), "{status}");
    }
}

#[tokio::test]
async fn refusals_are_the_exceptions_that_they_should_be() {
    let world = World::new().await;
    let seen = world
        .sdk
        .python(&format!(
            "{LOGIN}\
             def name(call):\n\
             \x20   try:\n\
             \x20       return str(call())\n\
             \x20   except Exception as error:\n\
             \x20       return type(error).__name__ + ': ' + str(error)\n\
             print(json.dumps([\n\
                 name(lambda: api.get('vsvip/vsvip-none').json()),\n\
                 name(lambda: api.post('sslkeyandcertificate', data={{'name': 'a'}}).json()),\n\
                 name(lambda: api.get('vsvip', tenant='blue').json()),\n\
                 name(lambda: session('admin', 'wrong')),\n\
                 name(lambda: session('admin', 'lab-admin-password', api_version='99.1.1').get('vsvip').json()),\n\
             ]))\n"
        ))
        .await;
    let starts = ["ObjectNotFound: ", "APIError: ", "APIError: ", "APIError: ", "APIError: "];
    let holds = [
        "VsVip object not found",
        "certificate or key_params is required",
        "does not exist!",
        "Invalid credentials",
        "Invalid version",
    ];
    for (number, (start, part)) in starts.into_iter().zip(holds).enumerate() {
        let text = seen[number].as_str().expect("a text");
        assert!(text.starts_with(start) && text.contains(part), "{start}{part}: {text}");
    }
}

#[tokio::test]
async fn basic_authentication_needs_no_session() {
    let world = World::new().await;
    let allow = |configuration: &mut serde_json::Value| {
        configuration["portal_configuration"]["allow_basic_authentication"] = json!(true);
    };
    world.lab.edit("systemconfiguration", "default", allow).expect("it is a setting");
    let status = world
        .sdk
        .python(
            "basic = {'Authorization': 'Basic YWRtaW46bGFiLWFkbWluLXBhc3N3b3Jk'}\n\
             api = session('admin', '', user_hdrs=basic)\n\
             print(api.post('vsvip', data={'name': 'by-basic'}).status_code)\n",
        )
        .await;
    assert_eq!((status, world.lab.count("POST login")), (json!(201), 0));
}
