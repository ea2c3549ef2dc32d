//! `portcullis`: the gateway and its command line.

/// Requests allocate small objects in many threads; this allocator frees them faster and keeps the process small at rest.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    portcullis::main()
}
