//! Makes the functions' log readable.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    sync::atomic::{AtomicBool, Ordering},
};

use serde_json::Value;

static SILENT: AtomicBool = AtomicBool::new(false);

/// Prints a line. A closed terminal is not an error.
pub fn say(text: &str) {
    writeln!(io::stdout(), "{text}").unwrap_or_default();
}

/// Prints the output of processes until the last of them ends.
pub fn follow(output: impl Read) {
    for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
        let line = readable(&String::from_utf8_lossy(&line));
        if let Some(line) = line.filter(|_| !SILENT.load(Ordering::Relaxed)) {
            say(&line);
        }
    }
}

/// Stops printing what [`follow`] reads: the last lines of processes being killed would alarm the user.
pub fn fall_silent() {
    SILENT.store(true, Ordering::Relaxed);
}

/// Formats a log line. Returns `None` for lines without interest.
pub fn readable(line: &str) -> Option<String> {
    let Ok(entry) = serde_json::from_str::<Value>(line) else {
        return worth_reading(line).then(|| line.to_owned());
    };
    let text = |name: &str| entry[name].as_str().unwrap_or_default();
    // 12:34:56.789 of 2026-01-31T12:34:56.789Z
    let time = text("timestamp").get(11..23).unwrap_or_default();
    let operation = text("operation");
    let what = match entry["status"].as_u64() {
        Some(status) => {
            let duration = entry["duration_ms"].as_f64().unwrap_or_default();
            let start = if entry["cold_start"] == true { "  first request" } else { "" };
            format!("{status}  {duration:>8.1} ms  {}{start}", text("request_id"))
        }
        None => format!("{} {}", text("level"), text("message")),
    };
    let error = match text("error") {
        "" => String::new(),
        error => format!("\n    {error}"),
    };
    Some(format!("{time}  {operation:<22}  {what}{error}"))
}

/// Progress messages of watch and cargo, without interest while all goes well.
fn worth_reading(line: &str) -> bool {
    let line = line.trim_start();
    let chatter = ["INFO", "ERROR command ", "Finished `"];
    !line.is_empty()
        && !line.contains("waiting for file lock")
        && !chatter.iter().any(|start| line.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::readable;

    #[test]
    fn requests_events_and_plain_text_are_readable() {
        let request = r#"{"timestamp": "2026-01-31T12:34:56.789Z", "operation": "products-get", "status": 200,
            "duration_ms": 1.26, "request_id": "r1", "cold_start": true, "error": null}"#;
        let expected = "12:34:56.789  products-get            200       1.3 ms  r1  first request";
        assert_eq!(readable(request).as_deref(), Some(expected));
        let event = r#"{"timestamp": "2026-01-31T12:34:56.789Z", "level": "WARN", "operation": "products-get",
            "message": "late", "error": "no answer"}"#;
        let expected = "12:34:56.789  products-get            WARN late\n    no answer";
        assert_eq!(readable(event).as_deref(), Some(expected));
        assert_eq!(
            readable("error[E0308]: mismatched types").as_deref(),
            Some("error[E0308]: mismatched types")
        );
        assert_eq!(readable(" INFO spawning function instance"), None);
    }
}
