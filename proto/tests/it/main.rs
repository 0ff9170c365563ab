//! What is said on the wires, read as its users read it.

mod erase;
mod golden;
mod kinds;
