//! Words and rules of certferry: names, keys, chains, plan, schedule, and the ports that the engine drives.

#![forbid(unsafe_code)]
