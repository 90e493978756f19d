//! A program of the user's own that writes the TXT record.

use std::process::Stdio;
use std::time::Duration;

use async_trait::async_trait;
use certferry_core::port::{DnsProvider, DnsZone, TxtRecord};
use certferry_core::{DnsName, DnsProviderName, Error, ErrorKind, printable};
use tokio::process::Command;

use super::failure;

/// The program and how long it may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecConfig {
    /// The program and its arguments. `present` or `withdraw` is added as the last one.
    pub command: Vec<String>,
    /// After that it is ended.
    pub timeout: Duration,
}

/// The program.
#[derive(Debug)]
pub struct Exec {
    name: DnsProviderName,
    config: ExecConfig,
}

impl Exec {
    /// Starts nothing yet.
    pub fn new(name: DnsProviderName, config: ExecConfig) -> Self {
        Self { name, config }
    }

    async fn run(&self, action: &str, record: &TxtRecord) -> Result<(), Error> {
        let [program, arguments @ ..] = self.config.command.as_slice() else {
            return Err(failure(&self.name, ErrorKind::Invalid, action, "command").said("it names no program"));
        };
        let object = format!("TXT {} by `{program}`", record.name);
        let refuse = |kind, said: String| failure(&self.name, kind, action, &object).said(said);
        let child = Command::new(program)
            .args(arguments)
            .arg(action)
            // Not as arguments: those every user of the machine can see.
            .env("CERTFERRY_DNS_NAME", record.name.as_str())
            .env("CERTFERRY_DNS_VALUE", &record.value)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| {
                refuse(ErrorKind::Invalid, format!("it does not start: {error}"))
                    .with_hint("write its whole path, and make it executable")
            })?;
        let Ok(ended) = tokio::time::timeout(self.config.timeout, child.wait_with_output()).await else {
            let said = format!("it did not end within {} s, and was ended", self.config.timeout.as_secs());
            return Err(refuse(ErrorKind::Timeout, said).with_hint("raise `timeout` where it is right to take long"));
        };
        let output = ended.map_err(|error| refuse(ErrorKind::Unexpected, error.to_string()))?;
        if output.status.success() {
            return Ok(());
        }
        let said = match last_words(&output.stderr) {
            words if words.is_empty() => format!("{}, and nothing on stderr", output.status),
            words => format!("{}: {words}", output.status),
        };
        Err(refuse(ErrorKind::Unavailable, said).with_hint(format!(
            "try it by hand: CERTFERRY_DNS_NAME={} CERTFERRY_DNS_VALUE={} {} {action}",
            record.name,
            record.value,
            self.config.command.join(" ")
        )))
    }
}

#[async_trait]
impl DnsProvider for Exec {
    fn name(&self) -> &DnsProviderName {
        &self.name
    }

    async fn zone(&self, _record: &DnsName) -> Result<Option<DnsZone>, Error> {
        Ok(None)
    }

    async fn present(&self, record: &TxtRecord) -> Result<(), Error> {
        self.run("present", record).await
    }

    async fn withdraw(&self, record: &TxtRecord) -> Result<(), Error> {
        self.run("withdraw", record).await
    }
}

/// The end of what a program wrote, on one line.
fn last_words(stderr: &[u8]) -> String {
    let line = printable::line(&String::from_utf8_lossy(stderr), usize::MAX);
    let letters = line.chars().count();
    if letters <= SHOWN_LETTERS {
        return line;
    }
    format!("… {}", line.chars().skip(letters - SHOWN_LETTERS).collect::<String>())
}

const SHOWN_LETTERS: usize = 400;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use super::*;

    fn exec(folder: &Path, script: &str, timeout: Duration) -> Exec {
        let path = folder.join("hook");
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        // By the shell, because a file that another thread still has open for writing cannot be executed.
        let command = ["/bin/sh", path.to_str().unwrap(), "--zone", "a b"].map(str::to_owned).to_vec();
        Exec::new("own".parse().unwrap(), ExecConfig { command, timeout })
    }

    fn record() -> TxtRecord {
        TxtRecord { name: "_acme-challenge.a.test".parse().unwrap(), value: "v-1".to_owned() }
    }

    #[tokio::test]
    async fn name_and_value_are_in_the_environment_and_the_action_is_the_last_argument() {
        let folder = tempfile::tempdir().unwrap();
        let seen = folder.path().join("seen");
        let script = format!("echo \"$CERTFERRY_DNS_NAME $CERTFERRY_DNS_VALUE $1|$2|$3\" >> '{}'; cat", seen.display());
        let exec = exec(folder.path(), &script, Duration::from_secs(30));
        exec.present(&record()).await.unwrap();
        exec.withdraw(&record()).await.unwrap();
        let seen = std::fs::read_to_string(seen).unwrap();
        let expected = "_acme-challenge.a.test v-1 --zone|a b|";
        assert_eq!(seen, format!("{expected}present\n{expected}withdraw\n"));
    }

    #[tokio::test]
    async fn a_failure_quotes_the_end_of_stderr() {
        let folder = tempfile::tempdir().unwrap();
        let script = "head -c 5000 /dev/zero | tr '\\0' x >&2; printf '\\nno\\033[1m such zone\\n' >&2; exit 3";
        let exec = exec(folder.path(), script, Duration::from_secs(30));
        let error = exec.present(&record()).await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains("exit status: 3") && text.contains("no [1m such zone"), "{text}");
        assert!(text.len() < 800 && text.contains("DNS provider `own`"), "{text}");
        assert!(error.hint().unwrap().contains("--zone"), "{error:?}");
    }

    #[tokio::test]
    async fn a_program_that_hangs_is_ended() {
        let folder = tempfile::tempdir().unwrap();
        let exec = exec(folder.path(), "exec sleep 600", Duration::from_millis(200));
        assert_eq!(exec.present(&record()).await.unwrap_err().kind(), ErrorKind::Timeout);
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_named() {
        let config = ExecConfig { command: vec!["/nowhere/hook".to_owned()], timeout: Duration::from_secs(1) };
        let error = Exec::new("own".parse().unwrap(), config).present(&record()).await.unwrap_err();
        assert!(error.to_string().contains("/nowhere/hook"), "{error}");
    }
}
