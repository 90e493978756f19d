//! Who may do what: users, roles and tenants.

use super::{
    error::ApiError,
    json::{flag, objects, text},
    kind::{ADMIN, Kind, ROLE, TENANT, USER},
    references,
    store::{Store, Stored},
};

/// What a call does to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    Read,
    Write,
}

/// The tenant of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// `X-Avi-Tenant: *`: reads across tenants.
    All,
    /// The uuid of one tenant.
    One(String),
}

/// The tenant that the headers name; the user's default tenant when they name none.
pub(super) fn scope(store: &Store, user: &Stored, name: Option<&str>, uuid: Option<&str>) -> Result<Scope, ApiError> {
    let unknown = |tenant: &str| ApiError::forbidden(format!("Tenant '{tenant}' does not exist!"));
    let tenant = match (uuid, name) {
        (_, Some("*")) => return Ok(Scope::All),
        (Some(uuid), _) => store.get(TENANT, uuid).ok_or_else(|| unknown(uuid))?,
        (None, Some(name)) => {
            store.of_kind(TENANT).find(|tenant| tenant.name() == name).ok_or_else(|| unknown(name))?
        }
        (None, None) => {
            let default = references::uuid(text(&user.fields, "default_tenant_ref"));
            store.get(TENANT, default).ok_or_else(|| unknown(default))?
        }
    };
    if !tenants(store, user).any(|known| known == tenant.uuid) {
        return Err(ApiError::forbidden(format!("User '{}' has no access to tenant '{}'", user.name(), tenant.name())));
    }
    Ok(Scope::One(tenant.uuid.clone()))
}

/// The tenants in which a user has a role.
pub(super) fn tenants<'a>(store: &'a Store, user: &'a Stored) -> impl Iterator<Item = &'a str> {
    store.of_kind(TENANT).map(|tenant| tenant.uuid.as_str()).filter(move |tenant| {
        flag(&user.fields, "is_superuser") || objects(&user.fields, "access").any(|access| is_for(access, tenant))
    })
}

/// 403 unless one of the user's roles in the tenant permits it. Everybody may read tenants, and superusers may do all.
pub(super) fn check(store: &Store, user: &Stored, scope: &Scope, kind: &Kind, need: Need) -> Result<(), ApiError> {
    if flag(&user.fields, "is_superuser") || (kind.is(TENANT) && need == Need::Read) {
        return Ok(());
    }
    let permits = |access: &super::json::Object| {
        let role = store.get(ROLE, references::uuid(text(access, "role_ref")));
        role.is_some_and(|role| {
            objects(&role.fields, "privileges").any(|privilege| {
                text(privilege, "resource") == kind.permission
                    && match text(privilege, "type") {
                        "WRITE_ACCESS" => true,
                        "READ_ACCESS" => need == Need::Read,
                        _ => false,
                    }
            })
        })
    };
    let in_scope = |access: &super::json::Object| match scope {
        Scope::All => true,
        Scope::One(tenant) => is_for(access, tenant),
    };
    if objects(&user.fields, "access").any(|access| in_scope(access) && permits(access)) {
        return Ok(());
    }
    let verb = if need == Need::Read { "read" } else { "write" };
    let mut error = ApiError::forbidden(format!("User does not have permission to {verb} {}", kind.class));
    error.reason = Some(format!("user {} lacks {} in {scope:?}", user.name(), kind.permission));
    Err(error)
}

/// The user with this login name.
pub(super) fn user<'a>(store: &'a Store, username: &str) -> Option<&'a Stored> {
    store.of_kind(USER).find(|user| text(&user.fields, "username") == username)
}

fn is_for(access: &super::json::Object, tenant: &str) -> bool {
    let own = text(access, "tenant_ref");
    flag(access, "all_tenants") || references::uuid(if own.is_empty() { ADMIN } else { own }) == tenant
}
