//! Session tokens: `oci session authenticate` puts token and key into files and names them in a profile
//! (<https://docs.oracle.com/iaas/Content/API/SDKDocs/clitoken.htm>).

use std::path::Path;
use std::sync::Arc;

use certferry_core::{Clock, Error};

use super::config::SessionTokenFile;
use super::files::{config_file, expand};
use super::held_token::{Held, HeldToken, Holder};
use super::profile::SessionProfile;

/// Reads the profile; token and key are read when they are needed.
pub(super) fn open(file: &SessionTokenFile, home: Option<&Path>, clock: &Arc<dyn Clock>) -> Result<HeldToken, Error> {
    let path = expand(&file.config_file, home);
    let text = config_file(&path, OPERATION)?;
    let profile = SessionProfile::parse(&text, &file.profile).map_err(|refusal| refusal.about(&path, OPERATION))?;
    let holder = Holder::Session { options: format!("--config-file {} --profile {}", path.display(), file.profile) };
    Ok(HeldToken::new(
        holder,
        Held::File(expand(&profile.token_file, home)),
        Held::File(expand(&profile.key_file, home)),
        profile.pass_phrase.map(Held::Text),
        profile.region,
        clock,
    ))
}

const OPERATION: &str = "reading the session token";
