//! A throw-away PKI.
