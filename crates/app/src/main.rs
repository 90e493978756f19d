//! `certferry`: certificates by ACME onto load balancers. See the library for everything.

use std::process::ExitCode;

fn main() -> ExitCode {
    certferry::main(std::env::args_os())
}
