//! Turns `interfaces/<package>/{msg,srv,action}/*` into Rust.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("interfaces");
    println!("cargo::rerun-if-changed={}", root.display());
    let mut catalogue = rosidl::Catalogue::new();
    catalogue.add_tree(&root)?;
    catalogue.resolve()?;
    let options = rosidl::rust::Options { packages: packages_of(&catalogue), runtime: "crate".to_owned(), flat: false };
    let source = rosidl::rust::generate(&catalogue, &options)?;
    fs::write(Path::new(&env::var("OUT_DIR")?).join("interfaces.rs"), source)?;
    Ok(())
}

fn packages_of(catalogue: &rosidl::Catalogue) -> Vec<String> {
    let mut packages: Vec<String> = catalogue.interfaces().map(|i| i.name.package.clone()).collect();
    packages.dedup();
    packages
}
