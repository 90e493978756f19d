#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    certferry_acme::properties::resource_url(data);
});
