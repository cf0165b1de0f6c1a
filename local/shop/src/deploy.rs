//! Deploys the shop: builds the functions, lints the template, runs `sam deploy`.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
};

use runtime::process;

pub struct Options<'o> {
    /// A section of samconfig.toml.
    pub environment: &'o str,
    /// Template parameters (`Key=value`) that override those of samconfig.toml.
    pub parameters: &'o [String],
    /// More arguments for `sam deploy`.
    pub sam: &'o [String],
    /// Deploys the functions built before.
    pub skip_build: bool,
    /// Prints the commands without running them.
    pub dry_run: bool,
}

/// The shop cannot be deployed.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    #[error("{0} cannot be read: {1}")]
    Read(PathBuf, #[source] io::Error),
    #[error("samconfig.toml is not valid TOML ({0}): correct it there")]
    Toml(#[from] toml::de::Error),
    #[error(
        "samconfig.toml has no parameter_overrides in [{0}.deploy.parameters]: add them, or choose another environment"
    )]
    Environment(String),
    #[error("the parameter Architecture is {0}: make it arm64 or x86_64")]
    Architecture(String),
    #[error("tools are missing: {0}")]
    Tools(String),
    #[error("{0} cannot be run: {1}")]
    Run(String, #[source] io::Error),
    #[error("{0} has failed ({1})")]
    Failed(String, ExitStatus),
}

/// Deploys the shop. Prints each command before running it.
///
/// # Errors
/// [`DeployError`]. Later commands are not run.
pub fn run(options: &Options) -> Result<(), DeployError> {
    let root = template::repository();
    let path = root.join("samconfig.toml");
    let config = fs::read_to_string(&path).map_err(|error| DeployError::Read(path, error))?;
    let build = output(&root, &["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]);
    let parameters = parameters(options, &config, build.as_deref().unwrap_or("unknown").trim())?;
    let target = target(&parameters)?;
    let commands = commands(options, target, &parameters);
    if !options.dry_run {
        let missing = missing(&root, options, target);
        if !missing.is_empty() {
            return Err(DeployError::Tools(missing.join("; ")));
        }
    }
    for command in commands {
        println!("{}", readable(&command));
        if !options.dry_run {
            let status = program(&root, &command).status();
            let status = status.map_err(|error| DeployError::Run(command[0].clone(), error))?;
            if !status.success() {
                return Err(DeployError::Failed(command[..2].join(" "), status));
            }
        }
    }
    Ok(())
}

/// Merges the template parameters of the environment, the command line and the build. `sam` reads a single source, so all of
/// them go on its command line.
fn parameters(options: &Options, config: &str, build: &str) -> Result<Vec<String>, DeployError> {
    let config: serde_json::Value = toml::from_str(config)?;
    let listed = &config[options.environment]["deploy"]["parameters"]["parameter_overrides"];
    let listed = listed.as_array().ok_or_else(|| DeployError::Environment(options.environment.to_owned()))?;
    let listed = listed.iter().filter_map(serde_json::Value::as_str).map(str::to_owned);
    let key = |parameter: &str| parameter.split('=').next().map(str::to_owned);
    let mut parameters: Vec<String> = listed.collect();
    for parameter in [format!("BuildId={build}")].iter().chain(options.parameters) {
        parameters.retain(|other| key(other) != key(parameter));
        parameters.push(parameter.clone());
    }
    Ok(parameters)
}

/// Returns Rust's target for the parameter `Architecture`.
fn target(parameters: &[String]) -> Result<&'static str, DeployError> {
    match parameters.iter().find_map(|parameter| parameter.strip_prefix("Architecture=")) {
        None | Some("arm64") => Ok("aarch64-unknown-linux-gnu"),
        Some("x86_64") => Ok("x86_64-unknown-linux-gnu"),
        Some(other) => Err(DeployError::Architecture(other.to_owned())),
    }
}

/// Returns the commands to run.
fn commands(options: &Options, target: &str, parameters: &[String]) -> Vec<Vec<String>> {
    // One invocation for all functions, or each would be linked to its own idea of what `shared` has to offer.
    let build =
        "cargo lambda build --release --locked --workspace --exclude local-* --exclude tests --target";
    let words = |command: &str| command.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let mut commands = Vec::new();
    if !options.skip_build {
        commands.push([words(build), vec![target.to_owned()]].concat());
    }
    commands.push(words("sam validate --lint"));
    let deploy = words(&format!("sam deploy --config-env {} --parameter-overrides", options.environment));
    commands.push([&deploy, parameters, options.sam].concat());
    commands
}

/// Formats a command for a shell.
fn readable(command: &[String]) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    let quoted = |word: &String| if word.chars().all(plain) { word.clone() } else { format!("'{word}'") };
    command.iter().map(quoted).collect::<Vec<_>>().join(" ")
}

