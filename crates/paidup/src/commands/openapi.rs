//! `paidup openapi`: the document that a running hub answers at `/openapi.json`.

use anyhow::Result;
use std::process::ExitCode;

pub(crate) fn run() -> Result<ExitCode> {
    println!("{}", paidup_web::openapi().to_pretty_json()?);
    Ok(ExitCode::SUCCESS)
}
