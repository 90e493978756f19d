//! `certferry certificates export`: a certificate's files, as certbot lays them out.

use std::path::Path;

use certferry_core::desired::KeyHolder;
use certferry_core::{CertificateName, Error, ErrorKind};
use serde::Serialize;

use crate::cli::GlobalOptions;
use crate::commands::known_certificate;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output;
use crate::private_file;
use crate::wiring;

/// Writes `cert.pem`, `chain.pem`, `fullchain.pem` and `privkey.pem` into a folder of the certificate's name below `folder`,
/// each with mode 0600, the key last but one: a reader that waits for `fullchain.pem` finds all of them.
pub(crate) async fn run(global: &GlobalOptions, certificate: &str, folder: &Path) -> Result<Exit, Failure> {
    let config = global.load_config()?;
    let name: CertificateName = certificate.parse()?;
    known_certificate(&name, &config.desired)?;
    let store = wiring::store(&config).await?;
    let recorded = store.recorded().await?;
    let current = recorded.certificate(&name).and_then(|record| record.current.clone());
    let Some(version) = current else {
        let error = Error::new(ErrorKind::NotFound, "export", format!("certificate `{name}`"))
            .said("it was not issued yet")
            .with_hint("run `certferry apply` first");
        return Err(error.into());
    };
    let chain = store.chain(version.id).await?;
    let key = match &version.spec.key_holder {
        KeyHolder::Store => Some(store.private_key(version.id).await?),
        KeyHolder::LoadBalancer(holder) => {
            output::complain(&format!(
                "warning: load balancer `{holder}` holds the private key and never gives it away: no privkey.pem is written\n"
            ));
            None
        }
    };
    let target = folder.join(name.as_str());
    let failed = |source| Failure::Machine { what: format!("{} cannot be written", target.display()), source };
    std::fs::create_dir_all(&target).map_err(failed)?;
    let lines = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    let block = |der: &Vec<u8>| pem::encode_config(&pem::Pem::new("CERTIFICATE", der.clone()), lines);
    let certificates = chain.certificates();
    let leaf: String = certificates.iter().take(1).map(block).collect();
    let issuers: String = certificates.iter().skip(1).map(block).collect();
    let mut files = Vec::new();
    let mut write = |file: &str, content: &[u8]| {
        let path = target.join(file);
        files.push(path.display().to_string());
        private_file::write(&path, content).map_err(failed)
    };
    write("cert.pem", leaf.as_bytes())?;
    write("chain.pem", issuers.as_bytes())?;
    if let Some(key) = &key {
        write("privkey.pem", key.expose().as_bytes())?;
    }
    write("fullchain.pem", chain.pem().as_bytes())?;
    if global.wants_json() {
        output::json(&ExportDocument { certificate: name.as_str(), serial: chain.leaf().serial.as_str(), files });
    } else {
        output::line(&format!("serial {} of `{name}`:\n{}", chain.leaf().serial, files.join("\n")));
    }
    Ok(Exit::Healthy)
}

/// `certificates export --output json`.
#[derive(Serialize)]
struct ExportDocument<'a> {
    certificate: &'a str,
    serial: &'a str,
    files: Vec<String>,
}
