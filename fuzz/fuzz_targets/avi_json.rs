#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    certferry_providers::properties::avi_json(data);
});
