//! Processes that never outlive the one that started them.

use std::{
    env,
    ffi::{OsStr, OsString},
    io::{self, PipeReader, PipeWriter},
    path::PathBuf,
    process::Stdio,
};

use tokio::process::{Child, Command};

/// Script of a group's leader: waits for the end of its input, then kills the whole group with itself.
pub const END_GROUP_AT_END_OF_INPUT: &str = "read -r _; kill -KILL 0";

/// A group of processes. It ends with [`end`](Self::end), when this is dropped, and when this process is killed: the group's
/// leader waits at a pipe, the lifeline, whose other end only this process holds.
///
/// Each process inherits the lifeline as its input. One that moves its children to another group can start a leader for that
/// one, too.
pub struct Group {
    leader: Child,
    lifeline: PipeReader,
    _held: PipeWriter,
}

impl Group {
    /// Starts an empty group.
    ///
    /// # Errors
    /// No more processes or pipes.
    pub fn new() -> io::Result<Self> {
        let (lifeline, held) = io::pipe()?;
        let mut leader = Command::new("sh");
        leader.args(["-c", END_GROUP_AT_END_OF_INPUT]).process_group(0).stdin(lifeline.try_clone()?);
        Ok(Self { leader: leader.spawn()?, lifeline, _held: held })
    }

    /// Returns a command that will run in the group.
    ///
    /// # Errors
    /// No more pipes.
    pub fn command(&self, program: impl AsRef<OsStr>) -> io::Result<Command> {
        let mut command = Command::new(program);
        let leader = self.leader.id().unwrap_or_default();
        command
            .process_group(leader.cast_signed())
            .stdin(Stdio::from(self.lifeline.try_clone()?))
            .kill_on_drop(true);
        Ok(command)
    }

    /// Kills all processes of the group.
    ///
    /// # Errors
    /// The leader cannot be waited for.
    pub async fn end(self) -> io::Result<()> {
        let Self { mut leader, lifeline, _held } = self;
        drop((lifeline, _held));
        leader.wait().await.map(drop)
    }
}

/// Removes the variables that `cargo run` has set from a cargo command: build scripts that depend on them would run again.
pub fn without_cargo_run(command: &mut Command) -> &mut Command {
    for name in of_cargo_run() {
        command.env_remove(name);
    }
    command
}

/// Returns the names of the variables that `cargo run` has set.
pub fn of_cargo_run() -> Vec<OsString> {
    let is_one = |name: &OsString| {
        let name = name.to_string_lossy();
        name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
    };
    env::vars_os().map(|(name, _)| name).filter(is_one).collect()
}

/// Returns the path of cargo.
pub fn cargo() -> PathBuf {
    env::var_os("CARGO").map_or_else(|| "cargo".into(), PathBuf::from)
}

/// Returns the target folder of this program, by cargo's mark in it.
pub fn target_folder() -> PathBuf {
    let program = env::current_exe().unwrap_or_default();
    let mut folders = program.ancestors().skip(1);
    let marked = folders.find(|folder| folder.join("CACHEDIR.TAG").is_file());
    marked.map_or_else(|| template::repository().join("target"), PathBuf::from)
}
