//! Settings, databases and disks that are not as they should be: the program itself, as a process.

use std::path::Path;
use std::process::{Command, Output, Stdio};

fn paidup(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_paidup"))
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .output()
        .expect("the program")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn wrong_settings_are_named_with_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("bad.toml"), "listn = \"127.0.0.1:0\"\n").expect("a file");
    std::fs::write(folder.path().join("broken.toml"), "listen = \n").expect("a file");
    const SERVE: &[&str] = &["serve"];
    /// What it is, arguments, variables, what the error says.
    type Case = (&'static str, &'static [&'static str], &'static [(&'static str, &'static str)], &'static str);
    let table: [Case; 7] = [
        ("unknown variable", SERVE, &[("PAIDUP_LISTN", "127.0.0.1:0")], "PAIDUP_LISTEN"),
        ("unknown key in a file", &["--config", "bad.toml", "serve"], &[], "PAIDUP_LISTEN"),
        ("broken file", &["--config", "broken.toml", "serve"], &[], "broken.toml"),
        ("no such file", &["--config", "none.toml", "serve"], &[], "none.toml"),
        ("no address", SERVE, &[("PAIDUP_LISTEN", "everywhere")], "PAIDUP_LISTEN"),
        ("short admin key", SERVE, &[("PAIDUP_ADMIN_KEY", "short")], "16"),
        ("no network", SERVE, &[("PAIDUP_ALLOW_PRIVATE_TARGETS", "10.0.0.0/99")], "PAIDUP_ALLOW_PRIVATE_TARGETS"),
    ];
    for (name, arguments, environment, says) in table {
        let output = paidup(folder.path(), arguments, environment);
        assert_eq!(output.status.code(), Some(1), "{name}: {}", text(&output.stderr));
        assert!(text(&output.stderr).contains(says), "{name}: {}", text(&output.stderr));
    }
    let output = paidup(folder.path(), &["nonsense"], &[]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_file_that_is_no_database_is_refused_in_words() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("paidup.db"), "this is a letter, not a database\n".repeat(300)).expect("a file");
    let output = paidup(folder.path(), &["serve"], &[("PAIDUP_LISTEN", "127.0.0.1:0")]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("database"), "{}", text(&output.stderr));
    let kept = std::fs::read(folder.path().join("paidup.db")).expect("the file");
    assert!(kept.starts_with(b"this is a letter"), "what was there is left as it was");
}

#[test]
fn a_folder_that_is_not_there_is_refused_in_words() {
    let folder = tempfile::tempdir().expect("a folder");
    let environment = [("PAIDUP_LISTEN", "127.0.0.1:0"), ("PAIDUP_DATABASE_URL", "sqlite:none/paidup.db")];
    let output = paidup(folder.path(), &["serve"], &environment);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("none"), "{}", text(&output.stderr));
}

#[test]
fn commands_that_print_say_how_they_are_used() {
    let folder = tempfile::tempdir().expect("a folder");
    for command in ["serve", "demo", "simulate", "keys", "replay", "rebuild", "lifecycle", "openapi", "settings"] {
        let output = paidup(folder.path(), &[command, "--help"], &[]);
        assert!(output.status.success(), "{command}");
        assert!(text(&output.stdout).contains("Usage:"), "{command}");
    }
    for arguments in [&["lifecycle", "--format", "json"][..], &["openapi"][..], &["settings", "--json"][..]] {
        let output = paidup(folder.path(), arguments, &[]);
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        serde_json::from_slice::<serde_json::Value>(&output.stdout).expect("JSON");
    }
    let mermaid = paidup(folder.path(), &["lifecycle", "--format", "mermaid"], &[]);
    assert!(text(&mermaid.stdout).starts_with("stateDiagram-v2"), "{}", text(&mermaid.stdout));
}

#[test]
fn keys_are_made_listed_and_revoked_without_a_running_hub() {
    let folder = tempfile::tempdir().expect("a folder");
    let made = paidup(folder.path(), &["keys", "create", "--name", "ci", "--scopes", "read,ingest", "--json"], &[]);
    assert!(made.status.success(), "{}", text(&made.stderr));
    let made: serde_json::Value = serde_json::from_slice(&made.stdout).expect("JSON");
    assert!(made["key"].as_str().expect("a key").starts_with("pk_"));
    let list = paidup(folder.path(), &["keys", "list", "--json"], &[]);
    let list: serde_json::Value = serde_json::from_slice(&list.stdout).expect("JSON");
    assert_eq!(list["data"].as_array().expect("rows").len(), 1);
    let id = made["id"].as_str().expect("an id");
    assert!(paidup(folder.path(), &["keys", "revoke", id], &[]).status.success());
    let list = paidup(folder.path(), &["keys", "list"], &[]);
    assert!(text(&list.stdout).contains("no keys yet"));
}

#[test]
fn every_setting_is_in_the_operators_page() {
    let page = include_str!("../../../../docs/settings.md");
    for setting in paidup_hub::config::SETTINGS {
        assert!(page.contains(&format!("`{}`", setting.name)), "{} is not in docs/settings.md", setting.name);
        assert!(page.contains(setting.help), "docs/settings.md says something else of {}", setting.name);
    }
}
