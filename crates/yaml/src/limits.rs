//! Bounds on what a config may cost to read.

/// Bounds on what a config may cost to read. The defaults are far above any config written by hand; a config made
/// by a machine may need more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one file. 64 MiB.
    pub file_bytes: usize,
    /// Bytes of all files together. 256 MiB.
    pub total_bytes: usize,
    /// Lists and maps inside each other. 64.
    pub depth: usize,
    /// Values (scalars, lists and maps) in one file. 4,000,000.
    pub nodes: usize,
    /// Values that aliases may add to one file. 100,000.
    pub alias_nodes: usize,
    /// Bytes that aliases, or `${NAME}`, may add to one file. 16 MiB.
    pub expanded_bytes: usize,
    /// How deep files may include each other. 8.
    pub include_depth: usize,
    /// How many files may be included in all. 1,024.
    pub include_files: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            file_bytes: 64 << 20,
            total_bytes: 256 << 20,
            depth: 64,
            nodes: 4_000_000,
            alias_nodes: 100_000,
            expanded_bytes: 16 << 20,
            include_depth: 8,
            include_files: 1_024,
        }
    }
}
