//! The command line, as it is written.

use std::convert::Infallible;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use certferry_core::Secret;
use clap::{Args, Parser, Subcommand, ValueEnum};
use jiff::SignedDuration;

/// Gets certificates by ACME, carries them onto load balancers, proves that they are served, renews them in time.
///
/// Exit codes: 0 healthy, nothing left to do; 1 unexpected; 2 plan has steps; 3 issuing failed; 4 delivery failed;
/// 5 verification failed; 64 usage or config error.
#[derive(Debug, Parser)]
#[command(name = "certferry", version, max_term_width = 100)]
pub(crate) struct CommandLine {
    #[command(flatten)]
    pub(crate) global: GlobalOptions,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command.
#[derive(Args, Debug)]
pub(crate) struct GlobalOptions {
    /// The config [default: ./certferry.yaml, then /etc/certferry/certferry.yaml]
    #[arg(long, short, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// How to print
    #[arg(long, short, global = true, value_enum, default_value_t)]
    pub(crate) output: Format,
    /// Log more, on stderr (-v: what is done; -vv: every request)
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

/// How to print.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    #[default]
    Text,
    /// For programs: snake_case keys, stable
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// The whole story on this machine, with no file and no account
    Demo,
    /// Check the config; with --online also the CA and the load balancers
    Check {
        /// Also talk to the CA and the load balancers, and change nothing there
        #[arg(long)]
        online: bool,
    },
    /// Show the steps that apply would take (exit code 2 when there are any)
    Plan(Selection),
    /// Carry the plan out once
    Apply(Selection),
    /// Carry the plan out again and again, with the responder and the API listening all the time
    Daemon {
        /// The longest pause between two runs: how soon drift is seen and repaired
        #[arg(long, value_name = "DURATION", default_value = "15m")]
        every: Every,
    },
    /// Print the config entry that puts what a listener serves under management; the load balancer is not touched
    Adopt(Adopt),
    /// Show every certificate on a load balancer, managed or not
    Inventory {
        /// The load balancer's name in the config
        #[arg(value_name = "LB")]
        load_balancer: String,
    },
    /// Look after the accounts with CAs
    #[command(subcommand)]
    Account(AccountCommand),
    /// Take certificates out of the state
    #[command(subcommand)]
    Certificates(CertificatesCommand),
    /// Take over what another ACME client has, so that nothing is ordered anew
    #[command(subcommand)]
    Import(ImportCommand),
    /// Write address records
    #[command(subcommand)]
    Dns(DnsCommand),
    /// certbot's deploy hook: take over the certificate that certbot has just got, deliver it, verify it; order nothing
    DeployHook(DeployHook),
    /// Revoke the current version of a certificate; the next apply orders a new one
    Revoke(Revoke),
    /// Show certificates and deployments: issued, deployed, served
    Status,
    /// Show what was done, when, to what
    History {
        /// Only of this certificate
        #[arg(long, value_name = "NAME")]
        certificate: Option<String>,
        /// At most so many lines
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: u32,
    },
    /// Print the least-privilege grant that this config needs on a load balancer or in OCI DNS
    Policy {
        /// The load balancer's or DNS provider's name in the config
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// What only Avi controllers have
    #[command(subcommand)]
    Avi(AviCommand),
}

/// What to put under management.
#[derive(Args, Debug)]
pub(crate) struct Adopt {
    /// The load balancer's name in the config
    #[arg(value_name = "LB")]
    pub(crate) load_balancer: String,
    /// The listener's name on the load balancer (Avi: the virtual service)
    #[arg(value_name = "LISTENER")]
    pub(crate) listener: String,
    /// The certificate's name in the config [default: its first DNS name]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// The issuer to order from [default: the only one in the config]
    #[arg(long, value_name = "ISSUER")]
    pub(crate) issuer: Option<String>,
    /// Also add the entry to the config file, if the result is a good config
    #[arg(long)]
    pub(crate) write: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AviCommand {
    /// Set a controller up so that it orders certificates of its own accord, through `certferry daemon`
    ///
    /// Shows what is to be done first. Exit code 2 with --plan when there is something to do.
    InstallControlScript(Box<InstallControlScript>),
    /// Show the CA's requests for challenges, as the virtual services logged them
    Logs(AviLogs),
}

/// How a controller is set up.
#[derive(Args, Debug)]
pub(crate) struct InstallControlScript {
    /// The load balancer's name in the config
    #[arg(value_name = "LB")]
    pub(crate) load_balancer: String,
    /// The administrator to log in as
    #[arg(long = "as", value_name = "ADMIN", default_value = "admin")]
    pub(crate) administrator: String,
    /// Where the administrator's password is; never the password itself
    #[arg(long, value_name = "env:NAME|file:PATH", conflicts_with = "token")]
    pub(crate) password: Option<SecretArgument>,
    /// Where an authentication token of the administrator is; never the token itself
    #[arg(long, value_name = "env:NAME|file:PATH")]
    pub(crate) token: Option<SecretArgument>,
    /// The name of the ControlScript
    #[arg(long, value_name = "NAME", default_value = "certferry")]
    pub(crate) script: String,
    /// The name of the certificate management profile
    #[arg(long, value_name = "NAME", default_value = "certferry")]
    pub(crate) profile: String,
    /// The name of the role
    #[arg(long, value_name = "NAME", default_value = "certferry")]
    pub(crate) role: String,
    /// Leave the load balancer's user and its role alone
    #[arg(long)]
    pub(crate) no_user: bool,
    /// PEM file with the roots that the script checks certferry's HTTPS against [default: the self-made certificate, else
    /// the controller's roots]
    #[arg(long, value_name = "FILE")]
    pub(crate) trusted_roots: Option<PathBuf>,
    /// Write token and password again: the controller does not show whether they are the right ones
    #[arg(long)]
    pub(crate) rewrite_secrets: bool,
    /// Only show what is to be done
    #[arg(long, conflicts_with_all = ["print", "yes"])]
    pub(crate) plan: bool,
    /// Print what to do by hand, and the script; asks no controller
    #[arg(long, conflicts_with = "yes")]
    pub(crate) print: bool,
    /// Do it without asking
    #[arg(long)]
    pub(crate) yes: bool,
}

/// Which requests to show.
#[derive(Args, Debug)]
pub(crate) struct AviLogs {
    /// The load balancer's name in the config
    #[arg(value_name = "LB")]
    pub(crate) load_balancer: String,
    /// On these virtual services [default: all that a request for a challenge may reach]
    #[arg(long, value_name = "NAME", num_args = 1..)]
    pub(crate) virtual_service: Vec<String>,
    /// Only requests for this host name
    #[arg(long, value_name = "HOST")]
    pub(crate) name: Option<String>,
    /// How far back
    #[arg(long, value_name = "DURATION", default_value = "1h")]
    pub(crate) within: String,
    /// At most so many, the newest
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub(crate) limit: u32,
}

/// What was written where a reference to a secret belongs. It may be the secret itself: neither clap nor anybody else
/// prints it.
#[derive(Clone, Debug)]
pub(crate) struct SecretArgument(pub(crate) Secret<String>);

impl FromStr for SecretArgument {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(Secret::new(text.to_owned())))
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum DnsCommand {
    /// Point the names of certificates at the load balancer that serves them
    ///
    /// Shows the records that are there and what is to be done, and asks. Exit code 2 with --plan when there is something to
    /// do; 1 when a name cannot be pointed.
    Point(PointNames),
}

/// Which names to point where.
#[derive(Args, Debug)]
pub(crate) struct PointNames {
    /// The names of these certificates of the config [default: of all]
    #[arg(value_name = "CERTIFICATE")]
    pub(crate) certificates: Vec<String>,
    /// The DNS provider of the config that holds the zones [default: the only one that writes address records]
    #[arg(long, value_name = "NAME")]
    pub(crate) provider: Option<String>,
    /// The load balancer to point to, where a certificate is deployed to several
    #[arg(long, value_name = "LB")]
    pub(crate) to: Option<String>,
    /// The time to live of new record sets, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u32).range(30..=604_800))]
    pub(crate) ttl: u32,
    /// Take away A, AAAA and CNAME records that lead elsewhere
    #[arg(long)]
    pub(crate) replace: bool,
    /// The zones are seen from inside the network only: write private addresses (OCI DNS knows by itself)
    #[arg(long)]
    pub(crate) inside: bool,
    /// Only show what is to be done
    #[arg(long, visible_alias = "dry-run", conflicts_with = "yes")]
    pub(crate) plan: bool,
    /// Do it without asking
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ImportCommand {
    /// Take over certbot's accounts and certificates; its files are only read
    ///
    /// Shows what is to be done first. Exit code 2 with --plan when there is something to do.
    Certbot(ImportCertbot),
}

/// What to take over of certbot's.
#[derive(Args, Debug)]
pub(crate) struct ImportCertbot {
    /// certbot's config folder, usually /etc/letsencrypt
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
    /// The accounts of these issuers only; with =ID, that one of certbot's accounts [default: those of all issuers]
    #[arg(long, value_name = "ISSUER[=ID]", num_args = 1..)]
    pub(crate) account: Vec<String>,
    /// Also take over what the state has another account or a newer version of
    #[arg(long)]
    pub(crate) replace: bool,
    /// Only show what is to be done
    #[arg(long, conflicts_with = "yes")]
    pub(crate) plan: bool,
    /// Do it without asking
    #[arg(long)]
    pub(crate) yes: bool,
}

/// How certbot's certificate is delivered.
#[derive(Args, Debug)]
pub(crate) struct DeployHook {
    /// The certificate's name in the config [default: the one that has these names]
    #[arg(long, value_name = "NAME")]
    pub(crate) certificate: Option<String>,
    /// How long to wait for another certferry that works on the same state: the daemon delivers in its stead
    #[arg(long, value_name = "DURATION", default_value = "20m")]
    pub(crate) wait: Every,
}

/// What to revoke.
#[derive(Args, Debug)]
pub(crate) struct Revoke {
    /// The certificate's name in the config
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// Why (RFC 5280 §5.3.1)
    #[arg(long, value_enum)]
    pub(crate) reason: Option<Reason>,
    /// By the certificate's own key instead of the account that ordered it
    #[arg(long)]
    pub(crate) by_key: bool,
    /// Yes, revoke it
    #[arg(long)]
    pub(crate) yes: bool,
}

/// Why a certificate is revoked.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Reason {
    /// The name's holder is another now
    AffiliationChanged,
    /// The site is given up
    CessationOfOperation,
    /// Somebody else has, or may have, the private key
    KeyCompromise,
    /// A new certificate has taken its place
    Superseded,
}

/// What to do with accounts.
#[derive(Debug, Subcommand)]
pub(crate) enum AccountCommand {
    /// Show each issuer's account and the kind of its key
    Show {
        /// Also ask the CAs
        #[arg(long)]
        online: bool,
    },
    /// Give an account a new key; the account stays the same
    RotateKey {
        /// The issuer's name in the config
        #[arg(value_name = "ISSUER")]
        issuer: String,
    },
    /// Give an account up, for good
    Deactivate {
        /// The issuer's name in the config
        #[arg(value_name = "ISSUER")]
        issuer: String,
        /// Yes, for good
        #[arg(long)]
        yes: bool,
    },
}

/// What to do with certificates.
#[derive(Debug, Subcommand)]
pub(crate) enum CertificatesCommand {
    /// Write chain and key as certbot lays them out: cert.pem, chain.pem, fullchain.pem, privkey.pem, mode 0600
    Export {
        /// The certificate's name in the config
        #[arg(value_name = "NAME")]
        name: String,
        /// The folder below which a folder of the certificate's name is made
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
    },
}

/// A pause or a wait: 1 s to 1 day.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Every(Duration);

impl From<Every> for Duration {
    fn from(every: Every) -> Self {
        every.0
    }
}

impl FromStr for Every {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text.parse::<SignedDuration>().ok().and_then(|duration| Duration::try_from(duration).ok());
        match parsed {
            Some(every) if (1..=24 * 60 * 60).contains(&every.as_secs()) => Ok(Self(every)),
            Some(_) => Err("write something from `1s` to `24h`".to_owned()),
            None => Err("write `90s`, `15m` or `1h 30m`".to_owned()),
        }
    }
}

/// Which certificates, and whether due or not.
#[derive(Args, Debug, Default)]
pub(crate) struct Selection {
    /// Only these certificates
    #[arg(long, value_name = "NAME", num_args = 1..)]
    pub(crate) only: Vec<String>,
    /// Renew though nothing is due, and do not wait after a failure
    #[arg(long)]
    pub(crate) force_renewal: bool,
}
