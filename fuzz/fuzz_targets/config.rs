#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    certferry::config::properties::config(data);
});
