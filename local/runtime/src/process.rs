//! Processes that never outlive the one that started them, however it ends.

use std::{
    env,
    ffi::{OsStr, OsString},
    io::{self, PipeReader, PipeWriter},
    path::PathBuf,
    process::Stdio,
};

use tokio::process::{Child, Command};

/// What the leader of a group runs: it waits for the end of its input, then ends the whole group, itself included.
pub const END_GROUP_AT_END_OF_INPUT: &str = "read -r _; kill -KILL 0";

/// A group of processes. It ends with [`end`](Self::end), when this is dropped, and also when this process is killed:
/// the group's leader waits at a pipe whose other end only this process holds.
///
/// Each process of the group inherits that pipe, the lifeline, as its input. So one that moves its own children to
/// another group can have those watch the pipe, too.
pub struct Group {
    leader: Child,
    lifeline: PipeReader,
    _held: PipeWriter,
}

impl Group {
    /// Starts an empty group.
    ///
    /// # Errors
    /// Where the system has no more processes or pipes to give.
    pub fn new() -> io::Result<Self> {
        let (lifeline, held) = io::pipe()?;
        let mut leader = Command::new("sh");
        leader.args(["-c", END_GROUP_AT_END_OF_INPUT]).process_group(0).stdin(lifeline.try_clone()?);
        Ok(Self { leader: leader.spawn()?, lifeline, _held: held })
    }

    /// A command that will run in the group.
    ///
    /// # Errors
    /// Where the system has no more pipes to give.
    pub fn command(&self, program: impl AsRef<OsStr>) -> io::Result<Command> {
        let mut command = Command::new(program);
        let leader = self.leader.id().unwrap_or_default();
        command
            .process_group(leader.cast_signed())
            .stdin(Stdio::from(self.lifeline.try_clone()?))
            .kill_on_drop(true);
        Ok(command)
    }

    /// Ends all processes of the group.
    ///
    /// # Errors
    /// Where the leader can't be waited for.
    pub async fn end(self) -> io::Result<()> {
        let Self { mut leader, lifeline, _held } = self;
        drop((lifeline, _held));
        leader.wait().await.map(drop)
    }
}

/// The command to run cargo, as it would be run from a terminal: without what `cargo run` has told this process about
/// its own package, since build scripts that look at it would be run again each time.
pub fn without_cargo_run(command: &mut Command) -> &mut Command {
    for name in of_cargo_run() {
        command.env_remove(name);
    }
    command
}

/// The variables that `cargo run` has set.
pub fn of_cargo_run() -> Vec<OsString> {
    let is_one = |name: &OsString| {
        let name = name.to_string_lossy();
        name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
    };
    env::vars_os().map(|(name, _)| name).filter(is_one).collect()
}

/// Cargo itself.
pub fn cargo() -> PathBuf {
    env::var_os("CARGO").map_or_else(|| "cargo".into(), PathBuf::from)
}

/// The folder of all that was built and may be deleted: the one with cargo's mark that holds this program.
pub fn target_folder() -> PathBuf {
    let program = env::current_exe().unwrap_or_default();
    let mut folders = program.ancestors().skip(1);
    let marked = folders.find(|folder| folder.join("CACHEDIR.TAG").is_file());
    marked.map_or_else(|| template::repository().join("target"), PathBuf::from)
}
