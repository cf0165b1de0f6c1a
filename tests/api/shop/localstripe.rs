//! localstripe, an independent emulator of Stripe: <https://pypi.org/project/localstripe/>. The first test installs it below
//! target/.

use std::{
    fs::{self, File},
    path::Path,
    process::{Command, Stdio},
};

use runtime::process::{Group, target_folder};

use super::{free_port, listens};

use tokio::process::Child;

const VERSION: &str = "1.15.10";

/// Adds what localstripe lacks: confirmation with a payment method, received amounts, and the intent of a declined card.
/// Removes its storage.
const STARTED: &str = r"
from localstripe import resources
from localstripe.errors import UserError
from localstripe.resources import PaymentIntent, store

original = PaymentIntent._api_confirm

def confirm(id, payment_method=None, return_url=None, **more):
    if payment_method:
        PaymentIntent._api_update(id, payment_method=payment_method)
    try:
        return original(id, **more)
    except UserError as declined:
        if declined.code == 402:
            declined.body['error']['payment_intent'] = PaymentIntent._api_retrieve(id)._export()
        raise

def amount_received(self):
    charge = self.latest_charge
    if charge is None or not charge.paid or not charge.captured:
        return 0
    # What a part that was captured has left is a refund that names no intent.
    refunds = [refund for key, refund in store.items() if key.startswith('refund:') and refund.charge == charge.id]
    return charge.amount - sum(refund.amount for refund in refunds if refund.payment_intent is None)

resources.extra_apis[:] = [
    (method, url, confirm if function == original else function) for method, url, function in resources.extra_apis]
PaymentIntent.amount_received = property(amount_received)
type(store).dump_to_disk = lambda self: None

from localstripe import server
server.start()
";

/// A localstripe that runs until it is dropped.
pub struct LocalStripe {
    pub url: String,
    _process: Child,
    _group: Group,
}

impl LocalStripe {
    /// Starts an empty one.
    pub async fn start() -> Self {
        let python = tokio::task::spawn_blocking(install).await.unwrap();
        let (group, port) = (Group::new().unwrap(), free_port());
        let mut command = group.command(python).unwrap();
        command.args(["-c", STARTED, "--from-scratch", "--port", &port.to_string()]);
        let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        listens(port).await;
        Self { url: format!("http://127.0.0.1:{port}"), _process: process, _group: group }
    }
}

/// Installs localstripe and returns its Python.
fn install() -> std::path::PathBuf {
    let tools = target_folder().join("tools");
    let folder = tools.join(format!("localstripe-{VERSION}"));
    let python = folder.join("bin/python");
    fs::create_dir_all(&tools).unwrap();
    // Two that start at once must not install over each other.
    let lock = File::create(tools.join("localstripe.lock")).unwrap();
    lock.lock().unwrap();
    if works(&python) {
        return python;
    }
    if folder.exists() {
        fs::remove_dir_all(&folder).unwrap();
    }
    let package = format!("localstripe=={VERSION}");
    let made = succeeds(Command::new("python3").args(["-m", "venv"]).arg(&folder))
        && succeeds(Command::new(&python).args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            &package,
        ]));
    assert!(
        made && works(&python),
        "{package} can't be installed from PyPI: this test needs python3 with its modules venv and pip, see README.md"
    );
    python
}

fn works(python: &Path) -> bool {
    succeeds(Command::new(python).args(["-c", "import localstripe"]))
}

fn succeeds(command: &mut Command) -> bool {
    command.stdin(Stdio::null()).status().is_ok_and(|status| status.success())
}
