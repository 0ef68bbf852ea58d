//! Gives the C library its SONAME: the major version, or while that is 0 just 0.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let is = |name: &str, value: &str| std::env::var(name).is_ok_and(|found| found == value);
    // The Python module is another library made of the same crate: a loader must not take one for the other.
    if is("CARGO_CFG_TARGET_OS", "linux") && std::env::var_os("CARGO_FEATURE_PYTHON").is_none() {
        let major = std::env::var("CARGO_PKG_VERSION_MAJOR").unwrap_or_default();
        println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libpumice.so.{major}");
    }
}
