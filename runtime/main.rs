//! The program: everything is in the library.

fn main() -> std::process::ExitCode {
    gitpod_play::cli::main()
}
