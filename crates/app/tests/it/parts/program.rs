//! A program that runs beside a test and ends with it.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{OnceLock, mpsc};
use std::thread;

/// Variables that would bend what a program trusts or where it connects; a test says both itself.
const BENDING_VARIABLES: [&str; 15] = [
    "ALL_PROXY",
    "CURL_CA_BUNDLE",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NIX_SSL_CERT_FILE",
    "NODE_EXTRA_CA_CERTS",
    "NO_PROXY",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "AWS_CA_BUNDLE",
    "all_proxy",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];

/// A running program. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Program {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Program {
    /// Starts `command`, which [`dies_with_us`] or its like has made; what it prints goes to `log`.
    pub(crate) fn start(name: &'static str, mut command: Command, log: PathBuf) -> Self {
        let file = File::create(&log).unwrap_or_else(|error| panic!("create {}: {error}", log.display()));
        let same_file = file.try_clone().expect("a second handle of the log");
        command.stdin(Stdio::null()).stdout(file).stderr(same_file);
        let child = spawn_from_lasting_thread(command).unwrap_or_else(|error| panic!("start {name}: {error}"));
        Self { name, child, log }
    }

    /// The process's number.
    pub(crate) fn process_id(&self) -> u32 {
        self.child.id()
    }

    /// Kills it, and waits until it is gone and its ports are free.
    pub(crate) fn end(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// How it ended, when it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap_or_else(|error| panic!("ask how {} is: {error}", self.name))
    }

    /// All that it has printed so far.
    pub(crate) fn printed(&self) -> String {
        fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// The last lines that it printed, for a message.
    pub(crate) fn last_words(&self) -> String {
        let printed = self.printed();
        let lines: Vec<&str> = printed.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }
}

impl Drop for Program {
    #[expect(clippy::print_stdout, reason = "a failing test shows what it prints")]
    fn drop(&mut self) {
        if thread::panicking() {
            println!("{} said last:\n{}", self.name, self.last_words());
        }
        self.end();
    }
}

/// A command for `program` that the kernel kills when the test process ends in whatever way, SIGKILL included.
pub(crate) fn dies_with_us(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    clear_bending_variables(&mut command);
    command
}

/// Takes away what the environment says about proxies and trusted roots.
pub(crate) fn clear_bending_variables(command: &mut Command) {
    for variable in BENDING_VARIABLES {
        command.env_remove(variable);
    }
}

/// The kernel watches the *thread* that started a program, and a test's thread ends with its test: a program that
/// several tests share would die with the first. So one thread, which lasts as long as the process, starts them all.
fn spawn_from_lasting_thread(command: Command) -> io::Result<Child> {
    type Request = (Command, mpsc::Sender<io::Result<Child>>);
    static STARTER: OnceLock<mpsc::Sender<Request>> = OnceLock::new();

    let starter = STARTER.get_or_init(|| {
        let (requests, incoming) = mpsc::channel::<Request>();
        thread::Builder::new()
            .name("program-starter".to_owned())
            .spawn(move || {
                for (mut command, answer) in incoming {
                    // The asker waits for the answer, so it is there.
                    let _ = answer.send(command.spawn());
                }
            })
            .expect("start a thread");
        requests
    });
    let (answer, started) = mpsc::channel();
    starter.send((command, answer)).expect("the starter thread lasts");
    started.recv().expect("the starter thread answers")
}
