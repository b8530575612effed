//! How far a script may go.

/// What a playbook may use up. The defaults suffice for playbooks of thousands of steps.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Operations of one step.
    pub operations_per_step: u64,
    /// Operations of the declarations, imports included.
    pub operations_at_load: u64,
    /// Nested calls.
    pub call_levels: usize,
    /// Nested expressions in the source text.
    pub expression_depth: usize,
    /// Bytes of one text.
    pub text_bytes: usize,
    /// Items of one list, nested lists included.
    pub list_items: usize,
    /// Keys of one map, nested maps included.
    pub map_keys: usize,
    /// Imported files.
    pub modules: usize,
    /// Bytes of one script or settings file.
    pub file_bytes: usize,
    /// Declared steps.
    pub steps: usize,
    /// Bytes that one step, or the declarations, may print.
    pub printed_bytes: usize,
    /// Seconds that one step may compute; what bindings wait for does not count. Operations alone do not bound it: each may
    /// copy several MiB.
    pub computing_s: u64,
    /// Bytes that the process may hold in memory while a script runs.
    pub memory_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            operations_per_step: 10_000_000,
            operations_at_load: 20_000_000,
            call_levels: 64,
            expression_depth: 128,
            text_bytes: 4 << 20,
            list_items: 100_000,
            map_keys: 100_000,
            modules: 200,
            file_bytes: 4 << 20,
            steps: 100_000,
            printed_bytes: 1 << 20,
            computing_s: 30,
            memory_bytes: 2 << 30,
        }
    }
}
