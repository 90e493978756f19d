//! What adopting would make, printed: text that is YAML as it stands, with all that is said about it as comments.

use std::path::Path;

use certferry_core::plan::Plan;
use serde::Serialize;

use crate::adoption::{Adoption, Wanted};
use crate::output::{PlanDocument, plan_text};

/// `adopt --output json`.
#[derive(Serialize)]
pub(crate) struct AdoptionDocument<'a> {
    load_balancer: &'a str,
    listener: &'a str,
    certificates: Vec<CertificateRow<'a>>,
    /// The entries, below `certificates:`.
    yaml: String,
    /// Whether the config file has them now.
    written: bool,
    notes: Vec<&'a str>,
    /// What the next apply would do; null when the config cannot be extended.
    #[serde(flatten)]
    plan: Option<PlanDocument<'a>>,
}

#[derive(Serialize)]
struct CertificateRow<'a> {
    name: &'a str,
    names: Vec<String>,
    key: String,
    issuer: Option<&'a str>,
    /// The bundle that is served now.
    bundle: &'a str,
}

impl<'a> AdoptionDocument<'a> {
    /// The document; `fates` say what becomes of the bundles that are served now.
    pub(crate) fn new(
        wanted: &Wanted<'a>,
        adopted: &'a Adoption,
        fates: &'a [String],
        plan: Option<&'a Plan>,
        written: bool,
    ) -> Self {
        let entries: String = adopted.certificates.iter().map(|(new, _)| new.yaml(2)).collect();
        let row = |(new, bundle): &'a (crate::config::NewCertificate, certferry_core::BundleName)| CertificateRow {
            name: new.name.as_str(),
            names: new.names.iter().map(ToString::to_string).collect(),
            key: new.key.to_string(),
            issuer: new.issuer.as_ref().map(certferry_core::IssuerName::as_str),
            bundle: bundle.as_str(),
        };
        Self {
            load_balancer: wanted.load_balancer.as_str(),
            listener: wanted.listener.as_str(),
            certificates: adopted.certificates.iter().map(row).collect(),
            yaml: format!("certificates:\n{entries}"),
            written,
            notes: adopted.notes.iter().chain(fates).map(String::as_str).collect(),
            plan: plan.map(PlanDocument::from),
        }
    }
}

/// The same for people.
pub(crate) fn adoption_text(document: &AdoptionDocument<'_>, plan: Option<&Plan>, file: &Path) -> String {
    let mut said = Vec::new();
    match (document.written, plan) {
        (true, _) => said.push(format!("added to {}", file.display())),
        (false, Some(_)) => said.push(format!("to add it to {}: the same command with --write", file.display())),
        (false, None) => {}
    }
    if let Some(plan) = plan {
        said.push("what the next `certferry apply` does then:".to_owned());
        said.extend(plan_text(plan).lines().map(|line| format!("  {line}")));
    }
    said.extend(document.notes.iter().map(|note| (*note).to_owned()));
    // A line stays a line, or it would be YAML.
    let comments: Vec<String> =
        said.iter().map(|line| format!("# {}", line.replace(char::is_control, " ")).trim_end().to_owned()).collect();
    format!("{}\n{}", document.yaml, comments.join("\n"))
}
