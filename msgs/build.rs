//! Turns `{msg,srv,action}/*` of this ROS package into Rust. Standard types come from the crate `ros-interfaces`.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    let package = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let standard = package.join("../crates/ros-interfaces/interfaces");
    for folder in ["msg", "srv", "action"] {
        println!("cargo::rerun-if-changed={}", package.join(folder).display());
    }
    println!("cargo::rerun-if-changed={}", standard.display());
    let mut catalogue = rosidl::Catalogue::new();
    catalogue.add_tree(&standard)?;
    catalogue.add_package("intact_msgs", &package)?;
    catalogue.resolve()?;
    let options = rosidl::rust::Options { packages: vec!["intact_msgs".to_owned()], runtime: "::ros_interfaces".to_owned(), flat: true };
    let source = rosidl::rust::generate(&catalogue, &options)?;
    fs::write(Path::new(&env::var("OUT_DIR")?).join("interfaces.rs"), source)?;
    Ok(())
}
