//! For tests that need the real ports 80 and 443: addresses of their own, and a network of their own for those who may
//! not bind low ports.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener};
use std::process::Command;
use std::sync::atomic::{AtomicU8, Ordering};

/// An address in 127.0.0.0/8 that no other test uses, nor another test process that runs at the same time.
pub(crate) fn own_address() -> Ipv4Addr {
    static NEXT: AtomicU8 = AtomicU8::new(1);

    let [.., high, low] = std::process::id().to_be_bytes();
    // 127.0.0.0/10 is where everybody else's addresses are.
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    assert!(number < 128, "too many tests want an address of their own");
    Ipv4Addr::new(127, 64 + number, high, low)
}

/// Whether the test `name` (such as `caddy::a_test`) was run elsewhere: then it succeeded there, and is done. Where this
/// user may bind port 80, it says `false` at once and the test goes on. Else the test runs again, in a process that is
/// root of a user namespace and has a network of its own.
///
/// # Panics
///
/// Fails the test when it failed there, or when this machine does not allow such a process; says what would help.
pub(crate) fn ran_in_own_network(name: &str) -> bool {
    match TcpListener::bind((own_address(), 80)) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {}
        _ => return false,
    }
    let itself = std::env::current_exe().expect("the path of this program");
    let output = Command::new("unshare")
        .args([
            "--map-root-user",
            "--net",
            "sh",
            "-c",
            r#"ip link set lo up && exec setpriv --pdeathsig KILL -- "$@""#,
            "sh",
        ])
        .arg(itself)
        .args(["--exact", name, "--nocapture"])
        .output()
        .expect("start unshare, of util-linux; run ./test once: it looks for it");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{name} needs port 80. This user may not bind it, and in a user namespace with a network of its own (which needs \
         `unshare`, and `ip` of iproute2) the test failed: {}\n{said}\n{}\nrun the tests as root, or once: sudo sysctl \
         net.ipv4.ip_unprivileged_port_start=80",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    true
}
