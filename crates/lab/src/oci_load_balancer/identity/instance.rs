//! A compute instance, and its metadata service (version 2:
//! <https://docs.oracle.com/iaas/Content/Compute/Tasks/gettingmetadata.htm>).

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header::AUTHORIZATION};
use http_body_util::Full;
use hyper::body::Incoming;
use jiff::SignedDuration;
use serde_json::json;
use tokio::net::TcpListener;

use super::super::{
    api::{self, Closed, Reply, Verdict},
    error::{ApiError, LabError},
    request_log::RequestRecord,
    service::{Service, State},
};
use super::{Authority, TENANCY, certificates::Leaf};

/// How an instance is made.
#[derive(Clone, Debug)]
pub struct InstanceOptions {
    /// How long its certificates live.
    pub certificate_lifetime: SignedDuration,
    /// The tenancy that its certificates name.
    pub tenancy: String,
}

impl Default for InstanceOptions {
    fn default() -> Self {
        Self { certificate_lifetime: SignedDuration::from_hours(6), tenancy: TENANCY.to_owned() }
    }
}

/// A compute instance. Its metadata service listens until the lab is dropped. Its reads are in the lab's request log, and
/// hit by faults, under the name of what is read: `identity/cert.pem`, `instance/regionInfo` …
pub struct Instance {
    id: String,
    address: SocketAddr,
    service: Arc<Service>,
}

/// What the service knows of an instance.
pub(in super::super) struct Identity {
    id: String,
    options: InstanceOptions,
    leaf: Leaf,
    /// The document after whose next read another certificate replaces this one.
    replace_after: Option<String>,
    /// Whether a dynamic group that is allowed things holds it.
    pub(in super::super) in_dynamic_group: bool,
}

impl Instance {
    pub(super) async fn start(service: Arc<Service>, options: InstanceOptions) -> Result<Self, LabError> {
        let wanted = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listen_error = |source| LabError::Listen { address: wanted, source };
        let listener = TcpListener::bind(wanted).await.map_err(listen_error)?;
        let address = listener.local_addr().map_err(listen_error)?;
        let id = format!("ocid1.instance.oc1.iad.aaaaaaaalab{:06}", address.port());
        {
            let mut state = service.state();
            let leaf = state.new_leaf(&id, &options)?;
            let identity = Identity { id: id.clone(), options, leaf, replace_after: None, in_dynamic_group: true };
            state.instances.push(identity);
        }
        let (shared, instance) = (Arc::clone(&service), id.clone());
        let handler = move |request| handle(Arc::clone(&shared), instance.clone(), request);
        service.spawn(api::accept(listener, handler));
        Ok(Self { id, address, service })
    }

    /// Its OCID.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// `http://127.0.0.1:PORT/opc/v2`, the value of `OCI_METADATA_BASE_URL`.
    pub fn metadata_url(&self) -> String {
        format!("http://{}{BASE}", self.address)
    }

    /// Another certificate with another key, at once.
    ///
    /// # Errors
    /// [`LabError::ApiKey`] when it cannot be made.
    pub fn replace_certificate(&self) -> Result<(), LabError> {
        self.service.state().replace_leaf(&self.id)
    }

    /// Another certificate with another key, just after the next read of this document (`identity/cert.pem`): so that
    /// certificate and key do not fit.
    pub fn replace_certificate_after_read_of(&self, document: &str) {
        if let Some(identity) = self.service.state().instance_mut(&self.id) {
            identity.replace_after = Some(document.to_owned());
        }
    }

    /// The tenancy that certificates from the next one on name.
    pub fn move_to_tenancy(&self, tenancy: &str) {
        if let Some(identity) = self.service.state().instance_mut(&self.id) {
            identity.options.tenancy = tenancy.to_owned();
        }
    }

    /// Whether a policy allows it anything: without one its tokens are taken, and every call is answered 404.
    pub fn set_in_dynamic_group(&self, in_dynamic_group: bool) {
        if let Some(identity) = self.service.state().instance_mut(&self.id) {
            identity.in_dynamic_group = in_dynamic_group;
        }
    }
}

