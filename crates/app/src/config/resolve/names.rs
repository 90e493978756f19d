//! The names of a certificate: host names and IP addresses.

use certferry_core::desired::RenewedBy;
use certferry_core::{Identifier, IssuerName};

use super::certificate::renewed_by;
use super::issuer::is_lets_encrypt;
use super::{Issuers, Resolver};
use crate::config::file;
use crate::config::spanned::Spanned;

impl Resolver<'_> {
    /// Sorted, without duplicates.
    pub(super) fn names(&mut self, name: &Spanned<String>, written: &file::Certificate) -> Option<Vec<Identifier>> {
        if written.names.is_empty() {
            let message = format!("certificate `{}` has no names", name.value);
            return self.refuse(name.at, message, "write at least one: `names: [www.some-domain.com]`");
        }
        let names: Vec<Option<Identifier>> = written.names.iter().map(|name| self.name(name, written)).collect();
        let mut names: Vec<Identifier> = names.into_iter().collect::<Option<_>>()?;
        names.sort();
        names.dedup();
        Some(names)
    }

    fn name(&mut self, written: &Spanned<String>, certificate: &file::Certificate) -> Option<Identifier> {
        let hint = match written.value.contains(['/', ':']) {
            true => "write the host name or the IP address only, without scheme, port and path",
            false => "write a host name such as `www.some-domain.com`, or an IP address such as `192.0.2.10`",
        };
        let name: Identifier = self.parsed(written, hint)?;
        if name.ip().is_some() && certificate.dns01.is_some() {
            return self.refuse(
                written.at,
                format!("`{name}` is an IP address, which dns-01 cannot validate (RFC 8738 §7)"),
                "take `dns01` away, so that it is validated by http-01, or give the address a certificate of its own",
            );
        }
        let wildcards = certificate.dns01.is_some() || renewed_by(certificate) == RenewedBy::Certbot;
        if name.is_wildcard() && !wildcards {
            return self.refuse(
                written.at,
                format!("`{name}` is a wildcard, which http-01 cannot validate (RFC 8555 §8.3)"),
                "add `dns01: …` to the certificate, with a DNS provider below `dns:`, or list the host names one by one",
            );
        }
        Some(name)
    }

    /// Let's Encrypt issues for IP addresses with one of its profiles only.
    pub(super) fn issues_for_addresses(
        &mut self,
        written: &file::Certificate,
        issuer: &IssuerName,
        issuers: &Issuers,
    ) -> Option<()> {
        let Some(Some((_, config))) = issuers.get(issuer.as_str()) else { return Some(()) };
        // What dns-01 cannot validate is told as such, and where certbot orders no issuer of the config does.
        if written.dns01.is_some()
            || renewed_by(written) == RenewedBy::Certbot
            || !is_lets_encrypt(config)
            || config.profile.as_deref() == Some(PROFILE_FOR_ADDRESSES)
        {
            return Some(());
        }
        let is_address =
            |name: &&Spanned<String>| name.value.parse::<Identifier>().is_ok_and(|name| name.ip().is_some());
        let Some(address) = written.names.iter().find(is_address) else { return Some(()) };
        let has = config.profile.as_ref().map_or_else(|| "none".to_owned(), |profile| format!("`{profile}`"));
        self.refuse(
            address.at,
            format!(
                "`{}` is an IP address, for which Let's Encrypt issues with profile `{PROFILE_FOR_ADDRESSES}` only, and the \
                 profile of issuer `{issuer}` is {has}",
                address.value
            ),
            format!(
                "write `profile: {PROFILE_FOR_ADDRESSES}` for the issuer, or give the certificate an issuer of its own with \
                 that profile"
            ),
        )
    }
}

/// Let's Encrypt's one profile with IP addresses.
const PROFILE_FOR_ADDRESSES: &str = "shortlived";
