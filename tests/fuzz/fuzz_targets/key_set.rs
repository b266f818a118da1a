#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| viereck_targets::run("key_set", octets));
