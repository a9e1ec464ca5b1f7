//! Makes the descriptors of Envoy's configuration language from the `.proto` files that the crate
//! `envoy-types` ships, and an index that lets the library load only those that a file needs.
//!
//! Two files are written to `OUT_DIR`: `descriptors.bin`, an encoded `FileDescriptorSet`, and `index.rs`, which tells where each lies, what it imports and which
//! message types it declares.

mod compile;
mod locate;

use std::{env, fmt::Write as _, fs, path::PathBuf};

use prost_reflect::{DescriptorPool, MessageDescriptor};

fn main() {
    println!("cargo::rerun-if-changed=build");
    println!("cargo::rerun-if-env-changed=ENVOY_TYPES_DIR");
    let protos = locate::envoy_types().unwrap_or_else(|cause| {
        panic!(
            "cannot find the sources of the crate envoy-types: {cause}\n\
             set ENVOY_TYPES_DIR to the folder that holds its Cargo.toml"
        )
    });
    let pool = compile::compile(&protos.join("proto")).unwrap_or_else(|cause| panic!("{cause}"));
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let (bytes, index) = encode(&pool);
    fs::write(out.join("descriptors.bin"), bytes).expect("OUT_DIR is writable");
    fs::write(out.join("index.rs"), index).expect("OUT_DIR is writable");
}

/// Lays the files of `pool` one after the other and writes their index as Rust source.
///
/// A pool lists a file after everything that it imports, so a dependency always has the smaller
/// number and ascending order is a valid order of loading.
fn encode(pool: &DescriptorPool) -> (Vec<u8>, String) {
    let names: Vec<String> = pool.files().map(|file| file.name().to_owned()).collect();
    let number = |name: &str| {
        names
            .iter()
            .position(|n| n == name)
            .expect("imports are in the pool")
    };
    let mut bytes = Vec::new();
    let mut index = String::from("static FILES: &[File] = &[\n");
    let mut types = Vec::new();
    for (at, file) in pool.files().enumerate() {
        let start = bytes.len();
        let encoded = file.encode_to_vec();
        // Field 1 of a FileDescriptorSet, length-delimited: any selection of files is a set.
        bytes.push(0x0a);
        varint(encoded.len(), &mut bytes);
        bytes.extend(encoded);
        let imports: Vec<usize> = file
            .dependencies()
            .map(|import| number(import.name()))
            .collect();
        writeln!(
            index,
            "    File {{ start: {start}, end: {}, imports: &{imports:?} }},",
            bytes.len()
        )
        .expect("a string takes everything");
        file.messages()
            .for_each(|message| collect(&message, at, &mut types));
    }
    index.push_str("];\nstatic TYPES: &[(&str, u16)] = &[\n");
    types.sort();
    for (name, file) in types {
        writeln!(index, "    ({name:?}, {file}),").expect("a string takes everything");
    }
    index.push_str("];\n");
    (bytes, index)
}

fn varint(mut value: usize, bytes: &mut Vec<u8>) {
    while value >= 0x80 {
        bytes.push((value & 0x7f | 0x80) as u8);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn collect(message: &MessageDescriptor, file: usize, types: &mut Vec<(String, usize)>) {
    if message.is_map_entry() {
        return;
    }
    types.push((message.full_name().to_owned(), file));
    message
        .child_messages()
        .for_each(|child| collect(&child, file, types));
}
