//! The body of this target is [`crossdock_fuzz::codec::dubbo`].
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| crossdock_fuzz::codec::dubbo(octets));
