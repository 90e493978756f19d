//! An OCI load balancer.
