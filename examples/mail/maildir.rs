//! `Maildir`: a folder of letters, each in a file of its own.

use super::letter::Letter;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

/// A folder in the layout of a maildir: a letter is written in `tmp`, and moved to `new` when it is
/// complete.
#[derive(Clone, Debug)]
pub(crate) struct Maildir(PathBuf);

impl Maildir {
    /// Creates the folders that are missing.
    pub(crate) fn create(folder: PathBuf) -> io::Result<Self> {
        for part in ["tmp", "new", "cur"] {
            let part = folder.join(part);
            fs::create_dir_all(&part).map_err(|error| {
                io::Error::new(error.kind(), format!("{}: {error}", part.display()))
            })?;
        }
        Ok(Self(folder))
    }

    /// Keeps a letter. `number` is that of no other of this process. Blocks until the disk has it.
    pub(crate) fn keep(&self, letter: &Letter, number: usize) -> io::Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let name = format!("{}.P{}Q{number}.mail", now.as_secs(), std::process::id());
        let unfinished = self.0.join("tmp").join(&name);
        let mut file = File::create_new(&unfinished)?;
        let mut write = || {
            writeln!(file, "Return-Path: <{}>", letter.from)?;
            for to in &letter.to {
                writeln!(file, "Delivered-To: {to}")?;
            }
            file.write_all(&letter.text)?;
            file.sync_all()
        };
        let kept = write().and_then(|()| fs::rename(&unfinished, self.0.join("new").join(&name)));
        if kept.is_err() {
            let _ = fs::remove_file(&unfinished);
        }
        kept
    }
}
