//! Kills processes of the shop's functions at random moments, as machines fail.

use std::{fs, path::Path, sync::Arc, time::Duration};

use fastrand::Rng;
use tokio::{process::Command, time::sleep};

use super::client::Client;

/// Maximum pause between two kills, in milliseconds.
const LONGEST_PAUSE: usize = 3_000;

/// Kills processes, forever.
pub(super) async fn run(client: Arc<Client>, mut rng: Rng) {
    loop {
        sleep(Duration::from_millis(rng.usize(..LONGEST_PAUSE) as u64)).await;
        let Some(process) = rng.choice(&instances(&client.url)).cloned() else { continue };
        if Command::new("kill").args(["-KILL", &process]).status().await.is_ok_and(|done| done.success()) {
            client.tally().kills += 1;
        }
    }
}

/// Returns the ids of all processes that run a function of the shop at a URL, from Linux's /proc.
fn instances(url: &str) -> Vec<String> {
    let functions = template::repository().join("functions");
    let public_url = format!("PUBLIC_URL={url}");
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten().map(|process| process.path());
    let is_instance = |process: &Path| {
        let program = fs::read_link(process.join("exe")).unwrap_or_default();
        let name = program.file_name().unwrap_or_default().to_string_lossy();
        // So Linux says that it was built anew meanwhile.
        let name = name.trim_end_matches(" (deleted)");
        let is_function = !name.is_empty() && functions.join(name).is_dir();
        let environment = fs::read(process.join("environ")).unwrap_or_default();
        is_function && environment.split(|byte| *byte == 0).any(|variable| variable == public_url.as_bytes())
    };
    let instances = processes.filter(|process| is_instance(process));
    instances.filter_map(|process| Some(process.file_name()?.to_string_lossy().into_owned())).collect()
}
