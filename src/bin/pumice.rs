//! The program `pumice`: see `pumice::cli`.

fn main() {
    std::process::exit(pumice::cli::run(std::env::args_os().skip(1)));
}
