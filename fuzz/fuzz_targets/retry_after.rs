#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    certferry_acme::properties::retry_after(data);
    certferry_providers::properties::retry_after(data);
});
