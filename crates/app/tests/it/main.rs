//! The whole program, from the command line to the handshake: one binary, one module per part of the story.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod accounts;
mod architecture;
mod avi;
mod avi_commands;
mod avi_promises;
mod caddy;
mod certbot;
mod certificates_service;
mod command_line;
mod daemon;
mod delivery;
mod demo;
mod dns;
mod expiry_warnings;
mod first_run;
mod fleet;
mod hierarchy;
mod inside;
mod issuing;
mod killed;
mod looking_outside;
mod oci_cli;
mod packaging;
mod parts;
mod parts_smoke;
mod pebble;
mod pointing;
mod promises;
mod proxy;
mod secrets;
mod stage;
mod taking_stock;
mod verification;
