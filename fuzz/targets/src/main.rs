//! Writes the seeds into `fuzz/corpus`: run it after samples were added.

use paidup_fuzz_targets::seeds;

fn main() -> std::io::Result<()> {
    for (target, name, bytes) in seeds::all() {
        let folder = seeds::corpus().join(target);
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join(name), bytes)?;
    }
    Ok(())
}
