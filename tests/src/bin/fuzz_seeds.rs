//! Writes the seeds of fuzzing targets into corpora: `fuzz_seeds FOLDER` makes `FOLDER/TARGET/seed-NNN`, and prints the
//! names of the targets.

use std::path::Path;
use std::process::ExitCode;
use std::{env, fs, io};

use wampline_tests::fuzz::{TARGETS, seeds};

fn main() -> ExitCode {
    let Some(folder) = env::args_os().nth(1) else {
        eprintln!("usage: fuzz_seeds FOLDER");
        return ExitCode::from(2);
    };
    for target in TARGETS {
        if let Err(error) = write(&Path::new(&folder).join(target.name), target.name) {
            eprintln!("fuzz_seeds: {}: {error}", folder.display());
            return ExitCode::FAILURE;
        }
        println!("{}", target.name);
    }
    ExitCode::SUCCESS
}

fn write(folder: &Path, target: &str) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for (number, octets) in seeds(target).iter().enumerate() {
        fs::write(folder.join(format!("seed-{number:03}")), octets)?;
    }
    Ok(())
}
