//! Builds the crate anew when the web client was: a file that comes later is not seen otherwise.

fn main() {
    let folder = "../../web/dist";
    // Cargo takes a folder that is not there for one that always changes.
    if let Err(error) = std::fs::create_dir_all(folder) {
        println!("cargo::warning={folder}: {error}; the web client is left out");
    }
    println!("cargo::rerun-if-changed={folder}");
}
