//! Every state knows what to do with every change, and what is printed is what runs.

use paidup_lifecycle::engine::Change;
use paidup_lifecycle::engine::transitions::{Cell, Emit, IGNORED, cell, table, to_json, to_mermaid};
use paidup_lifecycle::purchase::State;

#[test]
fn each_cell_is_one_row_or_one_reason() {
    let mut wrong = Vec::new();
    for state in State::ALL {
        for change in Change::ALL {
            let rows: Vec<&str> = table()
                .iter()
                .filter(|row| row.change == *change && row.from.contains(state))
                .map(|row| row.number)
                .collect();
            let reasons: Vec<&str> = IGNORED
                .iter()
                .filter(|ignored| ignored.change == *change && ignored.from.contains(state))
                .map(|ignored| ignored.reason)
                .collect();
            if rows.len() + reasons.len() != 1 {
                wrong.push(format!("{state} x {change}: rows {rows:?}, reasons {reasons:?}"));
            }
            match cell(*state, *change) {
                Cell::Row(row) => assert_eq!(rows, [row.number]),
                Cell::Ignored(reason) => assert_eq!(reasons, [reason]),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn rows_are_numbered_once_and_ignored_cells_have_reasons() {
    let mut numbers: Vec<&str> = table().iter().map(|row| row.number).collect();
    numbers.sort_unstable();
    let count = numbers.len();
    numbers.dedup();
    assert_eq!(numbers.len(), count, "a row number stands twice");
    for number in 1..=33 {
        let found = numbers.iter().any(|found| found.trim_end_matches(char::is_alphabetic) == number.to_string());
        assert!(found, "row {number} of the canonical lifecycle is missing");
    }
    assert!(IGNORED.iter().all(|ignored| ignored.reason.len() > 10));
}

#[test]
fn access_moves_with_the_state() {
    for row in table() {
        let Some(to) = row.to else { continue };
        let on = row.emits.iter().any(|emit| matches!(emit, Emit::Activate(_)));
        let off = row.emits.iter().any(|emit| matches!(emit, Emit::Deactivate(_) | Emit::DeactivateOld));
        for from in row.from {
            if !from.has_access() && to.has_access() {
                assert!(on, "row {} gives access and does not say so", row.number);
            }
            if from.has_access() && !to.has_access() {
                assert!(off && !on, "row {} takes access and does not say so", row.number);
            }
            if !from.has_access() && !to.has_access() {
                assert!(!on && !off, "row {} moves access between states without any", row.number);
            }
        }
    }
}

#[test]
fn the_table_is_printed_whole() {
    let json = to_json();
    assert_eq!(json["rows"].as_array().unwrap().len(), table().len());
    let mermaid = to_mermaid();
    assert!(mermaid.starts_with("stateDiagram-v2\n"));
    for row in table().iter().filter(|row| !row.emits.is_empty()) {
        assert!(mermaid.contains(&format!("{} {}", row.number, row.name)), "row {} is not drawn", row.number);
    }
}
