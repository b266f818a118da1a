#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| viereck_targets::run("revocation_list", octets));