/// Returns the missing tools, each with how to install it.
fn missing(root: &Path, options: &Options, target: &str) -> Vec<String> {
    let has = |command: &[&str]| output(root, command).is_some();
    let library = output(root, &["rustc", "--print", "target-libdir", "--target", target]);
    let has_target = library.is_some_and(|path| Path::new(path.trim()).is_dir());
    let has_zig = has(&["zig", "version"]) || has(&["python3", "-m", "ziglang", "version"]);
    let builds = !options.skip_build;
    let tools = [
        (has(&["sam", "--version"]), "sam (pip install aws-sam-cli)"),
        (!builds || has(&["cargo", "lambda", "--version"]), "cargo-lambda (pip install cargo-lambda)"),
        (!builds || has_zig, "zig, which links for other processors (pip install ziglang)"),
        (!builds || has_target, &format!("Rust's library for that processor (rustup target add {target})")),
    ];
    tools.into_iter().filter(|(is_there, _)| !is_there).map(|(_, tool)| tool.to_owned()).collect()
}

/// Returns the output of a command if it succeeds.
fn output(root: &Path, command: &[&str]) -> Option<String> {
    let command: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
    let output = program(root, &command).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

fn program(root: &Path, command: &[String]) -> Command {
    let mut program = Command::new(&command[0]);
    program.args(&command[1..]).current_dir(root);
    for name in process::of_cargo_run() {
        program.env_remove(name);
    }
    program
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = r#"
        version = 0.1
        [prod.deploy.parameters]
        stack_name = "shop"
        parameter_overrides = ['MailFrom="Shop <shop@shop.example>"', "ProtectData=true"]
    "#;

    fn options<'o>(environment: &'o str, parameters: &'o [String]) -> Options<'o> {
        Options { environment, parameters, sam: &[], skip_build: false, dry_run: true }
    }

    fn planned(options: &Options) -> Vec<String> {
        let parameters = parameters(options, CONFIG, "9623434").expect("parameters");
        let target = target(&parameters).expect("a target");
        commands(options, target, &parameters).iter().map(|command| readable(command)).collect()
    }

    #[test]
    fn all_is_built_and_linted_before_anything_is_deployed() {
        assert_eq!(
            planned(&options("prod", &[])),
            [
                "cargo lambda build --release --locked --workspace --exclude 'local-*' --exclude tests --target \
                 aarch64-unknown-linux-gnu",
                "sam validate --lint",
                "sam deploy --config-env prod --parameter-overrides 'MailFrom=\"Shop <shop@shop.example>\"' \
                 ProtectData=true BuildId=9623434",
            ]
        );
    }

    #[test]
    fn the_command_line_outranks_the_file() {
        let parameters = ["Architecture=x86_64", "ProtectData=false"].map(str::to_owned);
        let sam = ["--no-execute-changeset".to_owned()];

        let planned = planned(&Options { sam: &sam, ..options("prod", &parameters) });

        assert!(planned[0].ends_with("--target x86_64-unknown-linux-gnu"), "{}", planned[0]);
        let wanted = "BuildId=9623434 Architecture=x86_64 ProtectData=false --no-execute-changeset";
        assert!(planned[2].ends_with(wanted) && !planned[2].contains("ProtectData=true"), "{}", planned[2]);
    }

    #[test]
    fn what_was_built_may_be_taken() {
        let planned = planned(&Options { skip_build: true, ..options("prod", &[]) });

        assert_eq!(planned[0], "sam validate --lint");
    }

    #[test]
    fn what_can_not_be_is_said() {
        let unknown = parameters(&options("test", &[]), CONFIG, "9623434").expect_err("no such environment");
        assert!(unknown.to_string().contains("[test.deploy.parameters]"), "{unknown}");
        let sparc = target(&["Architecture=sparc".to_owned()]).expect_err("no such architecture");
        assert!(sparc.to_string().contains("sparc"), "{sparc}");
    }
}
