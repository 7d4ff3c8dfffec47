//! What does a packet cost in the kernel?

fn main() {}
