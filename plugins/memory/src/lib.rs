//! The memory plugin: a table that rpmacct queries over a Unix socket.
