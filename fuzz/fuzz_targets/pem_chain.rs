#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    certferry_core::properties::pem_chain(data);
    certferry_acme::properties::pem_chain(data);
    certferry_providers::properties::pem_chain(data);
});
