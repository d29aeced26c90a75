//! Breaks real clusters and checks what clients were told.

pub mod powerloss;
