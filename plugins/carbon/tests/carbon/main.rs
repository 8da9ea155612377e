//! The plugin against carbons that close, reset, stall, lie dead and come back.
mod bench;
mod destinations;
mod failures;
mod settings;
mod spool;
