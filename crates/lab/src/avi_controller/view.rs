//! Objects as the API shows them.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    certificate, defaults,
    json::{Object, flag, map, objects_mut},
    kind::{CERTIFICATE, CERTIFICATE_PROFILE, Kind, TENANT, USER, VIRTUAL_SERVICE},
    references,
    schema::{self, Version},
    store::{Store, Stored},
};

/// What stands in place of a secret, and keeps the secret when it is sent back.
pub(super) const MASK: &str = "<sensitive>";

/// How to show objects to one call.
pub(super) struct View<'a> {
    /// `https://127.0.0.1:PORT`.
    pub(super) base: &'a str,
    pub(super) store: &'a Store,
    pub(super) version: Version,
    /// References carry `#name`.
    pub(super) names: bool,
    /// Private keys are shown.
    pub(super) keys: bool,
    pub(super) now: Timestamp,
}

impl View<'_> {
    pub(super) fn object(&self, object: &Stored) -> Object {
        let mut fields = object.fields.clone();
        mask(object.kind, &mut fields, self.keys);
        if object.kind.is(CERTIFICATE) {
            certificate::show_expiry(&mut fields, self.now);
        }
        schema::restrict(&mut fields, object.kind, self.version);
        if !object.kind.is(TENANT) {
            fields.insert("tenant_ref".into(), json!(format!("/api/tenant/{}", object.tenant)));
        }
        let never = references::rewrite(&mut fields, &mut |reference| {
            Ok::<_, std::convert::Infallible>(self.reference(reference))
        });
        match never {
            Ok(()) => {}
        }
        fields.insert("uuid".into(), json!(object.uuid));
        fields.insert("url".into(), json!(self.url(object)));
        fields.insert("_last_modified".into(), json!(object.last_modified.to_string()));
        fields
    }

    /// As a POST answers it: without what is long or secret of a certificate.
    pub(super) fn created(&self, object: &Stored) -> Object {
        let mut fields = self.object(object);
        if object.kind.is(CERTIFICATE) {
            fields.remove("key");
            if let Some(Value::Object(certificate)) = fields.get_mut("certificate") {
                for field in ["certificate", "public_key", "text"] {
                    certificate.remove(field);
                }
            }
        }
        fields
    }

    pub(super) fn url(&self, object: &Stored) -> String {
        let url = format!("{}{}", self.base, references::to(object.kind, &object.uuid));
        if self.names { format!("{url}#{}", object.name()) } else { url }
    }

    fn reference(&self, reference: &str) -> String {
        let name = self.store.find(references::uuid(reference)).filter(|_| self.names).map(Stored::name);
        match (reference, name) {
            ("", _) => String::new(),
            (reference, Some(name)) => format!("{}{reference}#{name}", self.base),
            (reference, None) => format!("{}{reference}", self.base),
        }
    }
}

/// Without the fields that have their default value.
pub(super) fn skip_defaults(kind: &Kind, fields: &mut Object) {
    let mut defaults = Object::new();
    defaults::fill(kind, &mut defaults);
    fields.retain(|name, value| defaults.get(name) != Some(value));
}

/// Puts the stored secrets back where a client sent the mask.
pub(super) fn unmask(kind: &Kind, fields: &mut Object, stored: &Object) {
    let masked = json!(MASK);
    for secret in secrets(kind) {
        let absent = fields.get(*secret).is_none_or(|value| *value == masked);
        match stored.get(*secret).filter(|_| absent) {
            Some(value) => drop(fields.insert((*secret).to_owned(), value.clone())),
            None if absent => drop(fields.remove(*secret)),
            None => {}
        }
    }
    for list in ["script_params", "dynamic_params"] {
        for parameter in objects_mut(fields, list).filter(|parameter| parameter.get("value") == Some(&masked)) {
            let same = super::json::objects(stored, list).find(|known| known.get("name") == parameter.get("name"));
            if let Some(value) = same.and_then(|known| known.get("value")) {
                parameter.insert("value".into(), value.clone());
            }
        }
    }
}

fn mask(kind: &Kind, fields: &mut Object, keys: bool) {
    for secret in secrets(kind) {
        if fields.contains_key(*secret) && !keys {
            if kind.is(USER) {
                fields.remove(*secret);
            } else {
                fields.insert((*secret).to_owned(), json!(MASK));
            }
        }
    }
    if kind.is(CERTIFICATE_PROFILE) || kind.is(CERTIFICATE) {
        for list in ["script_params", "dynamic_params"] {
            for parameter in objects_mut(fields, list).filter(|parameter| flag(parameter, "is_sensitive")) {
                parameter.insert("value".into(), json!(MASK));
            }
        }
    }
    if kind.is(VIRTUAL_SERVICE) {
        // Recorded of a real controller, and not documented: key material in a virtual service.
        let ticket_key =
            json!([{"name": "lab", "aes_key": "bGFiLXRpY2tldC1hZXMta2V5", "hmac_key": "bGFiLXRpY2tldC1obWFj"}]);
        fields.insert("tls_ticket_key".into(), ticket_key);
    }
}

fn secrets(kind: &Kind) -> &'static [&'static str] {
    match kind.path {
        CERTIFICATE => &["key", "key_passphrase"],
        USER => &["password"],
        _ => &[],
    }
}

/// The fields asked for; `name`, `url` and `uuid` always.
pub(super) fn only(fields: Object, wanted: &str) -> Object {
    let wanted: Vec<&str> = wanted.split(',').map(str::trim).chain(["name", "url", "uuid"]).collect();
    map(fields.into_iter().filter(|(name, _)| wanted.contains(&name.as_str())).collect())
}
