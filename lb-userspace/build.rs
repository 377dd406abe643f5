//! Finds the BPF objects that `cargo xtask build` made, for embedding.

use std::{env, path::Path};

fn main() {
    let manifest = env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let objects = Path::new(&manifest)
        .parent()
        .expect("the crate lies in a workspace")
        .join("target/bpf");
    println!("cargo::rustc-env=HOLDFAST_BPF_DIR={}", objects.display());
    for name in ["balancer", "balancer-relaid", "agent", "guard"] {
        let object = objects.join(format!("{name}.o"));
        println!("cargo::rerun-if-changed={}", object.display());
        assert!(
            object.exists(),
            "the BPF object target/bpf/{name}.o is missing: run `cargo xtask build`, which makes it and then builds this"
        );
    }
}
