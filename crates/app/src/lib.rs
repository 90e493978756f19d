//! Certificates by ACME onto load balancers, delivered, verified and renewed.

#![forbid(unsafe_code)]
