# Everything passes through these two; see README.md.
test:
    cargo test --workspace --locked

lint:
    cargo fmt --check
    cargo clippy --workspace --all-targets --locked -- -D warnings
    cargo deny check
