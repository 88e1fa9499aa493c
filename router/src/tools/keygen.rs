//! `wampline keygen`: a key pair for cryptosign.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use zeroize::Zeroizing;

use crate::{complain, say};

pub(crate) const KEYGEN_HELP: &str = "\
The private key goes into a new file with mode 0600; an existing file is never overwritten. As `hex`, 64 digits and a line
feed: what autobahn-js, wampy.js and xconn take as text, and `router_key = { file = \"...\" }` reads. As `raw`, 32 octets: what
autobahn-python's CryptosignKey.from_file reads. The public key goes to standard output, as configurations have it.

Exit codes: 0 done, 1 the file could not be written, 64 the command line is not valid

Example:
  wampline keygen joe.key

  [[realms.principals]]
  authid = \"joe\"
  role = \"frontend\"
  cryptosign = [\"545efb0a...\"]     # what keygen has printed";

/// What `wampline keygen` is asked for.
#[derive(Debug, Args)]
pub struct KeygenArguments {
    /// The file for the private key; there must be none of this name
    #[arg(value_name = "FILE")]
    path: PathBuf,
    /// Form of the private key
    #[arg(long, value_name = "FORM", default_value = "hex")]
    form: Form,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// 64 hexadecimal digits and a line feed
    Hex,
    /// 32 octets
    Raw,
}

/// Makes a key pair.
pub(crate) fn keygen(arguments: &KeygenArguments) -> ExitCode {
    let (private, public) = wampline_auth::keygen(&mut super::random);
    let octets = match arguments.form {
        Form::Hex => Zeroizing::new(format!("{}\n", *private).into_bytes()),
        Form::Raw => Zeroizing::new(octets_of(&private)),
    };
    let created = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&arguments.path);
    match created.and_then(|mut file| file.write_all(&octets).and_then(|()| file.sync_all())) {
        Ok(()) => say(&public.to_hex()),
        Err(error) => {
            complain(&format_args!("{}: the key cannot be written: {error}", arguments.path.display()))
        }
    }
}

/// The octets of hexadecimal digits.
fn octets_of(digits: &str) -> Vec<u8> {
    let octet =
        |pair: &[u8]| std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok());
    digits.as_bytes().chunks(2).filter_map(octet).collect()
}
