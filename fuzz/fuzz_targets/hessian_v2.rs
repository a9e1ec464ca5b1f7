//! The body of this target is [`crossdock_fuzz::hessian::v2`].
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| crossdock_fuzz::hessian::v2(octets));
