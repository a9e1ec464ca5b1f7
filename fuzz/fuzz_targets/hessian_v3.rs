//! The body of this target is [`crossdock_fuzz::hessian::v3`].
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| crossdock_fuzz::hessian::v3(octets));
