//! Whether what is asked for is done, or only told.

/// Whether something is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It is told what would be done, and nothing changes.
    DryRun,
    /// It is done.
    Apply,
}

impl Mode {
    /// The mode of a request that says whether it is a dry run.
    pub fn of(dry_run: bool) -> Self {
        if dry_run { Self::DryRun } else { Self::Apply }
    }

    /// Whether nothing changes.
    pub fn is_dry(self) -> bool {
        self == Self::DryRun
    }
}
