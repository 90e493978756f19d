//! The daemon's API as written.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::spanned::Spanned;

/// The HTTPS API of `certferry daemon`. A certificate that is renewed in place is served from the next connection on.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Api {
    /// Address and port to listen on. Default: `0.0.0.0:8443`.
    pub listen: Option<Spanned<String>>,
    /// Its URL as the controllers see it: `https://certferry.some-domain.com:8443`.
    pub url: Spanned<String>,
    /// PEM file with its certificate chain, relative to this file. Together with `key`. Default: `certferry-api.pem` in the
    /// folder of the database (`state: url`), made for the URL's host when it is not there, and trusted by the control
    /// scripts that are installed. One that an earlier version made beside this file is used on.
    pub certificate: Option<Spanned<String>>,
    /// PEM file with its private key. Default: `certferry-api.key` beside the default of `certificate`, made with mode 0600
    /// when it is not there.
    pub key: Option<Spanned<String>>,
}
