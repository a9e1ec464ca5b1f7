//! Compiles the `.proto` files below a folder into one descriptor pool.

use std::{
    cell::RefCell,
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    rc::Rc,
};

use prost_reflect::DescriptorPool;
use protox::{
    Compiler, Error,
    file::{File, FileResolver, GoogleFileResolver},
};

/// The package that hides `envoy.config` from everything in `envoy.extensions` that comes after
/// it: compiled last.
const LAST: &str = "envoy/extensions/config/";

/// A file that imports `envoy.extensions.clusters.common` and means `envoy.extensions.common`.
const HIDES_FROM_ITSELF: &str = "envoy/extensions/clusters/dynamic_forward_proxy/v3/cluster.proto";

/// Messages of the xDS API that the crate does not ship: JSON with the name of a type.
const TYPED_STRUCTS: [(&str, &str); 2] = [
    ("xds/type/v3/typed_struct.proto", "xds.type.v3"),
    ("udpa/type/v1/typed_struct.proto", "udpa.type.v1"),
];

fn typed_struct(package: &str) -> String {
    format!(
        "syntax = \"proto3\"; package {package}; import \"google/protobuf/struct.proto\";\n\
         message TypedStruct {{ string type_url = 1; google.protobuf.Struct value = 2; }}"
    )
}

/// Compiles everything below `protos/data-plane-api/envoy`.
///
/// A relative name such as `common.ratelimit.v3.X` is resolved against every package that the
/// compiler has seen, imported or not, and then fails where protoc would not. So what fails in
/// one compiler is tried again in a fresh one, with fewer files around it, until all are through.
///
/// # Errors
/// When a file cannot be compiled, or the folder cannot be read.
pub(crate) fn compile(protos: &Path) -> Result<DescriptorPool, String> {
    let resolver = Resolver::new(roots(protos).map_err(|e| format!("{}: {e}", protos.display()))?);
    let api = protos.join("data-plane-api");
    let mut left = Vec::new();
    list(&api.join("envoy"), &api, &mut left).map_err(|e| format!("{}: {e}", api.display()))?;
    left.sort_by_key(|name| (name.starts_with(LAST), name.clone()));
    left.extend(TYPED_STRUCTS.map(|(name, _)| name.to_owned()));
    let mut pool = DescriptorPool::new();
    loop {
        let before = left.len();
        let mut compiler = Compiler::with_file_resolver(resolver.clone());
        compiler.include_imports(true);
        let mut failed = Vec::new();
        for name in left {
            if let Err(cause) = compiler.open_file(&name) {
                failed.push((name, cause));
            }
        }
        pool.decode_file_descriptor_set(compiler.encode_file_descriptor_set().as_slice())
            .map_err(|cause| format!("merging the descriptors: {cause}"))?;
        if failed.len() == before {
            return match failed.first() {
                None => Ok(pool),
                Some((name, cause)) => Err(format!("{name}: {cause}")),
            };
        }
        left = failed.into_iter().map(|(name, _)| name).collect();
    }
}

/// Each folder of the crate's `proto` is a root of imports, except that of CEL, which has its own.
fn roots(protos: &Path) -> io::Result<Vec<PathBuf>> {
    fs::read_dir(protos)?
        .map(|entry| {
            let path = entry?.path();
            Ok(if path.ends_with("cel-spec") {
                path.join("proto")
            } else {
                path
            })
        })
        .collect()
}

fn list(folder: &Path, root: &Path, names: &mut Vec<String>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            list(&path, root, names)?;
        } else if path
            .extension()
            .is_some_and(|extension| extension == "proto")
        {
            let name = path.strip_prefix(root).expect("listed below the root");
            // Imports are written with forward slashes on every system.
            let parts: Vec<_> = name.iter().map(|part| part.to_string_lossy()).collect();
            names.push(parts.join("/"));
        }
    }
    Ok(())
}

/// Finds imports below the roots and parses each file once, however many compilers ask for it.
#[derive(Clone)]
struct Resolver {
    roots: Rc<[PathBuf]>,
    parsed: Rc<RefCell<HashMap<String, File>>>,
}

impl Resolver {
    fn new(roots: Vec<PathBuf>) -> Self {
        Self {
            roots: roots.into(),
            parsed: Rc::default(),
        }
    }
}

impl FileResolver for Resolver {
    fn open_file(&self, name: &str) -> Result<File, Error> {
        if let Some(file) = self.parsed.borrow().get(name) {
            return Ok(file.clone());
        }
        if let Some((_, package)) = TYPED_STRUCTS.iter().find(|(file, _)| *file == name) {
            return File::from_source(name, &typed_struct(package));
        }
        let Some(path) = self
            .roots
            .iter()
            .map(|root| root.join(name))
            .find(|path| path.exists())
        else {
            return GoogleFileResolver::new().open_file(name);
        };
        let mut descriptor = File::open(name, &path)?.file_descriptor_proto().clone();
        // Comments and positions in the .proto file are two thirds of its descriptor.
        descriptor.source_code_info = None;
        if name == HIDES_FROM_ITSELF {
            let fields = descriptor
                .message_type
                .iter_mut()
                .flat_map(|message| &mut message.field);
            for type_name in fields.filter_map(|field| field.type_name.as_mut()) {
                if type_name.starts_with("common.") {
                    type_name.insert_str(0, ".envoy.extensions.");
                }
            }
        }
        let file = File::from_file_descriptor_proto(descriptor);
        self.parsed
            .borrow_mut()
            .insert(name.to_owned(), file.clone());
        Ok(file)
    }
}
