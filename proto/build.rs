//! Compiles the protobuf files with `protox`, so that a machine with only Rust can build.

use prost::Message as _;

const FILES: [&str; 7] = [
    "axp/v1/intent.proto",
    "axp/node/v1/shard.proto",
    "axp/node/v1/control.proto",
    "axp/node/v1/admin.proto",
    "axp/node/v1/records.proto",
    "axp/raft/v1/raft.proto",
    "axp/log/v1/log.proto",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let descriptors = protox::compile(FILES, ["proto"])?;
    let out = std::path::PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure().bytes(".").compile_fds(descriptors)?;
    Ok(())
}
