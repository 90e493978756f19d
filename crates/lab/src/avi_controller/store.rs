//! The configuration: every object, by uuid and in the order in which they were made.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::{
    error::ApiError,
    json::{Object, flag, text},
    kind::{ADMIN, CERTIFICATE, CONTROLLER_PROPERTIES, Kind, TENANT},
    references,
};

/// An object. Its references are kept as `/api/<type>/<uuid>`; its secrets are in `fields` and masked when it is shown.
#[derive(Clone)]
pub(super) struct Stored {
    pub(super) kind: &'static Kind,
    pub(super) uuid: String,
    /// The uuid of its tenant.
    pub(super) tenant: String,
    pub(super) fields: Object,
    /// Microseconds since 1970; another number after each write.
    pub(super) last_modified: i64,
}

#[derive(Default)]
pub(super) struct Store {
    objects: BTreeMap<u64, Stored>,
    by_uuid: HashMap<String, u64>,
    next: u64,
    last_modified: i64,
}

impl Stored {
    pub(super) fn name(&self) -> &str {
        text(&self.fields, "name")
    }

    /// `VirtualService shop`, as messages name an object.
    pub(super) fn label(&self) -> String {
        format!("{} {}", self.kind.class, self.name())
    }
}

impl Store {
    pub(super) fn all(&self) -> impl Iterator<Item = &Stored> {
        self.objects.values()
    }

    pub(super) fn of_kind<'a>(&'a self, path: &'a str) -> impl Iterator<Item = &'a Stored> {
        self.objects.values().filter(move |object| object.kind.path == path)
    }

    pub(super) fn find(&self, uuid: &str) -> Option<&Stored> {
        self.objects.get(self.by_uuid.get(uuid)?)
    }

    /// An object of one type, whatever its tenant.
    pub(super) fn get(&self, path: &str, uuid: &str) -> Option<&Stored> {
        self.find(uuid).filter(|object| object.kind.path == path)
    }

    /// What a reference field leads to.
    pub(super) fn referred(&self, fields: &Object, field: &str) -> Option<&Stored> {
        self.find(references::uuid(text(fields, field)))
    }

    /// By name, in the tenant or among what tenant admin shares.
    pub(super) fn named(&self, kind: &Kind, tenant: &str, name: &str) -> Option<&Stored> {
        let named = |owner: &str| {
            self.of_kind(kind.path)
                .find(|object| (kind.is(TENANT) || object.tenant == owner) && object.name() == name)
                .map(|object| object.uuid.clone())
        };
        let uuid = named(tenant).or_else(|| named(ADMIN).filter(|_| self.is_shared(kind)))?;
        self.find(&uuid)
    }

    /// Whether tenants see the objects of tenant admin.
    pub(super) fn is_shared(&self, kind: &Kind) -> bool {
        let certificates = || {
            let properties = self.get(CONTROLLER_PROPERTIES, "global");
            properties.is_some_and(|properties| flag(&properties.fields, "shared_ssl_certificates"))
        };
        kind.shared || (kind.is(CERTIFICATE) && certificates())
    }

    /// Whether a tenant may see an object: its own, or one that is shared.
    pub(super) fn is_visible(&self, object: &Stored, tenant: &str) -> bool {
        object.tenant == tenant || (object.tenant == ADMIN && self.is_shared(object.kind)) || object.kind.is(TENANT)
    }

    /// The name must not be taken in the tenant.
    pub(super) fn check_name(
        &self,
        kind: &Kind,
        tenant: &str,
        name: &str,
        except: Option<&str>,
    ) -> Result<(), ApiError> {
        if name.is_empty() {
            return Err(ApiError::bad_request(format!("{}: name is required", kind.class)));
        }
        let taken = self
            .of_kind(kind.path)
            .any(|object| object.tenant == tenant && object.name() == name && Some(object.uuid.as_str()) != except);
        if taken {
            return Err(ApiError::conflict(format!("{} with name {name} already exists", kind.class)));
        }
        Ok(())
    }

    /// Adds an object or replaces the one with its uuid; `now` is in microseconds.
    pub(super) fn put(&mut self, kind: &'static Kind, uuid: &str, tenant: &str, fields: Object, now: i64) -> &Stored {
        self.last_modified = now.max(self.last_modified + 1);
        let stored = Stored {
            kind,
            uuid: uuid.to_owned(),
            tenant: tenant.to_owned(),
            fields,
            last_modified: self.last_modified,
        };
        let number = *self.by_uuid.entry(uuid.to_owned()).or_insert_with(|| {
            self.next += 1;
            self.next
        });
        self.objects.entry(number).insert_entry(stored).into_mut()
    }

    pub(super) fn remove(&mut self, uuid: &str) {
        if let Some(number) = self.by_uuid.remove(uuid) {
            self.objects.remove(&number);
        }
    }

    /// Who refers to an object.
    pub(super) fn users_of(&self, uuid: &str) -> Vec<&Stored> {
        let refers = |object: &&Stored| {
            let mut found = false;
            references::each(&object.fields, &mut |reference| found |= references::uuid(reference) == uuid);
            found
        };
        self.all().filter(|object| object.uuid != uuid).filter(refers).collect()
    }

    /// The value of a singleton's field.
    pub(super) fn setting(&self, path: &str, field: &str) -> Option<&Value> {
        self.objects.values().find(|object| object.kind.path == path)?.fields.get(field)
    }
}
