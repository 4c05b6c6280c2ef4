//! Every log line of the test process, so that secrets in them are found.

use std::io::Write;
use std::sync::{Mutex, Once, PoisonError};
use tracing_subscriber::fmt::MakeWriter;

static LINES: Mutex<Vec<u8>> = Mutex::new(Vec::new());
static ONCE: Once = Once::new();

#[derive(Clone, Copy)]
struct Lines;

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LINES.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Lines;
    fn make_writer(&self) -> Lines {
        Lines
    }
}

/// Starts to keep log lines, once for the process, down to debug.
pub(crate) fn capture() {
    ONCE.call_once(|| {
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::DEBUG)
            .with_ansi(false)
            .with_writer(Lines)
            .finish();
        tracing::subscriber::set_global_default(subscriber).expect("the only subscriber");
    });
}

/// No secret may stand in any line.
#[track_caller]
pub(crate) fn check(secrets: &[&str]) {
    let lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
    let text = String::from_utf8_lossy(&lines);
    for secret in secrets {
        if let Some(line) = text.lines().find(|line| line.contains(secret)) {
            panic!("a secret was logged: {}", line.replace(secret, "<the secret>"));
        }
    }
}

/// Lines at level error about one of these ids. (All hubs of the process write to one log.)
pub(crate) fn errors_about(ids: &[&str]) -> Vec<String> {
    let lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
    let text = String::from_utf8_lossy(&lines);
    let is_meant = |line: &&str| line.contains(" ERROR ") && ids.iter().any(|id| line.contains(id));
    text.lines().filter(is_meant).map(str::to_owned).collect()
}
