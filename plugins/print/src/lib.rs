//! The print plugin: sums to files or standard output.
