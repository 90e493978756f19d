//! The systemd units as they are shipped: how certferry is run, and what it may not do.

use std::path::Path;

use crate::stage::certferry;

#[test]
fn the_services_have_no_more_rights_than_they_need() {
    for name in ["certferry.service", "certferry-daemon.service"] {
        has_no_more_rights_than_it_needs(&unit(name));
    }
}

fn has_no_more_rights_than_it_needs(service: &Unit) {
    for (directive, value) in [
        ("AmbientCapabilities", ""),
        ("CapabilityBoundingSet", ""),
        ("LockPersonality", "yes"),
        ("MemoryDenyWriteExecute", "yes"),
        ("NoNewPrivileges", "yes"),
        ("PrivateDevices", "yes"),
        ("PrivateTmp", "yes"),
        ("ProtectHome", "yes"),
        ("ProtectSystem", "strict"),
        ("RestrictAddressFamilies", "AF_INET AF_INET6 AF_NETLINK AF_UNIX"),
        ("RestrictNamespaces", "yes"),
        ("StateDirectory", "certferry"),
        ("StateDirectoryMode", "0700"),
        ("SystemCallArchitectures", "native"),
        ("UMask", "0077"),
    ] {
        assert_eq!(values(service, "Service", directive), [value], "{directive}");
    }
    assert_eq!(values(service, "Service", "SystemCallFilter"), ["@system-service", "~@privileged @resources"]);
}

#[test]
fn the_service_runs_as_the_user_that_sysusers_makes() {
    let user = values(&unit("certferry.service"), "Service", "User").concat();
    let sysusers = shipped("certferry.sysusers");
    assert!(sysusers.starts_with(&format!("u {user} ")), "{sysusers}");
    assert!(sysusers.contains(" /var/lib/certferry "), "its home is the service's StateDirectory: {sysusers}");
}

#[test]
fn the_timer_fires_twice_a_day_and_makes_up_for_a_missed_run() {
    let timer = unit("certferry.timer");
    assert_eq!(values(&timer, "Timer", "OnCalendar"), ["*-*-* 03,15:17:00"]);
    assert_eq!(values(&timer, "Timer", "Persistent"), ["yes"]);
    assert_eq!(values(&timer, "Timer", "RandomizedDelaySec"), ["3h"]);
    assert_eq!(values(&timer, "Install", "WantedBy"), ["timers.target"]);
}

#[test]
fn the_daemon_has_longer_to_stop_than_it_takes_and_excludes_the_timer() {
    let service = unit("certferry-daemon.service");
    assert_eq!(values(&service, "Service", "TimeoutStopSec"), ["60s"]);
    assert_eq!(values(&service, "Service", "RestartPreventExitStatus"), ["64"]);
    assert_eq!(values(&service, "Unit", "Conflicts"), ["certferry.timer certferry.service"]);
}

#[tokio::test]
async fn the_services_command_lines_are_ones_that_certferry_takes() {
    for name in ["certferry.service", "certferry-daemon.service"] {
        is_a_command_line_that_certferry_takes(&values(&unit(name), "Service", "ExecStart").concat()).await;
    }
}

async fn is_a_command_line_that_certferry_takes(start: &str) {
    let arguments = start.strip_prefix("/usr/local/bin/certferry ").unwrap_or_else(|| panic!("{start}"));
    let folder = tempfile::tempdir().unwrap();
    let absent = folder.path().join("absent.yaml");
    let arguments = arguments.replace("/etc/certferry/certferry.yaml", absent.to_str().unwrap());
    let ended = certferry(folder.path(), &arguments.split(' ').collect::<Vec<_>>()).await.expect_exit(64);
    // The command line was understood: it is the file that is missing.
    assert!(ended.stderr().contains("absent.yaml"), "{}", ended.stderr());
}

/// Section, directive, value, in the order of the file.
type Unit = Vec<(String, String, String)>;

/// Reads a unit file that has no continued lines (systemd.syntax(7)).
fn unit(name: &str) -> Unit {
    let mut section = String::new();
    let mut unit = Unit::new();
    for line in shipped(name).lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(['#', ';'])) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            name.clone_into(&mut section);
        } else {
            let (directive, value) = line.split_once('=').unwrap_or_else(|| panic!("{name}: {line}"));
            unit.push((section.clone(), directive.to_owned(), value.to_owned()));
        }
    }
    unit
}

fn values<'a>(unit: &'a Unit, section: &str, directive: &str) -> Vec<&'a str> {
    let found = unit.iter().filter(|(in_section, name, _)| in_section == section && name == directive);
    found.map(|(_, _, value)| value.as_str()).collect()
}

fn shipped(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/systemd").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("read {}: {error}", path.display()))
}
