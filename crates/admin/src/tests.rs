//! The API without sockets: one request in, one answer out.
