//! Calls about objects.

use std::sync::Arc;

use http::{Method, StatusCode, header};
use serde_json::{Value, json};

use super::{Call, reply::Reply};
use crate::avi_controller::{
    access::Scope,
    change,
    controller::{Controller, State},
    error::ApiError,
    events::Event,
    json::Object,
    kind::{CERTIFICATE, Kind},
    query::Query,
    schema::Version,
    store::{Store, Stored},
    view::{self, View},
};

/// A call whose caller may make it.
pub(super) struct Permitted<'a> {
    pub(super) call: &'a Call,
    pub(super) query: Query,
    pub(super) scope: Scope,
    pub(super) user: &'a str,
    pub(super) version: Version,
}

impl Permitted<'_> {
    pub(super) fn list(&self, controller: &Arc<Controller>, state: &mut State, kind: &Kind) -> Result<Reply, ApiError> {
        let selected = |object: &&Stored| self.sees(&state.store, object) && self.query.selects(object, &state.store);
        let mut found: Vec<&Stored> = state.store.of_kind(kind.path).filter(selected).collect();
        self.query.sort(&mut found);
        if let Some(limit) = self.query.get("limit_by").and_then(|limit| limit.parse().ok()) {
            found.truncate(limit);
        }
        let (page, next) = self.query.page(&found)?;
        let base = format!("https://{}", self.call.authority(controller));
        let view = self.view(&base, controller, state);
        let results: Vec<Value> = page.iter().map(|object| Value::Object(self.shown(&view, object))).collect();
        let mut body = json!({"count": found.len(), "results": results});
        if let Some(next) = next {
            body["next"] = json!(format!("{base}/api/{}?{next}", kind.path));
        }
        let exported: Vec<Stored> = page.iter().map(|object| (*object).clone()).collect();
        self.tell_exports(controller, state, &exported);
        Ok(Reply::ok(&body))
    }

    pub(super) fn get(
        &self,
        controller: &Arc<Controller>,
        state: &mut State,
        kind: &Kind,
        uuid: &str,
    ) -> Result<Reply, ApiError> {
        let stored = self.find(&state.store, kind, uuid)?.clone();
        let base = format!("https://{}", self.call.authority(controller));
        let body = Value::Object(self.shown(&self.view(&base, controller, state), &stored));
        self.tell_exports(controller, state, &[stored]);
        Ok(Reply::ok(&body))
    }

    pub(super) fn create(
        &self,
        controller: &Arc<Controller>,
        state: &mut State,
        kind: &'static Kind,
    ) -> Result<Reply, ApiError> {
        let tenant = self.one_tenant()?;
        let slug = self.call.header("slug");
        let now = controller.clock.now();
        let uuid = change::create(state, kind, self.body()?, slug, &self.writer(tenant), now)?;
        controller.created(state, &uuid);
        let stored = state.store.get(kind.path, &uuid).ok_or_else(|| ApiError::not_found(kind.class))?;
        let base = format!("https://{}", self.call.authority(controller));
        let view = View { names: true, keys: false, ..self.view(&base, controller, state) };
        let mut reply = Reply::json(StatusCode::CREATED, &Value::Object(view.created(stored)));
        reply.set(header::LOCATION, &view.url(stored));
        reply.object = Some(uuid);
        Ok(reply)
    }

    /// PUT, PATCH and DELETE.
    pub(super) fn change(
        &self,
        controller: &Arc<Controller>,
        state: &mut State,
        kind: &'static Kind,
        uuid: &str,
    ) -> Result<Reply, ApiError> {
        let stored = self.find(&state.store, kind, uuid)?.clone();
        let tenant = match &self.scope {
            // A controller-wide object belongs to no tenant's users.
            _ if kind.singleton.is_some() => &stored.tenant,
            Scope::All => return Err(ApiError::bad_request("A change needs one tenant")),
            Scope::One(tenant) => tenant,
        };
        let writer = self.writer(tenant);
        let now = controller.clock.now();
        match self.call.parts.method {
            Method::DELETE => change::delete(state, &stored, &writer, now)?,
            Method::PATCH => change::patch(state, &stored, self.body()?, &writer, now)?,
            _ => change::replace(state, &stored, self.body()?, &writer, now)?,
        }
        controller.changed(state);
        let Some(changed) = state.store.get(kind.path, uuid) else {
            return Ok(Reply::empty(StatusCode::NO_CONTENT));
        };
        let base = format!("https://{}", self.call.authority(controller));
        let view = View { keys: false, ..self.view(&base, controller, state) };
        Ok(Reply::ok(&Value::Object(view.object(changed))))
    }

    /// An object that the tenant sees.
    pub(super) fn find<'a>(&self, store: &'a Store, kind: &Kind, uuid: &str) -> Result<&'a Stored, ApiError> {
        let found = store.get(kind.path, uuid).filter(|object| self.sees(store, object));
        found.ok_or_else(|| ApiError::not_found(kind.class))
    }

    fn sees(&self, store: &Store, object: &Stored) -> bool {
        match &self.scope {
            Scope::All => true,
            Scope::One(tenant) => store.is_visible(object, tenant),
        }
    }

    fn shown(&self, view: &View<'_>, object: &Stored) -> Object {
        let mut fields = view.object(object);
        if self.query.flag("skip_default", false) {
            view::skip_defaults(object.kind, &mut fields);
        }
        match self.query.get("fields") {
            Some(wanted) => view::only(fields, wanted),
            None => fields,
        }
    }

    fn view<'a>(&self, base: &'a str, controller: &Controller, state: &'a State) -> View<'a> {
        View {
            base,
            store: &state.store,
            version: self.version,
            names: self.query.get("include_name").is_some() && self.query.flag("include_name", true),
            keys: self.query.flag("export_key", false),
            now: controller.clock.now(),
        }
    }

    /// Whoever takes a private key out leaves a trace.
    fn tell_exports(&self, controller: &Controller, state: &mut State, objects: &[Stored]) {
        if !self.query.flag("export_key", false) {
            return;
        }
        for object in objects.iter().filter(|object| object.kind.is(CERTIFICATE) && object.fields.contains_key("key")) {
            let details = json!({"ssl_export_details": {"user": self.user}});
            let description = format!("Private key of {} exported by {}", object.name(), self.user);
            state.tell(Event::about(object, "SSL_KEY_EXPORTED", controller.clock.now(), description, details));
        }
    }

    fn writer<'a>(&'a self, tenant: &'a str) -> change::Writer<'a> {
        change::Writer { user: self.user, tenant, version: self.version }
    }

    fn one_tenant(&self) -> Result<&str, ApiError> {
        match &self.scope {
            Scope::All => Err(ApiError::bad_request("A change needs one tenant")),
            Scope::One(tenant) => Ok(tenant),
        }
    }

    fn body(&self) -> Result<Object, ApiError> {
        match serde_json::from_slice(&self.call.body) {
            Ok(Value::Object(fields)) => Ok(fields),
            Ok(_) => Err(ApiError::malformed("the body is not an object")),
            Err(error) => Err(ApiError::bad_request(format!("JSON parse error - {error}"))),
        }
    }
}
