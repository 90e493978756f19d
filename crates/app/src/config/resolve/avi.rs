//! Avi controllers.

use std::collections::{BTreeMap, BTreeSet};

use certferry_core::ListenerName;
use certferry_providers::http::BaseUrl;
use certferry_providers::load_balancer::avi::{AviConfig, Credential, Http01Config, Limits, Lookup, Port80};

use super::{Issuers, LoadBalancers, Resolver};
use crate::config::file::{self, File};
use crate::config::resolved::{Api, ControlScript, Provider};
use crate::config::spanned::Spanned;

impl Resolver<'_> {
    pub(super) fn avi(&mut self, written: &Spanned<file::Avi>) -> Option<AviConfig> {
        let avi = &written.value;
        let controller: Option<BaseUrl> = self.controller(&avi.controller);
        let username = self.filled(&avi.username, "the user that certferry logs in as");
        let credential = self.credential(written);
        let tenant = match &avi.tenant {
            Some(tenant) => self.filled(tenant, "the tenant"),
            None => Some("admin".to_owned()),
        };
        let trusted_roots = match &avi.trusted_roots {
            Some(roots) => self.roots_text(roots).map(Some),
            None => Some(None),
        };
        let http01 = match &avi.http01 {
            Some(http01) => self.avi_http01(http01).map(Some),
            None => Some(None),
        };
        Some(AviConfig {
            controller: controller?,
            username: username?,
            credential: credential?,
            tenant: tenant?,
            trusted_roots: trusted_roots?,
            // Filled when the certificates are read.
            listeners: BTreeSet::new(),
            http01: http01?,
            lookup: Lookup::System,
            limits: Limits::default(),
        })
    }

    fn controller(&mut self, written: &Spanned<String>) -> Option<BaseUrl> {
        let url: BaseUrl = self.parsed(written, "write `https://avi.some-domain.com`, as in the browser")?;
        if url.as_url().scheme() != "https" && !url.is_loopback() {
            let message = "a controller is spoken to over https: the password would go over the network in the clear";
            return self.refuse(
                written.at,
                message,
                "write `https://…`; a private CA's root goes into `trusted-roots`",
            );
        }
        Some(url)
    }

    fn credential(&mut self, written: &Spanned<file::Avi>) -> Option<Credential> {
        match (&written.value.password, &written.value.token) {
            (Some(password), None) => self.secret(password, "AVI_PASSWORD").map(Credential::Password),
            (None, Some(token)) => self.secret(token, "AVI_TOKEN").map(Credential::Token),
            (Some(_), Some(token)) => {
                self.refuse(token.at, "both `password` and `token` are given", "remove one of the two")
            }
            (None, None) => self.refuse(
                written.at,
                "there is neither `password` nor `token`",
                "add `password: env:AVI_PASSWORD`, or `token: file:PATH`",
            ),
        }
    }

    fn avi_http01(&mut self, written: &file::AviHttp01) -> Option<Http01Config> {
        let otherwise: Vec<Option<ListenerName>> = written
            .virtual_services
            .iter()
            .map(|name| self.parsed(name, "write the virtual service's name as the controller has it"))
            .collect();
        let probe = self.addresses(&written.probe, "127.0.0.1:8080");
        let port_80 = match written.port_80.as_ref().map(|choice| choice.value) {
            None | Some(file::Port80::Sibling) => Port80::Sibling,
            Some(file::Port80::AddService) => Port80::AddService,
            Some(file::Port80::Require) => Port80::Require,
        };
        Some(Http01Config {
            // Filled when the certificates are read.
            names: BTreeMap::new(),
            otherwise: otherwise.into_iter().collect::<Option<_>>()?,
            port_80,
            keep: written.keep.unwrap_or(false),
            probe,
        })
    }

    /// What control scripts may ask for, noted at their load balancers.
    pub(super) fn control_scripts(
        &mut self,
        file: &File,
        issuers: &Issuers,
        api: Option<&Api>,
        load_balancers: &mut LoadBalancers,
    ) {
        for (name, written) in &file.load_balancers.0 {
            let Some(script) = written.avi.as_ref().and_then(|avi| avi.value.control_script.as_ref()) else { continue };
            let resolved = self.control_script(name, script, file, issuers, api);
            let Some(Some((_, load_balancer))) = load_balancers.get_mut(&name.value) else { continue };
            if matches!(&load_balancer.provider, Provider::Avi(avi) if avi.http01.is_none()) {
                let message = "certificates for the control script are validated through this load balancer, and it has no \
                               `http01`";
                self.refuse::<()>(script.at, message, "add `http01: {}` beside it");
            }
            load_balancer.control_script = resolved;
        }
    }

    fn control_script(
        &mut self,
        name: &Spanned<String>,
        written: &Spanned<file::ControlScript>,
        file: &File,
        issuers: &Issuers,
        api: Option<&Api>,
    ) -> Option<ControlScript> {
        let script = &written.value;
        if api.is_none() && file.api.is_none() {
            let message = "the control script calls the daemon's API, and there is none";
            return self.refuse(written.at, message, "add `api: { url: https://certferry.some-domain.com:8443 }`");
        }
        let token = self.secret(&script.token, "CERTFERRY_EDGE_TOKEN");
        let token = token.and_then(|token| match token.expose().len() {
            length if length < SHORTEST_TOKEN => {
                let message = format!("the token has {length} characters, at least {SHORTEST_TOKEN} are needed");
                self.refuse(script.token.at, message, "make one with `openssl rand -hex 32`")
            }
            _ => Some(token),
        });
        let names: Vec<_> =
            script.names.iter().map(|name| self.parsed(name, "write a host name or `*.host`")).collect();
        let what = format!("the control script of load balancer `{}`", name.value);
        let (issuer, _, profile) = self.issuer_of(name, &what, script.issuer.as_ref(), file, issuers)?;
        self.keeps_common_name(written.at, &issuer, issuers, &format!("`{}`", name.value))?;
        Some(ControlScript {
            token: token?,
            token_reference: script.token.value.0.clone(),
            issuer,
            profile,
            names: names.into_iter().collect::<Option<_>>()?,
        })
    }

    fn filled(&mut self, written: &Spanned<String>, what: &str) -> Option<String> {
        if written.value.trim().is_empty() {
            return self.refuse(
                written.at,
                format!("{what} is missing here"),
                "write its name as the controller has it",
            );
        }
        Some(written.value.clone())
    }
}

const SHORTEST_TOKEN: usize = 32;