impl std::fmt::Debug for Instance {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Instance").field("id", &self.id).field("address", &self.address).finish_non_exhaustive()
    }
}

impl State {
    pub(in super::super) fn instance(&self, id: &str) -> Option<&Identity> {
        self.instances.iter().find(|identity| identity.id == id)
    }

    fn instance_mut(&mut self, id: &str) -> Option<&mut Identity> {
        self.instances.iter_mut().find(|identity| identity.id == id)
    }

    fn new_leaf(&mut self, id: &str, options: &InstanceOptions) -> Result<Leaf, LabError> {
        let now = self.now();
        let authority = match &mut self.authority {
            Some(authority) => authority,
            none => none.insert(Authority::new(now)?),
        };
        authority.leaf(id, &options.tenancy, now, options.certificate_lifetime)
    }

    fn replace_leaf(&mut self, id: &str) -> Result<(), LabError> {
        let Some(options) = self.instance(id).map(|identity| identity.options.clone()) else { return Ok(()) };
        let leaf = self.new_leaf(id, &options)?;
        if let Some(identity) = self.instance_mut(id) {
            identity.leaf = leaf;
        }
        Ok(())
    }

    /// A document of the metadata service.
    fn document(&mut self, id: &str, path: &str) -> Option<Reply> {
        let identity = self.instance(id)?;
        let reply = match path {
            "identity/cert.pem" => Reply::text(&identity.leaf.certificate_pem),
            "identity/key.pem" => Reply::text(&identity.leaf.key_pem),
            "identity/intermediate.pem" => Reply::text(self.authority.as_ref()?.intermediate_pem()),
            "instance/id" => Reply::text(id),
            "instance/region" => Reply::text("iad"),
            "instance/regionInfo" => Reply::json(&json!({
                "realmDomainComponent": "oraclecloud.com",
                "realmKey": "oc1",
                "regionIdentifier": "us-ashburn-1",
                "regionKey": "IAD",
            })),
            _ => return None,
        };
        if identity.replace_after.as_deref() == Some(path) {
            if let Some(identity) = self.instance_mut(id) {
                identity.replace_after = None;
            }
            if let Err(error) = self.replace_leaf(id) {
                tracing::warn!(%error, "an instance keeps its certificate");
            }
        }
        Some(reply)
    }
}

async fn handle(
    service: Arc<Service>,
    instance: String,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Closed> {
    let verdict = answer(&service, &instance, &request);
    api::carry_out(verdict).await
}

fn answer(service: &Service, instance: &str, request: &Request<Incoming>) -> Verdict {
    let mut state = service.state();
    let target = request.uri().path();
    let document = target.strip_prefix(BASE).map_or(target, |rest| rest.trim_start_matches('/'));
    let mut record = RequestRecord::new(document, request.method(), target);
    let now = state.now();
    let effect = state.faults.take(|name| record.is(name), Some(instance));
    let failure = effect.and_then(|effect| api::failure(&effect, now));
    let verdict = failure.unwrap_or_else(|| Verdict::Reply(read(&mut state, instance, document, request)));
    if let Verdict::Reply(reply) = &verdict {
        record.answered(reply.status, reply.code.as_deref(), reply.reason.as_deref());
    }
    state.log.push(record);
    verdict
}

fn read(state: &mut State, instance: &str, document: &str, request: &Request<Incoming>) -> Reply {
    let authorized = request.headers().get(AUTHORIZATION).is_some_and(|value| value == "Bearer Oracle");
    // Who passes requests on would pass on other people's.
    let forwarded = ["forwarded", "x-forwarded-for", "x-forwarded-host"];
    if !authorized || forwarded.iter().any(|name| request.headers().contains_key(*name)) {
        return Reply::error(ApiError::new(StatusCode::FORBIDDEN, "NotAllowed", "Authorization: Bearer Oracle"));
    }
    if request.method() != Method::GET {
        return Reply::error(ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", "GET only"));
    }
    let unknown = || Reply::error(ApiError::new(StatusCode::NOT_FOUND, "NotFound", format!("no {document}")));
    state.document(instance, document).unwrap_or_else(unknown)
}

const BASE: &str = "/opc/v2";
