//! The gateway: main, the command line, the wiring, and the library that a team's own binary starts from.
